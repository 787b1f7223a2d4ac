"""A look at the files of a list before a cent is spent: which recording each is, and whether it is worth a voiceprint.

All of it blocks: it belongs on a worker thread.
"""

import hashlib
import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Self, cast

import attrs

from pyannote_voiceprint_async.api.endpoints import MAX_VOICEPRINT_BYTES
from pyannote_voiceprint_async.audio import (
    AbandonableFile,
    Finding,
    best_part,
    check,
    cut,
    cut_pieces,
    judge,
    refusal,
)
from pyannote_voiceprint_async.errors import ConfigurationError, MediaError
from pyannote_voiceprint_async.redaction import redact_url

from .segments import Segments, has_overlap, segments_to_json

__all__ = ["PREFLIGHT_UNAVAILABLE", "CheckedAudio", "Preflight", "change_time_ns", "clip_identity", "file_digest"]

PREFLIGHT_UNAVAILABLE = (
    "was not looked at before it is sent, nor is any other file; that needs an extra: "
    "pip install 'pyannote-voiceprint-async[audio]'"
)
"""What is told of the first file where nothing can be looked at."""


@attrs.frozen
class CheckedAudio:
    """What is known of a file, or of a part of it."""

    identity: str = attrs.field(repr=redact_url)
    """What is equal for the same audio: `sha256:…` of a file's bytes, or `samples:…` of what was cut out."""
    segments: Segments = ()
    """What is cut out of it before it is sent."""
    warnings: tuple[str, ...] | None = ()
    """What is to be told of it, and is no reason not to enroll it; None where an earlier run found and told it."""
    size: int | None = None
    """Bytes of the file."""
    modified_ns: int | None = None
    """When the file was changed last, see `change_time_ns`."""
    expires_at: float | None = None
    """When a presigned URL expires: UTC epoch seconds."""


@attrs.frozen
class Preflight:
    """How files are looked at."""

    is_enabled: bool
    """Whether it is said what is wrong with them."""
    trim: bool = False
    """Whether the best 30 seconds are taken of what is too long."""
    is_unavailable: bool = False
    """Whether they should be looked at, and cannot be: the extra `[audio]` is missing."""
    is_canceled: Callable[[], bool] = lambda: False
    """Whether nobody wants to know any more: hours of audio must not hold up who leaves."""

    @classmethod
    def create(cls, *, is_wanted: bool, trim: bool, is_canceled: Callable[[], bool] = lambda: False) -> Self:
        """Look at files where that is possible.

        Raises:
            ConfigurationError: something is to be trimmed, and the extra `[audio]` is missing.
        """
        is_enabled = is_wanted and find_spec("soundfile") is not None
        if trim and not is_enabled:
            raise ConfigurationError(
                "Nothing can be trimmed without looking into it, which needs an extra: "
                "pip install 'pyannote-voiceprint-async[audio]'"
            )
        return cls(is_enabled, trim, is_wanted and not is_enabled, is_canceled)

    def settings_key(self, segments: Segments) -> str:
        """Give what is equal where a file was, or would be, looked at in the same way."""
        words = (
            "look" if self.is_enabled else "",
            "trim" if self.trim and not segments else "",
            segments_to_json(segments) or "",
        )
        return " ".join(filter(None, words))

    def check_file(self, path: Path, found: os.stat_result, segments: Segments) -> CheckedAudio:
        """Look at a file.

        Args:
            path: the file.
            found: what `path.stat()` said of it.
            segments: what is to be cut out of it; nothing is all of it.

        Raises:
            OSError: it cannot be read.
            MediaError: it must not be enrolled, or is no longer what was found.
            ConfigurationError: something is to be cut out, and the extra `[audio]` is missing.
        """
        with path.open("rb") as file:
            audio = cast("IO[bytes]", AbandonableFile(file, self.is_canceled))
            audio_check = self._clip(audio, segments) if segments else self._whole(audio, path, found)
        if _is_changed(path.stat(), found):
            raise _changed()
        return audio_check

    def _whole(self, audio: IO[bytes], path: Path, found: os.stat_result) -> CheckedAudio:
        if not self.is_enabled:
            return _unheard(path, found)
        found_in_it = check(audio, trims=self.trim)
        warnings = _warnings(found_in_it.findings)
        if found_in_it.facts is None and self.trim:
            warnings = (f"is {found_in_it.format}, which cannot be trimmed here; it is uploaded as it is",)
        if any(finding.code == "trimmed" for finding in found_in_it.findings):
            return _trimmed(audio)
        return attrs.evolve(_unheard(path, found), warnings=warnings)

    def _clip(self, audio: IO[bytes], segments: Segments) -> CheckedAudio:
        clip = cut_pieces(audio, segments)
        warnings = _warnings(judge(clip.facts)) if self.is_enabled else ()
        twice = ("has parts that overlap, so that the same words are heard twice",) if has_overlap(segments) else ()
        return CheckedAudio(clip_identity(clip.digest), segments, (*twice, *warnings))


def _trimmed(audio: IO[bytes]) -> CheckedAudio:
    start, end = best_part(audio)
    clip = cut(audio, start, end)
    told = f"is too long; only {start:.1f} to {end:.1f} s are used; see that only one person speaks there"
    return CheckedAudio(clip_identity(clip.digest), ((start, end),), (told, *_warnings(judge(clip.facts))))


def clip_identity(digest: str) -> str:
    """Give the identity of a clip with this digest."""
    return f"samples:{digest}"


def change_time_ns(found: os.stat_result) -> int:
    """Give when a file was changed last, in nanoseconds of the epoch.

    Its own time of change can be set by anybody (`cp -p`, `tar`, `rsync -t`); when its entry was changed cannot.
    """
    return max(found.st_mtime_ns, found.st_ctime_ns)


def file_digest(path: Path, found: os.stat_result) -> str:
    """Give the SHA-256 of a file in hexadecimal digits.

    Args:
        path: the file.
        found: what `path.stat()` said of it.

    Raises:
        OSError: it cannot be read.
        MediaError: it is no longer what was found.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        now = os.fstat(file.fileno())
    if _is_changed(now, found):
        raise _changed()
    return digest


def _unheard(path: Path, found: os.stat_result) -> CheckedAudio:
    # What is cut may come out of any file; a whole one is uploaded as it is.
    if found.st_size > MAX_VOICEPRINT_BYTES:
        largest = MAX_VOICEPRINT_BYTES / 2**20
        raise MediaError(f"has {found.st_size / 2**20:.0f} MiB; a voiceprint takes at most {largest:.0f} MiB")
    return CheckedAudio(f"sha256:{file_digest(path, found)}")


def _warnings(findings: tuple[Finding, ...]) -> tuple[str, ...]:
    """Give what is to be told.

    Raises:
        MediaError: something is fatal; it says all that is.
    """
    if fatal := refusal(findings):
        raise MediaError(fatal)
    return tuple(finding.message for finding in findings)


def _is_changed(now: os.stat_result, found: os.stat_result) -> bool:
    return (now.st_size, change_time_ns(now)) != (found.st_size, change_time_ns(found))


def _changed() -> MediaError:
    return MediaError("changed while it was read; enroll it when it is complete")
