"""Verify and parse webhook deliveries of pyannoteAI.

The API signs `v0:{timestamp}:{body}` with HMAC-SHA256 and the secret of the team. Its documentation encodes the
signature in base64, its sample code in hex, and other programs expect `v0=` and hex: every form is accepted.

`verify_webhook` works in any framework. `aiohttp_webhook_handler` is a route for aiohttp.web.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from .api import codec
from .api.endpoints import MAX_OUTPUT_BYTES
from .errors import ConfigurationError, InvalidSignatureError, StaleWebhookError, WebhookError
from .models import Job, WebhookEvent
from .secret import Secret

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["MAX_WEBHOOK_BYTES", "aiohttp_webhook_handler", "verify_webhook"]

MAX_WEBHOOK_BYTES = MAX_OUTPUT_BYTES
"""The limit of a body in bytes: a webhook may hold the output of the longest job."""

Body: TypeAlias = "bytes | bytearray | memoryview | str"
"""The body of a request, in the types that frameworks use."""
Headers: TypeAlias = "Mapping[str, object] | Mapping[bytes, object] | Iterable[tuple[str | bytes, object]]"
"""The headers of a request, in the types that frameworks use."""

_HEADERS = {"x-request-timestamp", "x-signature", "x-retry-num", "x-retry-reason"}
_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")
_TIMESTAMP = re.compile(r"\d{1,11}", re.ASCII)


def verify_webhook(
    body: Body,
    headers: Headers,
    secret: str | bytes | Iterable[str | bytes],
    *,
    tolerance: float = 600.0,
    now: float | None = None,
) -> WebhookEvent:
    """Verify the signature of a delivery, then parse its body.

    A body with the output of a long recording takes a second: call this function in a thread if `body` has megabytes,
    as `aiohttp_webhook_handler` does.

    Args:
        body: the raw body as received. A `str` (AWS Lambda) is encoded as UTF-8. Decode a body that a gateway marks as
            base64 (`isBase64Encoded`) first.
        headers: the headers of the request: a mapping, a list of pairs, ASGI pairs of bytes, the `multiValueHeaders`
            of a Lambda event, or a WSGI environ. The case of names does not matter.
        secret: the webhook secret of the team, or several secrets during a rotation. White space around a secret and
            empty secrets are ignored.
        tolerance: seconds that the timestamp may differ from `now`, in either direction. The API repeats a delivery
            up to six minutes after the first attempt, and does not document whether it signs the repeat again.
        now: the time in UTC epoch seconds; by default the clock of this machine.

    Raises:
        ConfigurationError: there is no secret, or a secret is not text.
        InvalidSignatureError: the signature is missing or wrong; respond with 401.
        StaleWebhookError: the signature is right, but the timestamp is too old or in the future; respond with 401.
        WebhookError: the body is too large, is not bytes or text, or is signed but cannot be parsed.
    """
    candidates, raw, kind = _read_secrets(secret), _read_body(body), type(body).__name__
    # A traceback that shows local variables must not show these.
    del secret, body
    secrets = _check_secrets(candidates)
    if raw is None:
        raise WebhookError(f"The webhook body must be the raw request body as bytes or str, not {kind}.")
    if len(raw) > MAX_WEBHOOK_BYTES:
        raise WebhookError(f"The webhook body has {len(raw)} bytes, more than any webhook of pyannoteAI.")
    api_headers = _read_headers(headers)
    timestamp, signature = _signature_of(api_headers)
    _check_signature(raw, timestamp, signature, secrets)
    _check_freshness(int(timestamp), tolerance, time.time() if now is None else now)
    return _parse_event(raw, api_headers, int(timestamp))


def aiohttp_webhook_handler(
    deliver: Callable[[WebhookEvent], None],
    secret: str | bytes | Iterable[str | bytes],
    *,
    tolerance: float = 600.0,
    max_bytes: int = MAX_WEBHOOK_BYTES,
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Return a handler for aiohttp.web that verifies deliveries and passes their events to `deliver`.

    `app.router.add_post("/webhooks/pyannote", aiohttp_webhook_handler(client.deliver, secret))`

    A delivery without a signature, or with an old timestamp, is refused before its body is read. Large bodies are
    verified in a thread.

    Args:
        deliver: the function that receives each event, usually `client.deliver`.
        secret: see `verify_webhook`.
        tolerance: see `verify_webhook`.
        max_bytes: the limit of a body. The output of an identification of 24 hours may have a hundred megabytes; a
            mebibyte is enough for voiceprints, and for submissions with `webhook_status_only`.

    Raises:
        ConfigurationError: there is no secret, or a secret is not text.
    """
    from aiohttp import web  # noqa: PLC0415 - only this function needs the server part of aiohttp

    candidates = _read_secrets(secret)
    del secret
    secrets = _check_secrets(candidates)

    async def handle(request: web.Request) -> web.StreamResponse:
        refusal: type[web.HTTPException] = web.HTTPBadRequest
        try:
            _check_headers(_read_headers(request.headers), tolerance, time.time())
            body = await _receive_body(request, max_bytes)
            verify = partial(verify_webhook, body, request.headers, secrets, tolerance=tolerance)
            deliver(await asyncio.to_thread(verify) if len(body) > codec.LARGE_BODY else verify())
            return web.Response(status=204)
        except (InvalidSignatureError, StaleWebhookError) as error:
            refusal, reason = web.HTTPUnauthorized, str(error)
        except WebhookError as error:
            reason = str(error)
        except (web.RequestPayloadError, ConnectionResetError):
            reason = "The body of the request cannot be read."
        raise refusal(text=reason)

    return handle


