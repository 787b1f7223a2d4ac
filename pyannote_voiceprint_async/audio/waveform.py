"""Samples in memory, as a numpy array or an array of a similar library.

It imports numpy, so import it inside functions only.
"""

import operator
from collections.abc import Iterator, Mapping
from typing import Any

from pyannote_voiceprint_async.errors import MediaError

from .libraries import NDArray, np

__all__ = ["Waveform", "parse_waveform"]

_BLOCK_SAMPLES = 32 * 1024
_KEYS = {"waveform", "sample_rate"}
_DIMENSIONS = (1, 2)
# Kind and size of the dtype; both byte orders are accepted.
_INT16 = ("i", 2)


class Waveform:
    """An array of shape (channels, samples) with the interface of `recording.OpenRecording`."""

    format = "waveform"
    is_truncated = False
    is_unclosed = False
    is_joined = False

    def __init__(self, samples: NDArray[Any], sample_rate: int) -> None:
        self._samples = samples
        self.sample_rate = sample_rate
        self.channels = samples.shape[0]
        self.frames: int | None = samples.shape[1]
        self.header_seconds: float | None = samples.shape[1] / sample_rate
        self.subtype = "PCM_16" if samples.dtype.kind == "i" else "FLOAT"

    def blocks(self, first: int = 0, count: int | None = None) -> Iterator[NDArray[np.float64]]:
        """Yield blocks of shape (frames, channels)."""
        end = self._samples.shape[1] if count is None else min(first + count, self._samples.shape[1])
        step = max(1, _BLOCK_SAMPLES // self.channels)
        for at in range(first, end, step):
            block = self._samples[:, at : min(at + step, end)].T.astype(np.float64)
            if self._samples.dtype.kind == "i":
                block /= 2.0**15
            yield block


def parse_waveform(source: Mapping[str, object]) -> Waveform:
    """Parse `{"waveform": array, "sample_rate": int}`.

    Raises:
        MediaError: a key is missing or unknown, or its value has the wrong type or shape.
    """
    if set(source) != _KEYS:
        keys = ", ".join(sorted(map(repr, source))) or "no keys"
        raise MediaError(
            f"A waveform must be a mapping with only the keys 'waveform' and 'sample_rate'; this one has {keys}."
        )
    return Waveform(_parse_samples(source["waveform"]), _parse_sample_rate(source["sample_rate"]))


def _parse_sample_rate(value: Any) -> int:
    try:
        rate = operator.index(value)
    except TypeError:
        raise MediaError(f"The sample_rate must be a whole number of hertz, not {value!r:.40}.") from None
    if isinstance(value, bool) or rate <= 0:
        raise MediaError(f"The sample_rate must be a positive number of hertz, not {value!r:.40}.")
    return rate


def _parse_samples(value: Any) -> NDArray[Any]:
    array = _as_array(value)
    if array.dtype.kind != "f" and (array.dtype.kind, array.dtype.itemsize) != _INT16:
        raise MediaError(f"The waveform's samples are {array.dtype}; pass floats between -1 and 1, or int16.")
    if array.ndim not in _DIMENSIONS:
        raise MediaError(f"The waveform has the shape {array.shape}; it must be (samples,) or (channels, samples).")
    array = np.atleast_2d(array)
    channels, samples = array.shape
    if not channels or not samples:
        raise MediaError(f"The waveform is empty: it has {channels} channels with {samples} samples.")
    if channels > samples:
        raise MediaError(
            f"The waveform has the shape {array.shape}, which is {channels} channels with {samples} samples each. "
            "Channels come first: pass waveform.T."
        )
    return array


def _as_array(value: Any) -> NDArray[Any]:
    try:
        # A torch tensor with gradients or on a GPU converts to numpy only after `detach` and `cpu`.
        for step in ("detach", "cpu", "numpy"):
            value = getattr(value, step, lambda same=value: same)()
        return np.asarray(value)
    except Exception as exc:  # noqa: BLE001 - an array of another library may raise anything
        raise MediaError(f"The waveform cannot be converted to a numpy array ({exc!s:.200}).") from None
