"""Cut segments out of a recording into a clip in memory: mono FLAC at the recording's sample rate, with a digest."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Iterable
from numbers import Real
from typing import TYPE_CHECKING, NamedTuple

import attrs

from pyannote_voiceprint_async.errors import MediaError

from .facts import AudioFacts, collect_facts
from .source import AudioSource
from .verdict import LONGEST_SECONDS, REPAIRABLE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .meter import Meter
    from .recording import OpenRecording

__all__ = ["Clip", "as_clip", "best_segment", "cut", "cut_segments"]

# libFLAC requires a sample rate that fits into 16 bits, in hertz or in tens of hertz.
_HIGHEST_FLAC_RATE = 65_535
# Times in lists are rounded to hundredths of a second.
_ROUNDING_SECONDS = 0.01
# Encodings with more than 16 bits of precision. Lossy encodings keep less than 16.
_MORE_THAN_16_BITS = frozenset({"PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ALAC_20", "ALAC_24", "ALAC_32", "DWVW_24"})
_LARGEST_24, _LARGEST_16 = 2**23 - 1, 2**15 - 1


@attrs.frozen
class Clip:
    """Audio that was cut out of a recording. Its `repr` does not show the audio."""

    audio: bytes = attrs.field(repr=False)
    """A FLAC file: mono, at the source's sample rate, with 24 bits where the source has more than 16."""
    sample_rate: int
    """Samples per second."""
    seconds: float
    """Length."""
    digest: str
    """SHA-256, in hexadecimal, of the sample rate and the decoded mono samples in 16 bits. It is equal for equal audio,
    whatever the file format, and also if the audio was cut out of a longer recording or came from an array."""
    facts: AudioFacts
    """The measured properties of the clip; channels, encoding and clipping are those of the source."""


class _Range(NamedTuple):
    """A segment in seconds, as the caller gave it, and in samples of the recording."""

    start: float
    end: float | None
    """None is the end of the recording."""
    first: int
    frames: int | None
    """None where the length of the recording is unknown."""


def cut(
    source: AudioSource, start: float | None = None, end: float | None = None, *, longest: float = LONGEST_SECONDS
) -> Clip:
    """Cut a segment out of a recording. It blocks, and reads only the segment where the format is seekable.

    Args:
        source: the recording.
        start: seconds from its beginning; None is the beginning.
        end: seconds from its beginning; None is the end of the recording, and an error if the recording is truncated.
            Up to 0.01 s past the end of the recording is accepted as a rounding error.
        longest: the maximum length of the clip in seconds.

    Raises:
        TypeError: `source` is a str.
        MediaError: the segment is not inside the recording, is too long, or cannot be decoded or encoded as FLAC.
        ConfigurationError: the extra `[audio]` is missing.
    """
    return cut_segments(source, [(start, end)], longest=longest)


def cut_segments(
    source: AudioSource, segments: Iterable[tuple[float | None, float | None]], *, longest: float = LONGEST_SECONDS
) -> Clip:
    """Cut several segments out of a recording and join them in the given order. For the rest see `cut`.

    Args:
        source: the recording.
        segments: start and end of each, in seconds.
        longest: the maximum length of the clip in seconds.
    """
    from .meter import Meter
    from .recording import open_recording

    times = [_check_times(start, end) for start, end in segments]
    if not times:
        raise MediaError("The clip has no segments, so there is nothing to cut.")
    with open_recording(source) as recording:
        if not _is_flac_rate(recording.sample_rate):
            raise MediaError(
                f"The audio has a sample rate of {recording.sample_rate} Hz. FLAC supports up to {_HIGHEST_FLAC_RATE} "
                f"Hz, and multiples of 10 Hz up to {10 * _HIGHEST_FLAC_RATE} Hz. Resample it first."
            )
        meter = Meter(recording.sample_rate, recording.subtype)
        ranges = [_locate(recording, start, end) for start, end in times]
        samples = _read(recording, ranges, meter, round(longest * recording.sample_rate))
        # A defect of the recording outside of the segments is no property of the clip.
        facts = collect_facts(recording, meter, is_whole=False)
        return _encode(samples, recording, facts)


