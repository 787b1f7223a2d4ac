"""The check of local audio before it is uploaded: one function for every command and for the client."""

from __future__ import annotations

import math
from collections.abc import Mapping

import attrs

from pyannote_voiceprint_async.errors import ConfigurationError

from .facts import AudioFacts, facts_of
from .source import AudioSource
from .verdict import JOINED, LONGEST_SECONDS, Finding, assess, too_long

__all__ = ["AudioReport", "check_audio", "check_audio_if_installed", "unsupported_format"]

# A lossy file has a few samples more than was put in.
_MARGIN_SECONDS = 1.0


@attrs.frozen
class AudioReport:
    """The result of a check."""

    format: str
    """The kind of file: "WAV", "MP3", … or what cannot be checked here: "MP4/M4A", "Ogg with Speex", …"""
    facts: AudioFacts | None
    """What was measured; None where the format cannot be read here, or the audio was not read to its end."""
    findings: tuple[Finding, ...]
    """What is to be reported, fatal findings first."""


def check_audio(source: AudioSource, *, will_trim: bool = False, is_quick: bool = False) -> AudioReport:
    """Measure audio and judge whether it is worth a voiceprint. It blocks.

    Args:
        source: the audio.
        will_trim: whether the best part of it is used where it is too long.
        is_quick: whether to stop reading once the audio is known to be too long.

    Raises:
        MediaError: it cannot be opened, is no audio, or is damaged.
        ConfigurationError: the extra `[audio]` is missing.
    """
    from .recording import foreign_contents

    if not isinstance(source, Mapping) and (foreign := foreign_contents(source)):
        unchecked = f"is {foreign.name}, which cannot be checked here; it is uploaded unchecked"
        finding = JOINED if foreign.is_joined else Finding("foreign", unchecked, is_fatal=False)
        return AudioReport(foreign.name, None, (finding,))
    measured = _measured(source, LONGEST_SECONDS if is_quick else math.inf)
    if isinstance(measured, Finding):
        return AudioReport("", None, (measured,))
    return AudioReport(measured.format, measured, assess(measured, will_trim=will_trim))


def check_audio_if_installed(source: AudioSource) -> tuple[Finding, ...]:
    """Return the findings of a quick check; none where the extra `[audio]` is missing.

    Raises:
        MediaError: as `check_audio` does.
    """
    try:
        return check_audio(source, is_quick=True).findings
    except ConfigurationError:
        return ()


def unsupported_format(source: AudioSource) -> str | None:
    """Return the name of a format or codec that the API may read and libsndfile cannot, such as "MP4/M4A".

    Raises:
        MediaError: the file cannot be opened.
        ConfigurationError: the extra `[audio]` is missing.
    """
    from .recording import foreign_contents

    found = None if isinstance(source, Mapping) else foreign_contents(source)
    return None if found is None else found.name


def _measured(source: AudioSource, longest: float) -> AudioFacts | Finding:
    from .meter import Meter
    from .recording import opened

    with opened(source) as recording:
        if recording.header_seconds is not None and round(recording.header_seconds, 2) > longest:
            return too_long(recording.header_seconds)
        meter = Meter(recording.sample_rate, recording.subtype)
        for block in recording.blocks():
            meter.feed(block)
            if meter.samples / recording.sample_rate > longest + _MARGIN_SECONDS:
                return too_long(None)
        return facts_of(recording, meter)
