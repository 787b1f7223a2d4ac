"""Local audio to `media://`: read off the event loop, streamed with a known length, never whole in memory."""

from __future__ import annotations

import asyncio
import io
import os
import re
import stat
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path, PurePath
from typing import IO, Any, TypeAlias, TypeVar, cast
from uuid import uuid4

from pyannote_voiceprint_async.api import codec, rate_limit_headers
from pyannote_voiceprint_async.api.endpoints import MEDIA_INPUT
from pyannote_voiceprint_async.api.responses import ApiResponse
from pyannote_voiceprint_async.errors import MediaError, ServerError, UnexpectedResponseError, VoiceprintError
from pyannote_voiceprint_async.transport.pipeline import Pipeline

__all__ = ["LONGEST_WAVEFORM", "Audio", "LocalAudio", "is_local", "opened", "upload"]

LocalAudio: TypeAlias = "os.PathLike[str] | bytes | IO[bytes] | Mapping[str, Any]"
"""A path, the bytes themselves, an open binary file that can be rewound, or samples in memory:
`{"waveform": array, "sample_rate": int}`, which need the extra `[audio]`."""

LONGEST_WAVEFORM = 24 * 3600.0
"""Seconds of samples in memory that are uploaded at most, where no voiceprint is made of them."""

T = TypeVar("T")

_REFUSED = "Nothing was sent; check=False sends the audio unchecked."

_CHUNK = 256 * 1024
_SUFFIX = re.compile(r"\.[a-z0-9]{1,8}", re.ASCII)
_CODE = re.compile(rb"<Code>([A-Za-z]{1,60})</Code>")
# A presigned URL that died while it waited is refused with 403: a fresh one helps.
_WORTH_A_FRESH_URL = {403, 408, 429}
_FIRST_SUCCESS, _FIRST_ERROR, _FIRST_SERVER_ERROR, _LAST_SERVER_ERROR = 200, 300, 500, 599


def is_local(source: object) -> bool:
    """Whether it is audio of this machine. A `str` never is: local audio must be meant."""
    return isinstance(source, os.PathLike | bytes | Mapping) or hasattr(source, "read")


