"""A part of a recording, in memory: mono FLAC at the recording's own rate, and what it is known by."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Iterable
from numbers import Real
from typing import TYPE_CHECKING, Any

import attrs

from pyannote_voiceprint_async.errors import MediaError

from .facts import AudioFacts, facts_of
from .source import AudioSource
from .verdict import LONGEST_SECONDS, REPAIRABLE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .meter import Meter
    from .recording import OpenRecording

__all__ = ["Clip", "as_clip", "best_segment", "cut", "cut_segments"]

# What FLAC can say of a rate in its frames, as libFLAC enforces it: 16 bits of hertz, or of tens of them.
_HIGHEST_FLAC_RATE = 65_535
# Times in lists are rounded to hundredths.
_ROUNDING_SECONDS = 0.01
# Codings with more than 16 bits. What is lossy has no bits of its own: 16 are more than it kept.
_FINE = frozenset({"PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ALAC_20", "ALAC_24", "ALAC_32", "DWVW_24"})
_LARGEST_24, _LARGEST_16 = 2**23 - 1, 2**15 - 1


@attrs.frozen
class Clip:
    """A part of a recording. Its `repr` hides the voice."""

    audio: bytes = attrs.field(repr=False)
    """A FLAC file: mono, at the source's rate, 24 bits where the source has more than 16."""
    sample_rate: int
    """Samples in a second."""
    seconds: float
    """How long it is."""
    digest: str
    """The SHA-256, in hexadecimal digits, of the rate and the decoded mono samples in 16 bits. It is equal for equal
    audio, whether that came from a file of whatever format, from a longer recording or from an array."""
    facts: AudioFacts
    """What it is, measured; channels, coding and clipping are those of the source."""


def cut(
    source: AudioSource, start: float | None = None, end: float | None = None, *, longest: float = LONGEST_SECONDS
) -> Clip:
    """Cut a part out of a recording. It blocks, and reads no more than it needs where the format can be sought in.

    Args:
        source: the recording.
        start: seconds from its beginning; None is the beginning.
        end: seconds from its beginning; None is its end, which must be there: a recording that breaks off has none. Up
            to 0.01 s beyond the end counts as rounding.
        longest: seconds that the part may have.

    Raises:
        MediaError: the part is not inside the recording, is too long, or cannot be read or written as FLAC.
        ConfigurationError: the extra `[audio]` is missing.
    """
    return cut_segments(source, [(start, end)], longest=longest)


def cut_segments(
    source: AudioSource, pieces: Iterable[tuple[float | None, float | None]], *, longest: float = LONGEST_SECONDS
) -> Clip:
    """Cut several parts out of a recording and join them in their order; for the rest see `cut`."""
    from .meter import Meter
    from .recording import opened

    spans = [_seconds(start, end) for start, end in pieces]
    if not spans:
        raise MediaError("The clip has no pieces: there is nothing to cut.")
    with opened(source) as recording:
        if not _is_flac_rate(recording.sample_rate):
            raise MediaError(
                f"The audio has {recording.sample_rate} samples in a second, and FLAC can have {_HIGHEST_FLAC_RATE}, "
                f"or tens up to {10 * _HIGHEST_FLAC_RATE}. Resample it before."
            )
        meter = Meter(recording.sample_rate, recording.subtype)
        samples = _read(recording, spans, meter, round(longest * recording.sample_rate))
        # That a recording breaks off behind the clip is nothing to say of it.
        facts = facts_of(recording, meter, is_whole=False)
        return _clip(samples, recording, facts)


def as_clip(waveform: Any, sample_rate: int, *, longest: float = LONGEST_SECONDS) -> Clip:
    """Make a clip of samples in memory, without a file.

    Args:
        waveform: a numpy array, or anything with `.numpy()`, of shape (samples,) or (channels, samples): floats between
            -1 and 1, or int16.
        sample_rate: samples in a second.
        longest: seconds that it may have.

    Raises:
        MediaError: it is no such array, or too long.
        ConfigurationError: the extra `[audio]` is missing.
    """
    return cut({"waveform": waveform, "sample_rate": sample_rate}, longest=longest)


