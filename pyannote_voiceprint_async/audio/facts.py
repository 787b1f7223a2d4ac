"""The measured properties of a recording."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from .source import AudioSource

if TYPE_CHECKING:
    from .meter import Meter
    from .recording import OpenRecording

__all__ = ["AudioFacts", "collect_facts", "measure"]


@attrs.frozen
class AudioFacts:
    """The measured properties of a recording. `assess` turns them into findings."""

    seconds: float
    """Length, counted in decoded samples."""
    sample_rate: int
    """Samples per second."""
    channels: int
    """Number of channels. A voiceprint is made of their mono mix."""
    format: str
    """File format: "WAV", "FLAC", "MP3", …, or "waveform" for samples in memory."""
    subtype: str
    """Encoding of the samples: "PCM_16", "FLOAT", "VORBIS", …"""
    peak: float
    """Largest absolute sample of any channel. 1 is full scale; floats may exceed it."""
    loudness_dbfs: float
    """RMS of the mono mix in dB relative to full scale; -120 is digital silence."""
    clipped: float
    """Share of the samples at full scale, 0 to 1."""
    speech_seconds: float
    """Estimated length of speech, by energy alone (see `meter`)."""
    header_seconds: float
    """Length that the header states."""
    is_truncated: bool = False
    """Whether the audio ends, or is damaged, before the end that the header states. Detected in WAV, AIFF, FLAC, and
    in MP3 with a stated length."""
    is_unclosed: bool = False
    """Whether the audio continues past the end that the header states: the recorder never wrote the final length, or
    files were joined."""
    is_joined: bool = False
    """Whether another file follows: files were joined end to end, and only the first was measured."""


def measure(source: AudioSource) -> AudioFacts:
    """Read a whole recording and return its measured properties. It blocks.

    The recording is read in blocks: memory grows by 50 bytes per second of audio.

    Raises:
        TypeError: `source` is a str.
        MediaError: the audio cannot be opened or decoded, or has samples that are not finite numbers.
        ConfigurationError: the extra `[audio]` is missing.
    """
    from .meter import Meter
    from .recording import open_recording

    with open_recording(source) as recording:
        meter = Meter(recording.sample_rate, recording.subtype)
        for block in recording.blocks():
            meter.feed(block)
        return collect_facts(recording, meter)


def collect_facts(recording: OpenRecording, meter: Meter, *, is_whole: bool = True) -> AudioFacts:
    """Return the facts of a recording, or of a segment of it, after the meter has read its samples.

    Args:
        recording: the recording.
        meter: the meter that was fed its samples.
        is_whole: whether the whole recording was read. The facts of a segment leave out the stated length and the
            defects of the recording.
    """
    seconds = meter.samples / recording.sample_rate
    header_seconds = recording.header_seconds if is_whole else None
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
        header_seconds=seconds if header_seconds is None else header_seconds,
        is_truncated=is_whole and recording.is_truncated,
        is_unclosed=is_whole and recording.is_unclosed,
        is_joined=is_whole and recording.is_joined,
    )