class Audio:
    """Opened local audio: its size, its suffix, and its bytes as often as they are wanted."""

    def __init__(self, file: IO[bytes], start: int, size: int, suffix: str) -> None:
        self.size = size
        self.suffix = suffix
        self._file = file
        self._start = start
        self._in_memory = isinstance(file, io.BytesIO)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Give it from the beginning.

        Raises:
            MediaError: it cannot be rewound or read, or is no longer as long as it was.
        """
        await self._run("rewound", self._file.seek, self._start)
        left = self.size
        while left:
            chunk = await self._run("read", self._file.read, min(_CHUNK, left))
            if not isinstance(chunk, bytes):
                raise MediaError("The file is open as text. Open it in binary mode: open(path, 'rb').")
            if not chunk:
                raise MediaError("The audio became shorter while it was sent. Upload it when it is complete.")
            left -= len(chunk)
            # Looked at before the last byte leaves: the storage must not have all of a file that is not complete.
            if not left and len(await self._run("read", self._file.read, 1)):
                raise MediaError("The audio became longer while it was sent. Upload it when it is complete.")
            yield chunk

    async def check(self) -> tuple[str, ...]:
        """Check whether the audio is worth a voiceprint, on a worker thread, and return what is worth a warning.

        Without the extra `[audio]` nothing is checked.

        Raises:
            MediaError: the audio would be refused: it is too long, too short, silent, damaged, joined or no audio.
        """
        over = threading.Event()
        checking = asyncio.ensure_future(asyncio.to_thread(_findings, self._file, self._start, over.is_set))
        try:
            return await asyncio.shield(checking)
        except asyncio.CancelledError:
            # The thread goes on until its next read, and its error interests nobody.
            over.set()
            checking.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise

    async def _run(self, what: str, function: Callable[[int], T], argument: int) -> T:
        try:
            if self._in_memory:
                return function(argument)
            return await asyncio.to_thread(function, argument)
        except (OSError, ValueError) as exc:
            raise MediaError(f"The audio cannot be {what} ({_why(exc)}).") from None


@asynccontextmanager
async def opened(source: LocalAudio, *, is_voice: bool = False) -> AsyncIterator[Audio]:
    """Open local audio and measure it. A file of the caller's is left open, wherever reading ended.

    Args:
        source: the audio.
        is_voice: a voiceprint is made of it: a waveform, whose samples are at hand, must be worth one.

    Raises:
        MediaError: it is missing, no regular file, empty, text, cannot be measured, or is no waveform, or
            none that is worth a voiceprint.
        ConfigurationError: it is a waveform, and the extra `[audio]` is missing.
    """
    if isinstance(source, Mapping):
        yield _measured(io.BytesIO(await asyncio.to_thread(_encoded, source, is_voice=is_voice)), ".flac")
    elif isinstance(source, bytes):
        yield _measured(io.BytesIO(source), "")
    elif isinstance(source, os.PathLike):
        file = await _opened_file(source)
        try:
            yield await asyncio.to_thread(_measured, file, PurePath(source).suffix)
        finally:
            await asyncio.to_thread(file.close)
    else:
        yield await asyncio.to_thread(_measured, source, "")


async def _opened_file(path: os.PathLike[str]) -> IO[bytes]:
    opening = asyncio.ensure_future(asyncio.to_thread(_open, path))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        # The thread goes on, and its file would stay open.
        opening.add_done_callback(lambda done: done.exception() or done.result().close())
        raise


class _Attempt:
    """One upload, as far as repeating it is concerned."""

    first_sent_at: float | None = None
    deadline: float | None = None
    retries = 0


async def upload(
    transport: Pipeline, audio: Audio, url: str | None, on_progress: Callable[[int, int], object] | None
) -> str:
    """Upload opened audio and give its `media://` URL. Each try asks for a fresh presigned URL.

    Raises:
        MediaError: the audio or the storage is at fault.
        VoiceprintError: what asking for the presigned URL raises.
    """
    # A flat key without underscores: nested and underscored ones are said both to work and to fail.
    media_url = url or f"media://{uuid4().hex}{audio.suffix}"

    async def once(_: _Attempt) -> None:
        presigned = await transport.send(MEDIA_INPUT, body=codec.encode({"url": media_url}), once=True)
        answer = await transport.http.put(presigned.url, size=audio.size, chunks=audio.chunks, on_progress=on_progress)
        if not _FIRST_SUCCESS <= answer.status < _FIRST_ERROR:
            raise _storage_error(answer, transport.wall())

    await transport.with_retries(once, _Attempt())
    return media_url


def _encoded(waveform: Mapping[str, Any], *, is_voice: bool) -> bytes:
    # Most programs have no waveforms, and start without it.
    from pyannote_voiceprint_async.audio import LONGEST_SECONDS, cut, judge, refusal  # noqa: PLC0415

    clip = cut(waveform, longest=LONGEST_SECONDS if is_voice else LONGEST_WAVEFORM)
    if is_voice and (reason := refusal(judge(clip.facts))):
        raise MediaError(f"The waveform {reason}. Nothing was sent.")
    return clip.audio


def _findings(file: IO[bytes], start: int, is_over: Callable[[], bool]) -> tuple[str, ...]:
    from pyannote_voiceprint_async.audio import AbandonableFile, check_if_possible, refusal  # noqa: PLC0415

    file.seek(start)
    try:
        found = check_if_possible(cast("IO[bytes]", AbandonableFile(file, is_over)))
    except MediaError as error:
        raise MediaError(f"{error} {_REFUSED}") from None
    if reason := refusal(found):
        raise MediaError(f"The audio {reason}. {_REFUSED}")
    return tuple(finding.message for finding in found)


def _open(path: os.PathLike[str]) -> IO[bytes]:
    try:
        # Before it is opened: opening a named pipe would wait for somebody who writes.
        mode = Path(path).stat().st_mode
        if stat.S_ISREG(mode):
            return Path(path).open("rb")
    except (OSError, ValueError) as exc:
        raise MediaError(f"The audio file cannot be opened ({_why(exc)}): {os.fspath(path)}") from None
    kind = "is a directory" if stat.S_ISDIR(mode) else "it is no audio file"
    raise MediaError(f"The audio file cannot be opened ({kind}): {os.fspath(path)}")


def _measured(file: Any, suffix: str) -> Audio:
    if isinstance(file, io.TextIOBase):
        raise MediaError("The file is open as text. Open it in binary mode: open(path, 'rb').")
    try:
        start = file.tell()
        size = file.seek(0, os.SEEK_END) - start
        file.seek(start)
    except (OSError, ValueError, AttributeError) as exc:
        raise MediaError(
            f"The audio cannot be rewound, so its length is not known ({_why(exc)}). Give a path, or its bytes."
        ) from None
    if size <= 0:
        raise MediaError("The audio is empty: there is nothing to upload.")
    return Audio(file, start, size, suffix.lower() if _SUFFIX.fullmatch(suffix.lower()) else "")


def _why(exc: Exception) -> str:
    return (getattr(exc, "strerror", None) or str(exc) or type(exc).__name__).lower()


def _storage_error(answer: ApiResponse, wall: float) -> VoiceprintError:
    code = _CODE.search(answer.body)
    reason = f", {code.group(1).decode()}" if code else ""
    if not _FIRST_SUCCESS <= answer.status <= _LAST_SERVER_ERROR:
        return UnexpectedResponseError(
            f"The storage answered with {answer.status}, which is no status. Nothing was submitted.",
            status=answer.status,
            retryable=True,
        )
    error = ServerError if answer.status >= _FIRST_SERVER_ERROR else MediaError
    return error(
        f"The storage did not take the audio (status {answer.status}{reason}). Nothing was submitted.",
        status=answer.status,
        retry_after=rate_limit_headers.retry_after(answer.headers, wall),
        retryable=answer.status in _WORTH_A_FRESH_URL or answer.status >= _FIRST_SERVER_ERROR,
    )