def as_clip(waveform: object, sample_rate: int, *, longest: float = LONGEST_SECONDS) -> Clip:
    """Return a clip of samples in memory.

    Args:
        waveform: a numpy array, or an object with `.numpy()`, of shape (samples,) or (channels, samples), with floats
            between -1 and 1 or int16.
        sample_rate: samples per second.
        longest: the maximum length in seconds.

    Raises:
        MediaError: the array has another type or shape, or is too long.
        ConfigurationError: the extra `[audio]` is missing.
    """
    return cut({"waveform": waveform, "sample_rate": sample_rate}, longest=longest)


def best_segment(
    source: AudioSource, seconds: float = LONGEST_SECONDS, *, start: float | None = None, end: float | None = None
) -> tuple[float, float]:
    """Return start and end, in seconds, of the segment with most speech by energy (see `meter`). It blocks.

    Everything between `start` and `end` is decoded in blocks, and 50 bytes are kept per second.

    Args:
        source: the recording.
        seconds: length of the segment. A shorter recording is returned as a whole.
        start: where the search begins, in seconds.
        end: where the search ends, in seconds.

    Raises:
        TypeError: `source` is a str.
        MediaError: the audio cannot be decoded, or `start` and `end` are not inside it.
        ConfigurationError: the extra `[audio]` is missing.
    """
    from .meter import Meter
    from .recording import open_recording

    search_start, search_end = _check_times(start, end)
    with open_recording(source) as recording:
        meter = Meter(recording.sample_rate, recording.subtype)
        searched = _locate(recording, search_start, search_end)
        meter.skipped = searched.first
        for block in recording.blocks(searched.first, searched.frames):
            meter.feed(block)
        if not meter.samples:
            raise _outside_error(recording, 0, "")
        first, last = meter.best_window(seconds)
        return (searched.first + first) / recording.sample_rate, (searched.first + last) / recording.sample_rate


def _is_flac_rate(rate: int) -> bool:
    return rate <= _HIGHEST_FLAC_RATE or (rate % 10 == 0 and rate <= 10 * _HIGHEST_FLAC_RATE)


def _check_times(start: object, end: object) -> tuple[float, float | None]:
    start_seconds = 0.0 if start is None else _check_time(start, "start")
    end_seconds = None if end is None else _check_time(end, "end")
    if end_seconds is not None and start_seconds >= end_seconds:
        raise MediaError(f"The clip's start ({start_seconds:g} s) is not before its end ({end_seconds:g} s).")
    return start_seconds, end_seconds


def _check_time(value: object, name: str) -> float:
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
    except OverflowError:  # an int that is too large for a float
        return False


def _locate(recording: OpenRecording, start: float, end: float | None) -> _Range:
    """Convert a segment to samples.

    Raises:
        MediaError: the segment is not inside the recording.
    """
    rate, frames = recording.sample_rate, recording.frames
    first = round(start * rate)
    count = None if end is None else max(1, round((end - start) * rate))
    if frames is None:
        return _Range(start, end, first, count)
    if start * rate >= frames:
        raise _outside_error(recording, frames, f"before the clip's start at {start:g} s")
    first = min(first, frames - 1)
    if count is None:
        return _Range(start, end, first, frames - first)
    missing = first + count - frames
    if missing > max(1.0, _ROUNDING_SECONDS * rate):
        raise _outside_error(recording, frames, f"before the clip's end at {end:g} s")
    # Start and length are rounded separately, so that the end may be one sample too late.
    if missing == 1 and first:
        return _Range(start, end, first - 1, count)
    return _Range(start, end, first, min(count, frames - first))


def _read(recording: OpenRecording, ranges: list[_Range], meter: Meter, longest: int) -> list[NDArray[np.int32]]:
    """Read the mono mix of the ranges, at most `longest` samples.

    Raises:
        MediaError: the ranges are too long together, or the recording ends before one of them does.
    """
    rate = recording.sample_rate
    # Rounding may add this much to each range.
    limit = longest + len(ranges) * (round(_ROUNDING_SECONDS * rate) + 1)
    known = sum(segment.frames or 0 for segment in ranges)
    if known > limit:
        raise _too_long_error(known, longest, recording)
    samples = []
    for segment in ranges:
        before = meter.samples
        meter.skipped = segment.first - before
        # A range with an open end is read without a count: reading then detects a truncated recording.
        for block in recording.blocks(segment.first, None if segment.end is None else segment.frames):
            samples.append(_to_24_bits(meter.feed(block)))
            if meter.samples > limit:
                raise _too_long_error(meter.samples, longest, recording)
        if _is_incomplete(recording, segment, meter.samples - before):
            raise _early_end_error(recording, segment)
    return samples


