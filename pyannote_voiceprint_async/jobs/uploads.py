"""The upload of opened audio to the storage of the API."""

from __future__ import annotations

import re
from collections.abc import Callable
from uuid import uuid4

from pyannote_voiceprint_async.api import codec, rate_limit_headers
from pyannote_voiceprint_async.api.endpoints import MEDIA_INPUT
from pyannote_voiceprint_async.api.responses import ApiResponse
from pyannote_voiceprint_async.errors import MediaError, ServerError, UnexpectedResponseError, VoiceprintError
from pyannote_voiceprint_async.transport.pipeline import Pipeline

from .local_audio import OpenedAudio

__all__ = ["upload"]

_ERROR_CODE = re.compile(rb"<Code>([A-Za-z]{1,60})</Code>")
# A storage responds with 403 to a presigned URL that has expired: a fresh URL helps.
_RETRYABLE_STATUSES = {403, 408, 429}
_FIRST_SUCCESS, _FIRST_ERROR, _FIRST_SERVER_ERROR, _LAST_SERVER_ERROR = 200, 300, 500, 599


class _Attempts:
    """The state of one upload, as `Pipeline.with_retries` needs it."""

    first_sent_at: float | None = None
    deadline: float | None = None
    retries = 0

    def __str__(self) -> str:
        """Return the name of the request in events."""
        return "PUT"


async def upload(
    pipeline: Pipeline, audio: OpenedAudio, media_url: str | None, on_progress: Callable[[int, int], object] | None
) -> str:
    """Upload opened audio, and return its `media://` URL. Each try requests a fresh presigned URL.

    Args:
        pipeline: sends the requests.
        audio: the audio.
        media_url: the `media://` URL to use; by default a new one.
        on_progress: called with the bytes sent and the bytes in total.

    Raises:
        MediaError: the audio cannot be read, or the storage refuses it.
        VoiceprintError: the API gives no presigned URL.
    """
    # No slashes and no underscores: it is unclear whether the API accepts them in media keys.
    target = media_url or f"media://{uuid4().hex}{audio.suffix}"

    async def upload_once(_: _Attempts) -> None:
        presigned = await pipeline.send(MEDIA_INPUT, body=codec.encode({"url": target}), once=True)
        response = await pipeline.http.put(presigned.url, size=audio.size, chunks=audio.chunks, on_progress=on_progress)
        if not _FIRST_SUCCESS <= response.status < _FIRST_ERROR:
            raise _storage_error(response, pipeline.wall())

    await pipeline.with_retries(upload_once, _Attempts())
    return target


def _storage_error(response: ApiResponse, wall: float) -> VoiceprintError:
    if not _FIRST_SUCCESS <= response.status <= _LAST_SERVER_ERROR:
        return UnexpectedResponseError(
            f"The storage returned status {response.status}, which is not an HTTP status. Nothing was submitted.",
            status=response.status,
            retryable=True,
        )
    code = _ERROR_CODE.search(response.body)
    reason = f", {code.group(1).decode()}" if code else ""
    error_class = ServerError if response.status >= _FIRST_SERVER_ERROR else MediaError
    return error_class(
        f"The storage refused the audio (status {response.status}{reason}). Nothing was submitted.",
        status=response.status,
        retry_after=rate_limit_headers.retry_after(response.headers, wall),
        retryable=response.status in _RETRYABLE_STATUSES or response.status >= _FIRST_SERVER_ERROR,
    )
