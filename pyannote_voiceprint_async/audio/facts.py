"""What is known of a recording after it was heard once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from .source import AudioSource

if TYPE_CHECKING:
    from .meter import Meter
    from .recording import OpenRecording

__all__ = ["AudioFacts", "measure"]


@attrs.frozen
class AudioFacts:
    """What a recording is, measured. `verdict.assess` says what that means."""

    seconds: float
    """How long it is, counted in samples."""
    sample_rate: int
    """Samples in a second."""
    channels: int
    """Voices side by side; one mono mix is made of them."""
    format: str
    """What kind of file: "WAV", "FLAC", "MP3", … or "waveform"."""
    subtype: str
    """How its samples are coded: "PCM_16", "FLOAT", "VORBIS", …"""
    peak: float
    """The largest sample of any channel: 1 is full scale, floats may go beyond."""
    loudness_dbfs: float
    """The RMS of the mono mix in dB below full scale; -120 is digital silence."""
    clipped: float
    """The share of samples at full scale, 0 to 1."""
    speech_seconds: float
    """How much of it seems to be speech, by energy alone (see `meter`)."""
    header_seconds: float
    """How long its header says that it is."""
    is_truncated: bool = False
    """Whether it ends, or is damaged, before the end that its header tells. Known of WAV, AIFF, FLAC, and MP3 with
    a header."""
    is_unclosed: bool = False
    """Whether it goes on where its header says that it ends: whoever recorded it never finished the header, or two
    files were joined."""
    is_joined: bool = False
    """Whether another file begins behind it: files were joined end to end, and only the first was measured."""


def measure(source: AudioSource) -> AudioFacts:
    """Listen to all of it once, in blocks: memory does not grow with its length but for 50 bytes a second. It blocks.

    Raises:
        MediaError: it cannot be opened, is no audio, or holds samples that are no numbers.
        ConfigurationError: the extra `[audio]` is missing.
    """
    from .meter import Meter
    from .recording import opened

    with opened(source) as recording:
        meter = Meter(recording.sample_rate, recording.subtype)
        for block in recording.blocks():
            meter.feed(block)
        return facts_of(recording, meter)


def facts_of(recording: OpenRecording, meter: Meter, *, is_whole: bool = True) -> AudioFacts:
    """Return the facts that were found while the recording, or a part of it, was read."""
    seconds = meter.samples / recording.sample_rate
    told = recording.header_seconds if is_whole else None
    return AudioFacts(
        seconds=seconds,
        sample_rate=recording.sample_rate,
        channels=recording.channels,
        format=recording.format,
        subtype=recording.subtype,
        peak=meter.peak,
        loudness_dbfs=meter.loudness_dbfs,
        clipped=meter.clipped,
        speech_seconds=meter.speech_seconds,
        header_seconds=seconds if told is None else told,
        is_truncated=is_whole and recording.is_truncated,
        is_unclosed=is_whole and recording.is_unclosed,
        is_joined=is_whole and recording.is_joined,
    )
