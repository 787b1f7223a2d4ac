"""Webhooks: is a delivery from pyannoteAI, is it fresh, and what does it say?

The API signs `v0:{timestamp}:{body}` with HMAC-SHA256 and the team's secret. Its documents write the signature in
base64, its sample in hex, and programs expect `v0=` and hex: each is taken.

`verify_webhook` is pure, and works in any framework. `aiohttp_webhook_handler` is the same for aiohttp.web.
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
from typing import TYPE_CHECKING, Any, TypeAlias

from .api import codec
from .errors import ConfigurationError, InvalidSignatureError, StaleWebhookError, WebhookError
from .models import VoiceprintJob, WebhookEvent
from .secret import Secret

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["MAX_WEBHOOK_BYTES", "aiohttp_webhook_handler", "verify_webhook"]

MAX_WEBHOOK_BYTES = 1024 * 1024
"""Bytes of a body; more is no webhook of this API."""

Body: TypeAlias = "bytes | bytearray | memoryview | str"
"""A request's body, as frameworks hand it over."""
Headers: TypeAlias = "Mapping[str, Any] | Mapping[bytes, Any] | Iterable[tuple[str | bytes, Any]]"
"""A request's headers, as frameworks hand them over."""

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
    """Verify a delivery, and return its event. The content is not parsed before the signature is verified.

    Args:
        body: the raw body as received; a `str` (AWS Lambda) stands for its UTF-8 bytes. Decode a body that a gateway
            marks as base64 (`isBase64Encoded`) first.
        headers: the request's headers, in any form that frameworks use: a mapping, a list of pairs, ASGI pairs of
            bytes, a Lambda event's `multiValueHeaders`, or a WSGI environ; names in any case.
        secret: the team's webhook secret; several while it is being rotated. White space around a secret, and empty
            secrets, are ignored.
        tolerance: seconds by which the timestamp may be off, either way. The API's last repeat comes six minutes
            after the first try, and it is not known whether it is signed anew.
        now: UTC epoch seconds; the machine's clock by default.

    Raises:
        ConfigurationError: there is no secret, or it is not text.
        InvalidSignatureError: the signature is missing or wrong; answer with 401.
        StaleWebhookError: the signature is right, but too old or from the future; answer with 401.
        WebhookError: the body is too long, is not bytes or text, or is signed but cannot be understood.
    """
    hidden, raw, kind = _hidden(secret), _raw(body), type(body).__name__
    # A traceback may be shown with its local variables.
    del secret, body
    secrets = _checked(hidden)
    if raw is None:
        raise WebhookError(f"The webhook body must be the raw request body as bytes or str, not {kind}.")
    if len(raw) > MAX_WEBHOOK_BYTES:
        raise WebhookError(f"The body has {len(raw)} bytes: that is no webhook of pyannoteAI.")
    known = _known(headers)
    timestamp = known.get("x-request-timestamp", "")
    _check_signature(raw, timestamp, known.get("x-signature", ""), secrets)
    _check_freshness(int(timestamp), tolerance, time.time() if now is None else now)
    return _event(raw, known, int(timestamp))


