"""The envelope of a recording, its speech, its clipping and its best segment, as a picture needs them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import attrs

from .source import AudioSource
from .verdict import LONGEST_SECONDS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .recording import OpenRecording

__all__ = ["Envelope", "trace_envelope"]

# A picture is not wider than this many pixels, so longer recordings need no more points.
_MOST_POINTS = 2000


@attrs.frozen(eq=False)
class Envelope:
    """A recording in at most 2,000 points."""

    seconds: float
    """Length of the recording."""
    times: NDArray[np.float64]
    """Where each point begins, in seconds."""
    low: NDArray[np.float64]
    """Smallest sample of the mono mix in each point."""
    high: NDArray[np.float64]
    """Largest sample of the mono mix in each point."""
    clipped: NDArray[np.bool_]
    """Whether a sample of any channel in the point is at full scale."""
    speech: NDArray[np.float64]
    """Share of each point that is speech, 0 to 1."""
    best: tuple[float, float] | None
    """Start and end of the segment that `--trim` selects, in seconds; None for a recording that is short enough."""


def trace_envelope(source: AudioSource) -> Envelope:
    """Read a whole recording and return its envelope. This call blocks. Memory grows by 1 kB per second of audio.

    Raises:
        TypeError: `source` is a str.
        MediaError: the audio cannot be opened or decoded.
        ConfigurationError: the extra `[audio]` is missing.
    """
    from .recording import open_recording

    with open_recording(source) as recording:
        return _trace(recording)


def _trace(recording: OpenRecording) -> Envelope:
    from .libraries import np
    from .meter import Meter

    meter = Meter(recording.sample_rate, recording.subtype)
    frames: list[NDArray[np.float64]] = []
    rest = np.empty((0, 3))
    for block in recording.blocks():
        mono = meter.feed(block)
        clipped = meter.is_clipped(block).any(axis=1)
        rest = np.concatenate((rest, np.stack((mono, mono, clipped), axis=1)))
        whole = len(rest) // meter.frame * meter.frame
        frames.append(_extremes(rest[:whole].reshape(-1, meter.frame, 3)))
        rest = rest[whole:]
    if len(rest):
        frames.append(_extremes(rest[np.newaxis]))
    points = np.concatenate(frames) if frames else np.empty((0, 3))
    # The incomplete frame at the end counts as no speech.
    speech = np.zeros(len(points))
    speech[: len(meter.speech)] = meter.speech
    step = max(1, math.ceil(len(points) / _MOST_POINTS))
    low, high, is_clipped = _merge(points, step).T
    frame_seconds = meter.frame / recording.sample_rate
    seconds = meter.samples / recording.sample_rate
    first, last = meter.best_window(LONGEST_SECONDS)
    return Envelope(
        seconds=seconds,
        times=np.arange(len(low), dtype=np.float64) * (step * frame_seconds),
        low=low,
        high=high,
        clipped=is_clipped > 0,
        speech=np.add.reduceat(speech, np.arange(0, len(speech), step)) / step if len(speech) else speech,
        best=None if seconds <= LONGEST_SECONDS else (first / recording.sample_rate, last / recording.sample_rate),
    )


def _extremes(groups: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return smallest and largest sample and whether one is clipped, for groups of shape (groups, samples, 3)."""
    from .libraries import np

    return np.stack((groups[:, :, 0].min(axis=1), groups[:, :, 1].max(axis=1), groups[:, :, 2].max(axis=1)), axis=1)


def _merge(points: NDArray[np.float64], step: int) -> NDArray[np.float64]:
    """Return every `step` points as one."""
    from .libraries import np

    starts = np.arange(0, len(points), step)
    if not len(points):
        return points
    return np.stack(
        (
            np.minimum.reduceat(points[:, 0], starts),
            np.maximum.reduceat(points[:, 1], starts),
            np.maximum.reduceat(points[:, 2], starts),
        ),
        axis=1,
    )
