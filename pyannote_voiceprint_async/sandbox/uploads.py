"""Uploads to presigned URLs. Like an object storage, they require a signature and a length, and no API key."""

import hashlib
from collections.abc import Callable, Mapping

from aiohttp import web

from pyannote_voiceprint_async.sandbox.api_state import ApiState
from pyannote_voiceprint_async.sandbox.audio import HEAD_BYTES, LONGEST_RECORDING, LONGEST_VOICE, read_header
from pyannote_voiceprint_async.sandbox.expect_continue import send_continue
from pyannote_voiceprint_async.sandbox.media import StoredMedia
from pyannote_voiceprint_async.sandbox.responses import SandboxResponse, xml_error
from pyannote_voiceprint_async.sandbox.speech import LARGEST_MEASURED

# The largest file of a voiceprint, and the largest file at all, which is that of an identification.
LARGEST_VOICE, LARGEST_BYTES = 100 * 1024**2, 1024**3

# Returns whether a request must be refused.
Condition = Callable[[ApiState, web.BaseRequest], bool]

# Status, code and message of a refusal, and its additional headers.
Refusal = tuple[int, str, str] | tuple[int, str, str, Mapping[str, str]]


async def handle_upload(api: ApiState, request: web.BaseRequest) -> SandboxResponse | None:
    """Store an uploaded file. Return the response, or `None` if the client disconnected before the end of the file."""
    for must_refuse, refusal in _REFUSALS:
        if must_refuse(api, request):
            return xml_error(*refusal)
    try:
        upload = await _receive(request, api)
    except (ConnectionError, web.RequestPayloadError):
        return None
    if upload is None:
        return xml_error(*_TOO_LARGE)
    api.media.store(request.path, upload)
    api.store.add_upload(request.path, upload)
    await api.store.flush()
    return SandboxResponse(200, b"", {"ETag": f'"{upload.sha256.hex()[:32]}"'})


async def _receive(request: web.BaseRequest, api: ApiState) -> StoredMedia | None:
    """Hash and measure the body. Return `None` for a body that is too large."""
    digest, kept, size = hashlib.sha256(), bytearray(), 0
    await send_continue(request)
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size > LARGEST_BYTES:
            return None
        digest.update(chunk)
        if size <= LARGEST_MEASURED:
            kept += chunk
        else:
            del kept[HEAD_BYTES:]
    header = read_header(bytes(kept[:HEAD_BYTES]), size)
    speech = await api.speech.measure(bytes(kept)) if header.is_audio and size <= LARGEST_MEASURED else None
    return StoredMedia(
        sha256=digest.digest(),
        size=size,
        usable=header.is_usable(LONGEST_VOICE) and size <= LARGEST_VOICE,
        stored_at=api.now(),
        seconds=header.seconds,
        identifiable=header.is_usable(LONGEST_RECORDING),
        speech=speech,
    )


def _is_not_put(_api: ApiState, request: web.BaseRequest) -> bool:
    return request.method != "PUT"


def _has_second_authorization(_api: ApiState, request: web.BaseRequest) -> bool:
    return "Authorization" in request.headers


def _is_unsigned(_api: ApiState, request: web.BaseRequest) -> bool:
    return "X-Amz-Signature" not in request.query


def _has_wrong_signature(api: ApiState, request: web.BaseRequest) -> bool:
    return not api.media.is_signed(request.path, request.query)


def _is_expired(api: ApiState, request: web.BaseRequest) -> bool:
    return api.media.is_expired(request.query, api.now())


def _is_chunked(api: ApiState, request: web.BaseRequest) -> bool:
    return "Transfer-Encoding" in request.headers and not api.settings.chunked_put


def _has_no_length(_api: ApiState, request: web.BaseRequest) -> bool:
    return request.content_length is None and "Transfer-Encoding" not in request.headers


def _is_too_large(_api: ApiState, request: web.BaseRequest) -> bool:
    return (request.content_length or 0) > LARGEST_BYTES


_TOO_LARGE = (400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")

# The first matching condition decides. `_is_expired` parses the query, so the check of the signature comes before it.
_REFUSALS: tuple[tuple[Condition, Refusal], ...] = (
    (
        _is_not_put,
        (405, "MethodNotAllowed", "The specified method is not allowed against this resource", {"Allow": "PUT"}),
    ),
    (_has_second_authorization, (400, "InvalidArgument", "Only one auth mechanism allowed")),
    (_is_unsigned, (403, "AccessDenied", "Access Denied")),
    (_has_wrong_signature, (403, "SignatureDoesNotMatch", "The signature does not match the calculated signature")),
    (_is_expired, (403, "AccessDenied", "Request has expired")),
    (_is_chunked, (501, "NotImplemented", "Transfer-Encoding implies functionality that is not implemented")),
    (_has_no_length, (411, "MissingContentLength", "You must provide the Content-Length HTTP header")),
    (_is_too_large, _TOO_LARGE),
)
