"""The check of local audio before it is uploaded, for all commands and for the client."""

from __future__ import annotations

import math
from collections.abc import Mapping

import attrs

from pyannote_voiceprint_async.errors import ConfigurationError

from .facts import AudioFacts, collect_facts
from .finding import JOINED, Finding
from .source import AudioSource
from .verdict import LONGEST_SECONDS, assess, too_long

__all__ = ["AudioReport", "check_audio", "check_audio_if_installed", "stated_seconds", "unsupported_format"]

# Lossy encoding adds a few samples, so that audio of exactly the longest duration may be decoded as slightly longer.
_MARGIN_SECONDS = 1.0


@attrs.frozen
class AudioReport:
    """The result of a check."""

    format: str
    """The file format: "WAV", "MP3", …, or a format or codec that cannot be decoded: "MP4/M4A", "Ogg with Speex", …"""
    facts: AudioFacts | None
    """The measured properties; None where the audio cannot be decoded here, or was not read to its end."""
    findings: tuple[Finding, ...]
    """The problems that were found, fatal ones first."""


def check_audio(source: AudioSource, *, will_trim: bool = False, is_quick: bool = False) -> AudioReport:
    """Measure audio, and return its properties and the problems that matter for a voiceprint. This call blocks.

    Args:
        source: the audio.
        will_trim: whether audio that is too long will be trimmed to its best segment.
        is_quick: whether to stop reading once the audio is known to be too long.

    Raises:
        TypeError: `source` is a str.
        MediaError: the audio cannot be opened, is in no audio format, or is damaged.
        ConfigurationError: the extra `[audio]` is missing.
    """
    from .recording import find_unsupported_format

    if not isinstance(source, Mapping) and (unsupported := find_unsupported_format(source)):
        message = f"is {unsupported.name}, which cannot be checked here. It is uploaded unchecked"
        finding = JOINED if unsupported.is_joined else Finding("unsupported", message, is_fatal=False)
        return AudioReport(unsupported.name, None, (finding,))
    measured = _measure_up_to(source, LONGEST_SECONDS if is_quick else math.inf)
    if isinstance(measured, Finding):
        return AudioReport("", None, (measured,))
    return AudioReport(measured.format, measured, assess(measured, will_trim=will_trim))


def check_audio_if_installed(source: AudioSource) -> tuple[Finding, ...]:
    """Return the findings of a quick check; no findings where the extra `[audio]` is missing.

    Raises:
        TypeError: `source` is a str.
        MediaError: as `check_audio`.
    """
    try:
        return check_audio(source, is_quick=True).findings
    except ConfigurationError:
        return ()


def unsupported_format(source: AudioSource) -> str | None:
    """Return a format or codec that libsndfile cannot decode and the API may be able to decode, such as "MP4/M4A".

    Raises:
        TypeError: `source` is a str.
        MediaError: the file cannot be opened.
        ConfigurationError: the extra `[audio]` is missing.
    """
    from .recording import find_unsupported_format

    found = None if isinstance(source, Mapping) else find_unsupported_format(source)
    return None if found is None else found.name


def stated_seconds(source: AudioSource) -> float | None:
    """Return the length that the header of an audio file states; None if it states none or cannot be read here.

    The samples are not decoded, so that this is quick for hours of audio.

    Raises:
        TypeError: `source` is a str.
        MediaError: the audio cannot be opened, or is in no audio format.
        ConfigurationError: the extra `[audio]` is missing.
    """
    from .recording import find_unsupported_format, open_recording

    if not isinstance(source, Mapping) and find_unsupported_format(source):
        return None
    with open_recording(source) as recording:
        return recording.header_seconds


def _measure_up_to(source: AudioSource, longest: float) -> AudioFacts | Finding:
    """Return the facts, or the finding `too_long` as soon as the audio is known to be longer than `longest` seconds."""
    from .meter import Meter
    from .recording import open_recording

    with open_recording(source) as recording:
        if recording.header_seconds is not None and round(recording.header_seconds, 2) > longest:
            return too_long(recording.header_seconds)
        meter = Meter(recording.sample_rate, recording.subtype)
        for block in recording.blocks():
            meter.feed(block)
            if meter.samples / recording.sample_rate > longest + _MARGIN_SECONDS:
                return too_long(None)
        return collect_facts(recording, meter)
