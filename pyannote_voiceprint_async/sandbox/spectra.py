"""The energy of a recording, frame by frame and band by band."""

from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Samples per second of the lowest rate that contains the highest band.
_LOWEST_RATE = 6800
_LOWEST_HZ, _HIGHEST_HZ, _BANDS = 60.0, 3400.0, 24

# A frame has two hops, and a block is what is decoded at once.
_HOP_SECONDS = 0.0125
_BLOCK_FRAMES = 1000

# Decibels: how far below the loudest frames speech may be, and the level below which a recording is silent.
_SPEECH_RANGE, _SILENCE = 35.0, -70.0

# Share of the average energy that is added to each band, so that noise of low energy does not count.
_FLOOR = 0.001


@attrs.frozen(eq=False)
class Spectra:
    """The frames of a recording that has speech."""

    seconds: float
    """Length of the recording."""
    hop: float
    """Seconds from one frame to the next."""
    is_speech: NDArray[np.bool_]
    """Whether each frame is loud enough to be speech."""
    shapes: Floats
    """Logarithm of the energy in each band of each frame, minus the frame's average."""


def read_spectra(file: Any, longest: float) -> Spectra | None:
    """Decode an open sound file. Return `None` if it is silent, too short, or longer than `longest` seconds."""
    rate = file.samplerate
    hop = round(rate * _HOP_SECONDS)
    if rate < _LOWEST_RATE or file.frames > longest * rate:
        return None
    bank, blocks = _mel_bank(rate, 2 * hop), []
    size = (_BLOCK_FRAMES + 1) * hop
    for block in file.blocks(blocksize=size, overlap=hop, dtype="float32", always_2d=True):
        samples = np.nan_to_num(block.mean(axis=1))
        if len(samples) >= 2 * hop:
            blocks.append(_energies(samples, hop, bank))
    if not blocks:
        return None
    return _to_spectra(file.frames / rate, hop / rate, np.concatenate(blocks))


def _energies(samples: Any, hop: int, bank: Floats) -> Floats:
    """Return the energy of each frame, and behind it that of each of its bands."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, 2 * hop)[::hop]
    spectrum = np.abs(np.fft.rfft(frames * np.hanning(2 * hop), axis=1)) ** 2
    return np.column_stack([(frames.astype(np.float64) ** 2).mean(axis=1), spectrum @ bank.T])


def _to_spectra(seconds: float, hop: float, energies: Floats) -> Spectra | None:
    levels = 10 * np.log10(energies[:, 0] + 1e-10)
    loudest = float(np.percentile(levels, 99))
    if loudest < _SILENCE:
        return None
    is_speech, bands = levels > loudest - _SPEECH_RANGE, energies[:, 1:]
    logarithms = np.log(bands + _FLOOR * bands[is_speech].mean() + 1e-10)
    return Spectra(seconds, hop, is_speech, logarithms - logarithms.mean(axis=1, keepdims=True))


def _mel_bank(rate: int, size: int) -> Floats:
    """Return the weight of each frequency in each band. The bands are triangles of equal width on the mel scale."""
    low, high = (2595 * np.log10(1 + hertz / 700) for hertz in (_LOWEST_HZ, _HIGHEST_HZ))
    edges = 700 * (10 ** (np.linspace(low, high, _BANDS + 2) / 2595) - 1)[:, np.newaxis]
    frequencies = np.fft.rfftfreq(size, 1 / rate)
    rising = (frequencies - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequencies) / (edges[2:] - edges[1:-1])
    return np.maximum(0.0, np.minimum(rising, falling))
