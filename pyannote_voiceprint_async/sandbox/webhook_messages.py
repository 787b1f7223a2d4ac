"""Notices: the end of a job as one try to tell it puts it on the wire, without a wire."""

import asyncio
import json

import attrs

from pyannote_voiceprint_async.sandbox.jobs import Job
from pyannote_voiceprint_async.sandbox.outputs import output_of
from pyannote_voiceprint_async.sandbox.settings import Settings
from pyannote_voiceprint_async.sandbox.webhook_faults import WebhookFault
from pyannote_voiceprint_async.sandbox.webhook_signatures import signature_headers

# What a tampered body says instead: it is as well-formed as the one that was signed.
_TAMPERED = {"succeeded": "failed", "failed": "succeeded", "canceled": "succeeded"}


@attrs.frozen
class WebhookMessage:
    """The end of a job on its way to a receiver."""

    job: Job
    url: str
    """Where it is to go."""
    fault: WebhookFault
    """What goes wrong with it."""
    tried: asyncio.Event | None = None
    """Set after a try, where somebody waits for it."""
    attempt: int = 1
    """1, and one more for each retry."""
    signed_at: int | None = None
    """UTC epoch seconds of the signature before; `None` at the first try."""
    reason: str | None = None
    """Why the try before failed; `None` at the first one."""

    def again(self, signed_at: int, reason: str) -> "WebhookMessage":
        """The notice after a try that failed."""
        return attrs.evolve(self, attempt=self.attempt + 1, signed_at=signed_at, reason=reason)


def to_request(notice: WebhookMessage, timestamp: int, settings: Settings) -> tuple[bytes, dict[str, str]]:
    """Body and headers, signed at this time in UTC epoch seconds."""
    payload = _payload(notice.job, settings)
    body = json.dumps(payload).encode()
    signature = signature_headers(settings.webhook_secret, settings.webhook_signature, timestamp, body)
    if notice.fault.tampered:
        body = json.dumps(payload | {"status": _TAMPERED[payload["status"]]}).encode()
    return body, {"Content-Type": "application/json", **signature, **_retry_headers(notice)}


def _payload(job: Job, settings: Settings) -> dict[str, str]:
    status = settings.webhook_failed_as if job.fate == "failed" else job.fate
    output = {} if job.webhook_status_only else output_of(job, settings.failed_output)
    return {"jobId": job.id, "status": status, **output}


def _retry_headers(notice: WebhookMessage) -> dict[str, str]:
    if notice.reason is None:
        return {}
    return {"x-retry-num": str(notice.attempt - 1), "x-retry-reason": notice.reason}
