"""Webhook messages: what one attempt to report the end of a job sends."""

import asyncio
import json

import attrs

from pyannote_voiceprint_async.sandbox.jobs import SandboxJob
from pyannote_voiceprint_async.sandbox.outputs import output_of
from pyannote_voiceprint_async.sandbox.settings import Settings
from pyannote_voiceprint_async.sandbox.webhook_faults import WebhookFault
from pyannote_voiceprint_async.sandbox.webhook_signatures import signature_headers

# The status in a tampered body, which is as well-formed as the signed one.
_TAMPERED = {"succeeded": "failed", "failed": "succeeded", "canceled": "succeeded"}


@attrs.frozen
class WebhookMessage:
    """One attempt to report the end of a job."""

    job: SandboxJob
    url: str
    """URL of the receiver."""
    fault: WebhookFault
    """The fault of the webhook; `NO_FAULT` for none."""
    attempted: asyncio.Event | None = None
    """Event to set after an attempt, if the response to the submission waits for it."""
    attempt: int = 1
    """Number of the attempt, from 1."""
    signed_at: int | None = None
    """UTC epoch seconds of the previous attempt's signature; `None` for the first attempt."""
    reason: str | None = None
    """Why the previous attempt failed; `None` for the first attempt."""

    def retry(self, signed_at: int, reason: str) -> "WebhookMessage":
        """Return the message of the attempt that follows this one after a failure."""
        return attrs.evolve(self, attempt=self.attempt + 1, signed_at=signed_at, reason=reason)


def build_request(message: WebhookMessage, timestamp: int, settings: Settings) -> tuple[bytes, dict[str, str]]:
    """Build the body and the headers of a message that is signed at this time in UTC epoch seconds."""
    payload = _payload(message.job, settings)
    body = json.dumps(payload).encode()
    signature = signature_headers(settings.webhook_secret, settings.webhook_signature, timestamp, body)
    if message.fault.tampered:
        body = json.dumps(payload | {"status": _TAMPERED[payload["status"]]}).encode()
    return body, {"Content-Type": "application/json", **signature, **_retry_headers(message)}


def _payload(job: SandboxJob, settings: Settings) -> dict[str, str]:
    status = settings.webhook_failed_as if job.fate == "failed" else job.fate
    output = {} if job.webhook_status_only else output_of(job, settings.failed_output)
    return {"jobId": job.id, "status": status, **output}


def _retry_headers(message: WebhookMessage) -> dict[str, str]:
    if message.reason is None:
        return {}
    return {"x-retry-num": str(message.attempt - 1), "x-retry-reason": message.reason}