async def _receive_body(request: web.Request, max_bytes: int) -> memoryview:
    body = bytearray()
    while not request.content.at_eof():
        # `read(n)` would collect the parts of `n` bytes and join them: several times the memory of the body.
        body += await request.content.readany()
        if len(body) > max_bytes:
            raise WebhookError(f"The webhook body has more than {max_bytes} bytes.")
    return memoryview(body)


def _read_secrets(secret: object) -> list[Secret | None]:
    """Return the secrets that are not empty, with None for each secret that is not text."""
    if isinstance(secret, str | bytes | bytearray) or not isinstance(secret, Iterable):
        secret = [secret]
    return [text for text in map(_secret_text, secret) if text is None or text]


def _check_secrets(secrets: list[Secret | None]) -> list[Secret]:
    valid = [secret for secret in secrets if secret is not None]
    if not valid or len(valid) < len(secrets):
        problem = "The webhook secret must be a str, or bytes in UTF-8." if secrets else "There is no webhook secret."
        raise ConfigurationError(f"{problem} Copy the secret from the dashboard of pyannoteAI.")
    return valid


def _secret_text(secret: object) -> Secret | None:
    """Return a secret without the white space and byte order mark of the file it came from, or None if not text."""
    if secret is None:
        return Secret()
    try:
        text = bytes(secret).decode() if isinstance(secret, bytes | bytearray | memoryview) else secret
    except UnicodeDecodeError:
        return None
    if not isinstance(text, str) or _LONE_SURROGATE.search(text):
        return None
    # `[:]` returns the value of a `Secret`; its other methods would keep it hidden.
    return Secret(text[:].strip().removeprefix("\ufeff").strip())


def _read_body(body: object) -> memoryview | None:
    """Return the bytes of a body as a memoryview, whose `repr()` hides them, or None for another type."""
    if isinstance(body, str):
        # A lone surrogate must lead to a wrong signature, not to a UnicodeEncodeError.
        return memoryview(body.encode("utf-8", "surrogatepass"))
    return memoryview(bytes(body)) if isinstance(body, bytes | bytearray | memoryview) else None


