"""Webhooks: is a delivery from pyannoteAI, is it fresh, and what does it say?

The API signs `v0:{timestamp}:{body}` with HMAC-SHA256 and the team's secret. Its documents write the signature in
base64, its sample in hex, and programs expect `v0=` and hex: each is taken.

`verify` is pure, and works in any framework. `aiohttp_webhook_handler` is the same for aiohttp.web.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from . import codec
from .errors import ConfigurationError, InvalidSignatureError, StaleWebhookError, WebhookError
from .models import VoiceprintJob, WebhookEvent

if TYPE_CHECKING:
    from aiohttp import web

    from .client import AsyncVoiceprintClient

__all__ = ["LARGEST_WEBHOOK", "aiohttp_webhook_handler", "verify"]

LARGEST_WEBHOOK = 1024 * 1024
"""Bytes of a body; more is no webhook of this API."""

_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")
_TIMESTAMP = re.compile(r"\d{1,11}", re.ASCII)


def verify(
    body: bytes,
    headers: Mapping[str, str],
    secret: str | Iterable[str],
    *,
    tolerance: float = 600.0,
    now: float | None = None,
) -> WebhookEvent:
    """Verify a delivery, and give what it says. Nothing of it is read before the signature holds.

    Args:
        body: the raw body, as it came.
        headers: the request's headers, in any spelling.
        secret: the team's webhook secret; several while it is being rotated.
        tolerance: seconds by which the timestamp may be off, either way. The API's last repeat comes six minutes
            after the first try, and it is not known whether it is signed anew.
        now: UTC epoch seconds; the machine's clock by default.

    Raises:
        ConfigurationError: there is no secret.
        InvalidSignatureError: the signature is missing or wrong; answer with 401.
        StaleWebhookError: the signature is right, but too old or from the future; answer with 401.
        WebhookError: the signature is right, but the body is too long or says nothing that can be understood.
    """
    secrets = _secrets(secret)
    if len(body) > LARGEST_WEBHOOK:
        raise WebhookError(f"The body has {len(body)} bytes: that is no webhook of pyannoteAI.")
    known = {name.lower(): value for name, value in headers.items()}
    timestamp = known.get("x-request-timestamp", "").strip()
    _check_signature(body, timestamp, known.get("x-signature", "").strip(), secrets)
    _check_freshness(int(timestamp), tolerance, time.time() if now is None else now)
    return _event(body, known, int(timestamp))


def aiohttp_webhook_handler(
    client: AsyncVoiceprintClient, secret: str | Iterable[str], *, tolerance: float = 600.0
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Make a handler for aiohttp.web that hands verified deliveries to the client.

    `app.router.add_post("/webhooks/pyannote", aiohttp_webhook_handler(client, secret))`

    Raises:
        ConfigurationError: there is no secret.
    """
    from aiohttp import web  # noqa: PLC0415 - who only sends needs no server

    secrets = _secrets(secret)

    async def handle(request: web.Request) -> web.StreamResponse:
        body = b""
        try:
            while not request.content.at_eof() and len(body) <= LARGEST_WEBHOOK:
                body += await request.content.read(LARGEST_WEBHOOK + 1 - len(body))
            client.deliver(verify(body, request.headers, secrets, tolerance=tolerance))
        except (InvalidSignatureError, StaleWebhookError) as error:
            raise web.HTTPUnauthorized(text=str(error)) from None
        except WebhookError as error:
            raise web.HTTPBadRequest(text=str(error)) from None
        except web.RequestPayloadError:
            raise web.HTTPBadRequest(text="The body cannot be read.") from None
        return web.Response(status=204)

    return handle


def _secrets(secret: str | Iterable[str]) -> list[str]:
    secrets = [secret] if isinstance(secret, str) else list(secret or ())
    if not secrets or not all(isinstance(one, str) and one for one in secrets):
        raise ConfigurationError("There is no webhook secret. It is shown in the dashboard of pyannoteAI.")
    if any(_LONE_SURROGATE.search(one) for one in secrets):
        raise ConfigurationError("The webhook secret is no text: its bytes are not UTF-8.")
    return secrets


def _check_signature(body: bytes, timestamp: str, signature: str, secrets: list[str]) -> None:
    if not signature or not _TIMESTAMP.fullmatch(timestamp):
        raise InvalidSignatureError("The delivery has no X-Signature, or no X-Request-Timestamp that is one.")
    given = _forms(signature)
    signed = b"v0:" + timestamp.encode() + b":" + body
    right = False
    for secret in secrets:
        expected = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
        for form in given:
            right |= hmac.compare_digest(form, expected)
    if not right:
        raise InvalidSignatureError("The signature was not made with this secret.")


def _forms(signature: str) -> list[bytes]:
    """Give every digest that the text can mean: hex, with or without `v0=`, and base64."""
    forms = []
    with suppress(ValueError):
        forms.append(bytes.fromhex(signature.removeprefix("v0=")))
    with suppress(ValueError):
        forms.append(base64.b64decode(signature, validate=True))
    return forms


def _check_freshness(timestamp: int, tolerance: float, now: float) -> None:
    age = now - timestamp
    # `not … <=` rather than `>`: what is no number is never fresh.
    if not abs(age) <= tolerance:
        when = f"{age:.0f} s old" if age > 0 else f"{-age:.0f} s in the future"
        raise StaleWebhookError(f"The delivery is {when}. Check the clocks, or take it for a replay.")


def _event(body: bytes, headers: Mapping[str, str], timestamp: int) -> WebhookEvent:
    try:
        job = codec.decode(VoiceprintJob, body)
    except ValueError as error:
        raise WebhookError(f"The delivery is signed, but {error}.") from None
    retry = headers.get("x-retry-num", "")
    return WebhookEvent(
        job_id=job.job_id,
        status=job.status,
        output=job.output,
        timestamp=datetime.fromtimestamp(timestamp, UTC),
        retry_num=int(retry) if _TIMESTAMP.fullmatch(retry) else None,
        retry_reason=headers.get("x-retry-reason") or None,
    )