def aiohttp_webhook_handler(
    deliver: Callable[[WebhookEvent], None], secret: str | bytes | Iterable[str | bytes], *, tolerance: float = 600.0
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Make a handler for aiohttp.web that hands verified deliveries to the client.

    `app.router.add_post("/webhooks/pyannote", aiohttp_webhook_handler(client.deliver, secret))`

    Raises:
        ConfigurationError: there is no secret.
    """
    from aiohttp import web  # noqa: PLC0415 - who only sends needs no server

    hidden = _hidden(secret)
    del secret
    secrets = _checked(hidden)

    async def handle(request: web.Request) -> web.StreamResponse:
        refusal: type[web.HTTPException] = web.HTTPBadRequest
        try:
            deliver(verify_webhook(await _read(request), request.headers, secrets, tolerance=tolerance))
            return web.Response(status=204)
        except (InvalidSignatureError, StaleWebhookError) as error:
            refusal, reason = web.HTTPUnauthorized, str(error)
        except WebhookError as error:
            reason = str(error)
        except web.RequestPayloadError:
            reason = "The body cannot be read."
        raise refusal(text=reason)

    return handle


async def _read(request: web.Request) -> memoryview:
    body = bytearray()
    while not request.content.at_eof() and len(body) <= MAX_WEBHOOK_BYTES:
        body += await request.content.read(MAX_WEBHOOK_BYTES + 1 - len(body))
    return memoryview(body)


def _hidden(secret: object) -> list[Secret | None]:
    """Return the secrets that are not empty; None stands for one that is not text."""
    several = [secret] if isinstance(secret, str | bytes | bytearray) or not isinstance(secret, Iterable) else secret
    return [text for text in map(_secret_text, several) if text is None or text]


def _checked(secrets: list[Secret | None]) -> list[Secret]:
    checked = [secret for secret in secrets if secret is not None]
    if not checked or len(checked) < len(secrets):
        problem = (
            "The webhook secret must be text: a str, or bytes in UTF-8." if secrets else "There is no webhook secret."
        )
        raise ConfigurationError(f"{problem} The secret is shown in the dashboard of pyannoteAI.")
    return checked


def _secret_text(secret: object) -> Secret | None:
    """Return a secret without the white space and the byte order mark that files add, or None if it is not text."""
    if secret is None:
        return Secret()
    try:
        text = bytes(secret).decode() if isinstance(secret, bytes | bytearray | memoryview) else secret
    except UnicodeDecodeError:
        return None
    if not isinstance(text, str) or _LONE_SURROGATE.search(text):
        return None
    # `[:]` returns the value of a `Secret`.
    return Secret(text[:].strip().removeprefix("\ufeff").strip())


def _raw(body: object) -> memoryview | None:
    """Return the bytes of a body, or None if it has none. `repr()` of a memoryview does not show its content."""
    if isinstance(body, str):
        # A lone surrogate gives bytes that nobody signed, instead of a UnicodeEncodeError.
        return memoryview(body.encode("utf-8", "surrogatepass"))
    return memoryview(bytes(body)) if isinstance(body, bytes | bytearray | memoryview) else None


def _known(headers: Headers) -> dict[str, str]:
    """Return the headers that matter as text under lower-case names, whatever form they have.

    The first of several values of a name counts.
    """
    items = getattr(headers, "items", None)
    pairs = items() if callable(items) else headers
    known: dict[str, str] = {}
    for pair in pairs if isinstance(pairs, Iterable) else ():
        if isinstance(pair, tuple | list) and len(pair) == 2:  # noqa: PLR2004 - a name and its value
            name = _header_text(pair[0])
            if name.startswith("HTTP_"):
                # The name in a WSGI environ (PEP 3333).
                name = name.removeprefix("HTTP_").replace("_", "-")
            if (name := name.lower()) in _HEADERS:
                known.setdefault(name, _header_text(pair[1]).strip())
    return known


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
            # CloudFront's form: {"x-signature": [{"key": "X-Signature", "value": "…"}]}
            return _header_text(inner)
        case _:
            return ""


def _check_signature(body: memoryview, timestamp: str, signature: str, secrets: list[Secret]) -> None:
    if not signature or not _TIMESTAMP.fullmatch(timestamp):
        raise InvalidSignatureError(
            "The header X-Signature is missing, or the header X-Request-Timestamp is missing or malformed. Pass the "
            "headers of the request as received."
        )
    given = _forms(signature)
    right = False
    for secret in secrets:
        expected = hmac.new(secret.encode(), b"v0:" + timestamp.encode() + b":", hashlib.sha256)
        expected.update(body)
        for form in given:
            right |= hmac.compare_digest(form, expected.digest())
    if not right:
        raise InvalidSignatureError(
            "The signature was not made with this secret, or not of this body. Pass the body exactly as received, and "
            "while the secret is rotated the old and the new secret."
        )


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


def _event(body: memoryview, headers: Mapping[str, str], timestamp: int) -> WebhookEvent:
    try:
        job, problem = codec.decode(VoiceprintJob, body), ""
    except ValueError as error:
        job, problem = None, str(error)
    if job is None:
        # Outside of the `except`: the context of this error would show the body.
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