def best_segment(
    source: AudioSource, seconds: float = LONGEST_SECONDS, *, start: float | None = None, end: float | None = None
) -> tuple[float, float]:
    """Give start and end of the part with most speech by energy (see `meter`), in seconds. It blocks.

    It decodes everything between `start` and `end` in blocks, and keeps 50 bytes for each second.

    Args:
        source: the recording.
        seconds: how long the part is; a shorter recording is its own best part.
        start: where to look from, in seconds.
        end: where to look to, in seconds.

    Raises:
        MediaError: it cannot be read, or `start` and `end` are not inside it.
        ConfigurationError: the extra `[audio]` is missing.
    """
    from .meter import Meter
    from .recording import opened

    begin, stop = _seconds(start, end)
    with opened(source) as recording:
        meter = Meter(recording.sample_rate, recording.subtype)
        first, count = _place(recording, begin, stop)
        meter.skipped = first
        for block in recording.blocks(first, count):
            meter.feed(block)
        if not meter.samples:
            raise _outside(recording, 0, "")
        left, right = meter.best_window(seconds)
        return (first + left) / recording.sample_rate, (first + right) / recording.sample_rate


def _is_flac_rate(rate: int) -> bool:
    return rate <= _HIGHEST_FLAC_RATE or (rate % 10 == 0 and rate <= 10 * _HIGHEST_FLAC_RATE)


def _seconds(start: object, end: object) -> tuple[float, float | None]:
    begin = 0.0 if start is None else _number(start, "start")
    stop = None if end is None else _number(end, "end")
    if stop is not None and begin >= stop:
        raise MediaError(f"The clip's start ({begin:g} s) is not before its end ({stop:g} s).")
    return begin, stop


def _number(value: object, name: str) -> float:
    if not _is_finite(value):
        raise MediaError(f"The clip's {name} must be a number of seconds, not {value!r:.40}.")
    seconds = float(value)  # type: ignore[arg-type]
    if seconds < 0:
        raise MediaError(f"The clip's {name} ({seconds:g} s) is before the beginning of the audio.")
    return seconds


def _is_finite(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float | Real):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float can hold
        return False


def _place(recording: OpenRecording, start: float, end: float | None) -> tuple[int, int | None]:
    """Give the first sample, and how many there are; None is all that come."""
    rate, frames = recording.sample_rate, recording.frames
    first = round(start * rate)
    count = None if end is None else max(1, round((end - start) * rate))
    if frames is None:
        return first, count
    if start * rate >= frames:
        raise _outside(recording, frames, f"before the clip's start at {start:g} s")
    first = min(first, frames - 1)
    if count is None:
        return first, frames - first
    missing = first + count - frames
    if missing > max(1.0, _ROUNDING_SECONDS * rate):
        raise _outside(recording, frames, f"before the clip's end at {end:g} s")
    # Start and length are rounded each by itself, and may be one sample too far together.
    return (first - 1, count) if missing == 1 and first else (first, min(count, frames - first))


def _read(
    recording: OpenRecording, spans: list[tuple[float, float | None]], meter: Meter, most: int
) -> list[NDArray[np.int32]]:
    rate = recording.sample_rate
    places = [(*_place(recording, start, end), start, end) for start, end in spans]
    # Rounding may add that much to each piece.
    slack = len(places) * round(_ROUNDING_SECONDS * rate) + len(places)
    if sum(count or 0 for _, count, *_ in places) > most + slack:
        raise _too_long(sum(count or 0 for _, count, *_ in places), most, recording)
    samples = []
    for first, count, start, end in places:
        before = meter.samples
        meter.skipped = first - before
        # To an open end it is read as a whole file is, so that it is seen in the same way that the file breaks off.
        for block in recording.blocks(first, None if end is None else count):
            samples.append(_quantised(meter.feed(block)))
            if meter.samples > most + slack:
                raise _too_long(meter.samples, most, recording)
        got = meter.samples - before
        is_broken_off = end is None and (recording.is_truncated or recording.is_unclosed)
        if is_broken_off or not got or (end is not None and got < (count or 0) - _ROUNDING_SECONDS * rate):
            raise _ends_before(recording, first, start, end)
    return samples


