"""Samples in memory."""

import numpy as np
import pytest
from audio_files import RATE, decoded, speechlike

from pyannote_voiceprint_async.audio import as_clip, measure
from pyannote_voiceprint_async.errors import MediaError

SOUND = speechlike()
FLOATS = SOUND / 2**15


class Tensor:
    """A stand-in for a tensor of torch, which converts to numpy only after `detach` and `cpu`."""

    def __init__(self, array, ready=()):
        self._array, self._ready = array, ready

    def detach(self):
        return Tensor(self._array, (*self._ready, "detach"))

    def cpu(self):
        return Tensor(self._array, (*self._ready, "cpu"))

    def numpy(self):
        if self._ready != ("detach", "cpu"):
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
        return self._array


@pytest.mark.parametrize(
    "waveform",
    [
        SOUND,
        SOUND[np.newaxis],
        SOUND.astype(">i2"),
        FLOATS,
        FLOATS.astype(np.float32),
        np.stack([FLOATS, FLOATS]),
        Tensor(FLOATS.astype(np.float32)),
        list(FLOATS),
        np.asfortranarray(np.stack([SOUND, SOUND])),
        np.repeat(SOUND, 2)[::2],
    ],
    ids=[
        "int16", "one channel", "big-endian", "float64", "float32", "two channels", "tensor", "list", "Fortran order",
        "strided",
    ],
)  # fmt: skip
def test_arrays_of_every_kind_become_the_same_clip(waveform):
    clip = as_clip(waveform, np.int64(RATE))
    assert np.array_equal(decoded(clip.audio), SOUND)
    assert clip.digest == as_clip(SOUND, RATE).digest
    assert (clip.sample_rate, clip.seconds) == (RATE, 2.0)


def test_channels_are_mixed_down():
    clip = as_clip(np.stack([SOUND, np.zeros_like(SOUND)]), RATE)
    assert np.abs(decoded(clip.audio) - SOUND / 2).max() <= 0.5
    assert clip.facts.channels == 2


def test_the_array_is_not_changed():
    floats = FLOATS.copy()
    as_clip(floats, RATE)
    assert np.array_equal(floats, FLOATS)


def test_a_little_overshoot_is_clipped_and_reported():
    assert as_clip(np.clip(FLOATS * 6, -1.9, 1.9), RATE).facts.clipped > 0.1


@pytest.mark.parametrize(
    ("waveform", "rate", "sentence"),
    [
        (np.zeros((0,)), RATE, "The waveform is empty: it has 1 channels with 0 samples."),
        (np.zeros((0, 100)), RATE, "The waveform is empty: it has 0 channels with 100 samples."),
        (
            np.zeros((2, 3, 4)),
            RATE,
            "The waveform has the shape (2, 3, 4); it must be (samples,) or (channels, samples).",
        ),
        (np.float64(0.5), RATE, "The waveform has the shape ()"),
        (np.zeros((1000, 2)), RATE, "Channels come first: pass waveform.T."),
        (np.zeros(1000, np.int32), RATE, "The waveform's samples are int32; pass floats between -1 and 1, or int16."),
        (np.zeros(1000, complex), RATE, "The waveform's samples are complex128"),
        (SOUND.astype(float), RATE, "but floats must be between -1 and 1. Divide them by their full scale"),
        (
            np.full(1000, np.nan),
            RATE,
            "The audio has samples that are NaN or infinite, the first at 0.00 s",
        ),
        (np.full(1000, np.inf), RATE, "samples that are NaN or infinite, the first at 0.00 s"),
        ("voice.wav", RATE, "The waveform's samples are <U9"),
        (None, RATE, "The waveform's samples are object"),
        ([[1.0], [1.0, 2.0]], RATE, "The waveform cannot be converted to a numpy array"),
        (np.zeros(31 * RATE), RATE, "The waveform is too long: it has 31.00 s or more, and the limit is 30 s."),
        (SOUND, 0, "The sample_rate must be a positive number of hertz, not 0."),
        (SOUND, -8000, "The sample_rate must be a positive number of hertz, not -8000."),
        (SOUND, True, "The sample_rate must be a positive number of hertz, not True."),
        (SOUND, 16000.0, "The sample_rate must be a whole number of hertz, not 16000.0."),
        (SOUND, None, "The sample_rate must be a whole number of hertz, not None."),
        (SOUND, 10**7, "FLAC supports up to 65535 Hz, and multiples of 10 Hz up to 655350 Hz."),
    ],
)
def test_an_invalid_waveform_is_refused_with_its_reason(waveform, rate, sentence):
    with pytest.raises(MediaError) as caught:
        as_clip(waveform, rate)
    assert sentence in str(caught.value)
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("source", "keys"),
    [
        ({}, "no keys"),
        ({"waveform": SOUND}, "'waveform'"),
        ({"array": SOUND, "sample_rate": 1}, "'array', 'sample_rate'"),
        ({"waveform": SOUND, "sample_rate": 1, "uri": ""}, "'sample_rate', 'uri', 'waveform'"),
    ],
)
def test_a_mapping_with_other_keys_is_refused(source, keys):
    with pytest.raises(MediaError) as caught:
        measure(source)
    assert (
        str(caught.value)
        == f"A waveform must be a mapping with only the keys 'waveform' and 'sample_rate'; this one has {keys}."
    )
