"""The preflight: check local audio before anything is submitted, and identify it by its content.

The checks block: run them in a worker thread.
"""

import hashlib
import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Self

import attrs

from pyannote_voiceprint_async.api.endpoints import MAX_VOICEPRINT_BYTES
from pyannote_voiceprint_async.audio import (
    CancelableFile,
    Finding,
    assess,
    best_segment,
    check_audio,
    cut,
    cut_segments,
    fatal_message,
)
from pyannote_voiceprint_async.errors import ConfigurationError, MediaError
from pyannote_voiceprint_async.extras import install_command
from pyannote_voiceprint_async.local_files import BinaryFile
from pyannote_voiceprint_async.redaction import redact_url

from .segments import Segments, has_overlap, segments_to_json

__all__ = ["PREFLIGHT_UNAVAILABLE", "CheckedAudio", "Preflight", "change_time_ns", "clip_identity", "file_digest"]

PREFLIGHT_UNAVAILABLE = "Audio files are not checked before upload. To check them: " + install_command("audio")
"""The note about the list that is reported with its first file if the extra `[audio]` is missing."""


@attrs.frozen
class CheckedAudio:
    """What is known of a recording: its identity, what is cut out of it, and warnings."""

    identity: str = attrs.field(repr=redact_url)
    """Equal for the same audio: `url:…` without its signature, `sha256:…` of the bytes of a file, `samples:…` of the
    segments that are cut out, or `id:…` for a source that only `resolve` accepts."""
    segments: Segments = ()
    """The segments that are cut out before the upload; none for the whole file."""
    warnings: tuple[str, ...] | None = ()
    """Findings that do not prevent the enrollment; None if an earlier run has already reported them."""
    size: int | None = None
    """The size of the file in bytes."""
    modified_ns: int | None = None
    """When the file was last changed, see `change_time_ns`."""
    expires_at: float | None = None
    """When a presigned URL expires, in UTC epoch seconds."""


@attrs.frozen
class Preflight:
    """How files are checked."""

    is_enabled: bool
    """Whether the audio is measured and judged; otherwise a file is only identified."""
    trim: bool = False
    """Whether the best 30 seconds of a longer recording are used."""
    is_unavailable: bool = False
    """Whether a check was requested, but the extra `[audio]` is missing."""
    is_canceled: Callable[[], bool] = lambda: False
    """Whether the run has ended: it must not wait until hours of audio are read."""

    @classmethod
    def create(cls, *, is_wanted: bool, trim: bool, is_canceled: Callable[[], bool] = lambda: False) -> Self:
        """Return a preflight that is enabled if it is wanted and the extra `[audio]` is installed.

        Raises:
            ConfigurationError: `trim` is set, but the audio cannot be read.
        """
        is_enabled = is_wanted and find_spec("soundfile") is not None
        if trim and not is_enabled:
            raise ConfigurationError(
                "Recordings cannot be trimmed without the extra 'audio'. Install it: " + install_command("audio")
            )
        return cls(is_enabled, trim, is_wanted and not is_enabled, is_canceled)

    def settings_key(self, segments: Segments) -> str:
        """Return a text that is equal for files that are checked in the same way.

        The ledger stores it beside the result: "look" and "trim" must not change.
        """
        words = (
            "look" if self.is_enabled else "",
            "trim" if self.trim and not segments else "",
            segments_to_json(segments) or "",
        )
        return " ".join(filter(None, words))

    def check_file(self, path: Path, status: os.stat_result, segments: Segments) -> CheckedAudio:
        """Check a file and identify its audio.

        Args:
            path: the file.
            status: the result of `path.stat()`.
            segments: the segments to cut out; none for the whole file.

        Raises:
            OSError: the file cannot be read.
            MediaError: the audio cannot be enrolled, or the file has changed since `status`.
            ConfigurationError: segments are to be cut out, but the extra `[audio]` is missing.
        """
        with path.open("rb") as file:
            audio = CancelableFile(file, self.is_canceled)
            checked = self._check_clip(audio, segments) if segments else self._check_whole(audio, path, status)
        if _has_changed(path.stat(), status):
            raise _changed_error()
        return checked

    def _check_whole(self, audio: BinaryFile, path: Path, status: os.stat_result) -> CheckedAudio:
        if not self.is_enabled:
            return _identify_file(path, status)
        report = check_audio(audio, will_trim=self.trim)
        warnings = _warnings(report.findings)
        if any(finding.code == "trimmed" for finding in report.findings):
            return _trim(audio)
        if report.facts is None and self.trim:
            warnings = (f"is {report.format}, which cannot be trimmed here. It is uploaded unchanged",)
        return attrs.evolve(_identify_file(path, status), warnings=warnings)

    def _check_clip(self, audio: BinaryFile, segments: Segments) -> CheckedAudio:
        clip = cut_segments(audio, segments)
        warnings = _warnings(assess(clip.facts)) if self.is_enabled else ()
        if has_overlap(segments):
            warnings = ("has overlapping segments, so that the same speech is used twice", *warnings)
        return CheckedAudio(clip_identity(clip.digest), segments, warnings)


def clip_identity(digest: str) -> str:
    """Return the identity of a clip with this digest of its samples."""
    return f"samples:{digest}"


def change_time_ns(status: os.stat_result) -> int:
    """Return when a file was last changed, in nanoseconds since the epoch.

    Programs can set the modification time (`cp -p`, `tar`, `rsync -t`), but not the change time of the inode.
    """
    return max(status.st_mtime_ns, status.st_ctime_ns)


def file_digest(path: Path, status: os.stat_result) -> str:
    """Return the SHA-256 of a file in hexadecimal digits.

    Args:
        path: the file.
        status: the result of `path.stat()`.

    Raises:
        OSError: the file cannot be read.
        MediaError: the file has changed since `status`.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        now = os.fstat(file.fileno())
    if _has_changed(now, status):
        raise _changed_error()
    return digest


def _identify_file(path: Path, status: os.stat_result) -> CheckedAudio:
    # Segments may be cut out of a file of any size, but a whole file is uploaded as it is.
    if status.st_size > MAX_VOICEPRINT_BYTES:
        largest = MAX_VOICEPRINT_BYTES / 2**20
        raise MediaError(f"has {status.st_size / 2**20:.0f} MiB. A voiceprint takes at most {largest:.0f} MiB")
    return CheckedAudio(f"sha256:{file_digest(path, status)}")


def _trim(audio: BinaryFile) -> CheckedAudio:
    start, end = best_segment(audio)
    clip = cut(audio, start, end)
    warning = f"is too long. Only {start:.1f} to {end:.1f} s are used. Check that only one person speaks there"
    return CheckedAudio(clip_identity(clip.digest), ((start, end),), (warning, *_warnings(assess(clip.facts))))


def _warnings(findings: tuple[Finding, ...]) -> tuple[str, ...]:
    """Return the messages of the findings.

    Raises:
        MediaError: some findings are fatal; the error has the messages of all of them.
    """
    if fatal := fatal_message(findings):
        raise MediaError(fatal)
    return tuple(finding.message for finding in findings)


def _has_changed(now: os.stat_result, before: os.stat_result) -> bool:
    return (now.st_size, change_time_ns(now)) != (before.st_size, change_time_ns(before))


def _changed_error() -> MediaError:
    return MediaError("changed while it was read. Enroll it after it is complete")