def _read_headers(headers: Headers) -> dict[str, str]:
    """Return the headers of the API as text, with names in lower case. The first of several values counts.

    Headers of any other type are ignored, so that a delivery without valid headers has no signature.
    """
    items = getattr(headers, "items", None)
    pairs = items() if callable(items) else headers
    found: dict[str, str] = {}
    for pair in pairs if isinstance(pairs, Iterable) else ():
        if isinstance(pair, tuple | list) and len(pair) == 2:  # noqa: PLR2004 - a name and its value
            name = _header_text(pair[0])
            if name.startswith("HTTP_"):
                # A WSGI environ (PEP 3333).
                name = name.removeprefix("HTTP_").replace("_", "-")
            if (name := name.lower()) in _HEADERS:
                found.setdefault(name, _header_text(pair[1]).strip())
    return found


def _header_text(value: Any) -> str:
    match value:
        case str():
            return value
        case bytes() | bytearray() | memoryview():
            return bytes(value).decode("latin-1")
        case int():
            return str(value)
        case [first, *_]:
            return _header_text(first)
        case {"value": inner}:
            # The form of CloudFront is {"x-signature": [{"key": "X-Signature", "value": "…"}]}.
            return _header_text(inner)
        case _:
            return ""


def _check_headers(headers: Mapping[str, str], tolerance: float, now: float) -> None:
    """Check all that the headers alone can show.

    Raises:
        WebhookError: the delivery has no signature, or an old timestamp.
    """
    timestamp, _ = _signature_of(headers)
    _check_freshness(int(timestamp), tolerance, now)


def _signature_of(headers: Mapping[str, str]) -> tuple[str, str]:
    """Return the timestamp and the signature of a delivery."""
    timestamp, signature = headers.get("x-request-timestamp", ""), headers.get("x-signature", "")
    if not signature or not _TIMESTAMP.fullmatch(timestamp):
        raise InvalidSignatureError(
            "The header X-Signature is missing, or the header X-Request-Timestamp is missing or malformed. Pass the "
            "headers of the request as received."
        )
    return timestamp, signature


def _check_signature(body: memoryview, timestamp: str, signature: str, secrets: list[Secret]) -> None:
    digests = _decode_signature(signature)
    is_valid = False
    for secret in secrets:
        expected = hmac.new(secret.encode(), b"v0:" + timestamp.encode() + b":", hashlib.sha256)
        expected.update(body)
        for digest in digests:
            is_valid |= hmac.compare_digest(digest, expected.digest())
    if not is_valid:
        raise InvalidSignatureError(
            "The signature was made with another secret or for another body. Pass the body exactly as received, and "
            "during a rotation the old and the new secret."
        )


def _decode_signature(signature: str) -> list[bytes]:
    """Return every digest that the text can encode: in hex, with or without `v0=`, and in base64."""
    digests = []
    with suppress(ValueError):
        digests.append(bytes.fromhex(signature.removeprefix("v0=")))
    with suppress(ValueError):
        digests.append(base64.b64decode(signature, validate=True))
    return digests


def _check_freshness(timestamp: int, tolerance: float, now: float) -> None:
    age = now - timestamp
    # `not … <=` also rejects NaN, which `>` does not.
    if not abs(age) <= tolerance:
        when = f"{age:.0f} s old" if age > 0 else f"{-age:.0f} s in the future"
        raise StaleWebhookError(f"The delivery is {when}. It is a replay, or the clock of this machine is wrong.")


def _parse_event(body: memoryview, headers: Mapping[str, str], timestamp: int) -> WebhookEvent:
    try:
        job, problem = codec.decode(Job, body), ""
    except ValueError as error:
        job, problem = None, str(error)
    if job is None:
        # Raised outside of the `except`, because the error in `__context__` would show the body.
        raise WebhookError(f"The delivery is signed, but {problem}.")
    retry = headers.get("x-retry-num", "")
    return WebhookEvent(
        job_id=job.job_id,
        status=job.status,
        output=job.output,
        timestamp=datetime.fromtimestamp(timestamp, UTC),
        retry_num=int(retry) if _TIMESTAMP.fullmatch(retry) else None,
        retry_reason=headers.get("x-retry-reason") or None,
    )
