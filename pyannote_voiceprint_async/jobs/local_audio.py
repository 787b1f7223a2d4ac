"""Local audio, opened for an upload: read off the event loop, in chunks, and never whole in memory."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import re
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import PurePath
from typing import IO, Any, TypeAlias, TypeVar

from pyannote_voiceprint_async.errors import MediaError
from pyannote_voiceprint_async.local_files import BinaryFile, open_regular_file, reason_of

__all__ = ["MAX_WAVEFORM_SECONDS", "LocalAudio", "OpenedAudio", "is_local", "open_audio"]

LocalAudio: TypeAlias = "os.PathLike[str] | bytes | BinaryFile | Mapping[str, object]"
"""Audio of this machine: a path, the bytes of a file, an open binary file that can be rewound, or a waveform:
`{"waveform": array, "sample_rate": int}`, which needs the extra `[audio]`."""

MAX_WAVEFORM_SECONDS = 24 * 3600.0
"""The longest waveform that is uploaded without a check whether it is suitable for a voiceprint."""

T = TypeVar("T")

_CHUNK = 256 * 1024
_SUFFIX = r"\.[a-z0-9]{1,8}"
_UNCHECKED = "Nothing was sent; check=False sends the audio unchecked."
_OPEN_AS_TEXT = "The file is open as text. Open it in binary mode: open(path, 'rb')."


def is_local(source: object) -> bool:
    """Return whether the source is local audio. A `str` never is: it is always a URL."""
    return isinstance(source, os.PathLike | bytes | Mapping) or hasattr(source, "read")


class OpenedAudio:
    """Opened local audio: its size, its suffix, and its bytes, which can be read more than once."""

    def __init__(self, file: BinaryFile, start: int, size: int, suffix: str) -> None:
        self.size = size
        self.suffix = suffix
        self._file = file
        self._start = start
        self._in_memory = isinstance(file, io.BytesIO)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes in chunks, from the beginning.

        Raises:
            MediaError: the file cannot be rewound or read, or its length has changed.
        """
        await self._run("rewound", self._file.seek, self._start)
        left = self.size
        while left:
            chunk = await self._run("read", self._file.read, min(_CHUNK, left))
            if not isinstance(chunk, bytes):
                raise MediaError(_OPEN_AS_TEXT)
            if not chunk:
                raise MediaError("The audio became shorter during the upload. Upload it when the file is complete.")
            left -= len(chunk)
            # Checked before the last chunk is sent: the storage must not accept a file that is still growing.
            if not left and len(await self._run("read", self._file.read, 1)):
                raise MediaError("The audio became longer during the upload. Upload it when the file is complete.")
            yield chunk

    async def sha256(self) -> str:
        """Return the SHA-256 of the bytes.

        Raises:
            MediaError: as `chunks`.
        """
        digest = hashlib.sha256()
        async for chunk in self.chunks():
            await asyncio.to_thread(digest.update, chunk)
        return digest.hexdigest()

    async def check(self) -> tuple[str, ...]:
        """Check on a worker thread whether the audio is suitable for a voiceprint, and return the warnings.

        Without the extra `[audio]` nothing is checked.

        Raises:
            MediaError: the audio is too long, too short, silent, damaged, joined, or not audio at all.
        """
        is_abandoned = threading.Event()
        check = asyncio.ensure_future(asyncio.to_thread(_warnings, self._file, self._start, is_abandoned.is_set))
        try:
            return await asyncio.shield(check)
        except asyncio.CancelledError:
            # A thread cannot be cancelled: it stops at its next read. Its error is retrieved, so that asyncio does not
            # log it.
            is_abandoned.set()
            check.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise

    async def _run(self, verb: str, function: Callable[[int], T], argument: int) -> T:
        try:
            if self._in_memory:
                return function(argument)
            return await asyncio.to_thread(function, argument)
        except (OSError, ValueError) as exc:
            raise MediaError(f"The audio cannot be {verb} ({reason_of(exc)}).") from None


@asynccontextmanager
async def open_audio(source: LocalAudio, *, for_voiceprint: bool = False) -> AsyncIterator[OpenedAudio]:
    """Open local audio and measure it. A file that the caller opened stays open, and its position changes.

    Args:
        source: the audio.
        for_voiceprint: check that a waveform is suitable for a voiceprint. `OpenedAudio.check` does this for files.

    Raises:
        MediaError: the audio is missing, empty, open as text, not a regular file, cannot be rewound, is not a valid
            waveform, or a waveform that is not suitable for a voiceprint.
        ConfigurationError: the source is a waveform, and the extra `[audio]` is not installed.
    """
    if isinstance(source, Mapping):
        encoded = await asyncio.to_thread(_encode, source, for_voiceprint=for_voiceprint)
        yield _measure(io.BytesIO(encoded), ".flac")
    elif isinstance(source, bytes):
        yield _measure(io.BytesIO(source), "")
    elif isinstance(source, os.PathLike):
        file = await _open_in_thread(source)
        try:
            yield await asyncio.to_thread(_measure, file, PurePath(source).suffix)
        finally:
            await asyncio.to_thread(file.close)
    else:
        yield await asyncio.to_thread(_measure, source, "")


async def _open_in_thread(path: os.PathLike[str]) -> IO[bytes]:
    opening = asyncio.ensure_future(asyncio.to_thread(open_regular_file, path))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        # A thread cannot be cancelled: close the file that it will open.
        opening.add_done_callback(lambda done: done.exception() or done.result().close())
        raise


def _measure(file: Any, suffix: str) -> OpenedAudio:
    if isinstance(file, io.TextIOBase):
        raise MediaError(_OPEN_AS_TEXT)
    try:
        start = file.tell()
        size = file.seek(0, os.SEEK_END) - start
        file.seek(start)
    except (OSError, ValueError, AttributeError) as exc:
        raise MediaError(
            f"The audio cannot be rewound, so its length is not known ({reason_of(exc)}). Pass a path, or the bytes of "
            "the file."
        ) from None
    if size <= 0:
        raise MediaError("The audio is empty: there is nothing to upload.")
    return OpenedAudio(file, start, size, suffix.lower() if re.fullmatch(_SUFFIX, suffix.lower()) else "")


def _encode(waveform: Mapping[str, object], *, for_voiceprint: bool) -> bytes:
    """Encode a waveform as FLAC, without loss."""
    # Imported here, because most programs have no waveforms and start faster without numpy.
    from pyannote_voiceprint_async.audio import LONGEST_SECONDS, assess, cut, fatal_message  # noqa: PLC0415

    clip = cut(waveform, longest=LONGEST_SECONDS if for_voiceprint else MAX_WAVEFORM_SECONDS)
    if for_voiceprint and (reason := fatal_message(assess(clip.facts))):
        raise MediaError(f"The waveform {reason}. Nothing was sent.")
    return clip.audio


def _warnings(file: BinaryFile, start: int, is_abandoned: Callable[[], bool]) -> tuple[str, ...]:
    """Check a file, and return the findings that are no reason to refuse it."""
    from pyannote_voiceprint_async.audio import CancelableFile, check_audio_if_installed, fatal_message  # noqa: PLC0415

    file.seek(start)
    try:
        findings = check_audio_if_installed(CancelableFile(file, is_abandoned))
    except MediaError as error:
        raise MediaError(f"{error} {_UNCHECKED}") from None
    if reason := fatal_message(findings):
        raise MediaError(f"The audio {reason}. {_UNCHECKED}")
    return tuple(finding.message for finding in findings)