def _ends_before(recording: OpenRecording, first: int, start: float, end: float | None) -> MediaError:
    # Where reading stopped says little: a decoder that begins behind the damage finds nothing at all.
    there = sum(len(block) for block in recording.blocks())
    if there <= first:
        return _outside(recording, there, f"before the clip's start at {start:g} s")
    wanted = "its end; give an end that is there, or copy it anew" if end is None else f"the clip's end at {end:g} s"
    return _outside(recording, there, f"before {wanted}")


def _too_long(samples: int, most: int, recording: OpenRecording) -> MediaError:
    seconds = samples / recording.sample_rate
    what, instead = (
        ("waveform", "Give a slice of the array: waveform[..., first:last], in samples.")
        if recording.format == "waveform"
        else ("clip", "Give start and end of a shorter part.")
    )
    return MediaError(
        f"The {what} has {seconds:.2f} s or more, and may have {most / recording.sample_rate:g} s. {instead}"
    )


def _outside(recording: OpenRecording, frames: int, before: str) -> MediaError:
    """Say that the audio ends before the clip does, and whether it should have."""
    seconds, told = frames / recording.sample_rate, recording.header_seconds
    if recording.is_unclosed:
        repair = (
            ": its recording broke off. Give an end before that, or repair the header: "
            "ffmpeg -ignore_length 1 -i FILE -c copy repaired.wav"
            if recording.format in REPAIRABLE
            else ". Give an end before that, or make it anew: ffmpeg -i FILE whole.flac"
        )
        return MediaError(f"The audio goes on after the {seconds:.2f} s that its header tells{repair}")
    reason = ""
    if told is not None and told > seconds + _ROUNDING_SECONDS:
        reason = f" (damaged, or not complete: its header tells {told:.2f} s)"
    if not frames:
        return MediaError(f"The audio has no samples that can be read{reason}.")
    return MediaError(f"The audio ends at {seconds:.2f} s{reason}, {before}.")


def _quantised(mono: NDArray[np.float64]) -> NDArray[np.int32]:
    """Give samples in 24 bits, whatever they had: 16 are 256 times as much, exactly."""
    from .libraries import np

    return np.clip(np.rint(mono * 2.0**23), -(2**23), _LARGEST_24).astype(np.int32)


def _clip(pieces: list[NDArray[np.int32]], recording: OpenRecording, facts: AudioFacts) -> Clip:
    from .libraries import np, sf

    rate = recording.sample_rate
    is_fine = recording.subtype in _FINE and any(np.any(samples & 0xFF) for samples in pieces)
    digest = hashlib.sha256(f"{rate} Hz, mono\n".encode())
    file = io.BytesIO()
    # Piece by piece, because a waveform that is only uploaded may last hours.
    with sf.SoundFile(file, "w", rate, 1, format="FLAC", subtype="PCM_24" if is_fine else "PCM_16") as encoder:
        for samples in pieces:
            coarse = np.minimum(np.rint(samples / 256), _LARGEST_16).astype(np.int16)
            digest.update(coarse.astype("<i2").tobytes())
            # As whole numbers: libsndfile would scale floats by 32767, and equal samples would become others.
            encoder.write(samples << 8 if is_fine else coarse)
    return Clip(file.getvalue(), rate, sum(map(len, pieces)) / rate, digest.hexdigest(), facts)