def _is_incomplete(recording: OpenRecording, segment: _Range, read: int) -> bool:
    if segment.end is None:
        return not read or recording.is_truncated or recording.is_unclosed
    return not read or read < (segment.frames or 0) - _ROUNDING_SECONDS * recording.sample_rate


def _early_end_error(recording: OpenRecording, segment: _Range) -> MediaError:
    # Read again from the beginning: a decoder that begins after the damage returns no samples at all.
    frames = sum(len(block) for block in recording.blocks())
    if frames <= segment.first:
        return _outside_error(recording, frames, f"before the clip's start at {segment.start:g} s")
    if segment.end is None:
        return _outside_error(recording, frames, "before its stated end; set an end before that, or copy it again")
    return _outside_error(recording, frames, f"before the clip's end at {segment.end:g} s")


def _too_long_error(samples: int, longest: int, recording: OpenRecording) -> MediaError:
    seconds = samples / recording.sample_rate
    what, advice = (
        ("waveform", "Pass a slice of the array: waveform[..., first:last], in samples.")
        if recording.format == "waveform"
        else ("clip", "Set start and end of a shorter segment.")
    )
    return MediaError(
        f"The {what} is too long: it has {seconds:.2f} s or more, and the limit is "
        f"{longest / recording.sample_rate:g} s. {advice}"
    )


def _outside_error(recording: OpenRecording, frames: int, before: str) -> MediaError:
    """Build the error for audio that ends before the clip does, with what is wrong with the recording.

    Args:
        recording: the recording.
        frames: its number of samples.
        before: how the message goes on, such as "before the clip's end at 3 s".
    """
    seconds, stated = frames / recording.sample_rate, recording.header_seconds
    if recording.is_unclosed:
        repair = (
            ": its recording was interrupted. Set an end before that, or repair the header: "
            "ffmpeg -ignore_length 1 -i FILE -c copy repaired.wav"
            if recording.format in REPAIRABLE
            else ". Set an end before that, or decode it into a new file: ffmpeg -i FILE whole.flac"
        )
        return MediaError(f"The audio continues after the {seconds:.2f} s that its header states{repair}")
    reason = ""
    if stated is not None and stated > seconds + _ROUNDING_SECONDS:
        reason = f" (damaged or incomplete: its header states {stated:.2f} s)"
    if not frames:
        return MediaError(f"The audio has no samples that can be read{reason}.")
    return MediaError(f"The audio ends at {seconds:.2f} s{reason}, {before}.")


def _to_24_bits(mono: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return the samples as integers of 24 bits. 16-bit samples become multiples of 256, without rounding."""
    from .libraries import np

    return np.clip(np.rint(mono * 2.0**23), -(2**23), _LARGEST_24).astype(np.int32)


def _encode(blocks: list[NDArray[np.int32]], recording: OpenRecording, facts: AudioFacts) -> Clip:
    from .libraries import np, sf

    rate = recording.sample_rate
    has_24_bits = recording.subtype in _MORE_THAN_16_BITS and any(np.any(samples & 0xFF) for samples in blocks)
    digest = hashlib.sha256(f"{rate} Hz, mono\n".encode())
    file = io.BytesIO()
    # Block by block, because a waveform that is only uploaded may last hours.
    with sf.SoundFile(file, "w", rate, 1, format="FLAC", subtype="PCM_24" if has_24_bits else "PCM_16") as encoder:
        for samples in blocks:
            in_16_bits = np.minimum(np.rint(samples / 256), _LARGEST_16).astype(np.int16)
            digest.update(in_16_bits.astype("<i2").tobytes())
            # Write integers: libsndfile scales floats by 32767, which changes samples.
            encoder.write(samples << 8 if has_24_bits else in_16_bits)
    return Clip(file.getvalue(), rate, sum(map(len, blocks)) / rate, digest.hexdigest(), facts)
