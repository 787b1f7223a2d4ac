"""Measurements of samples: loudness, clipping and speech."""

import struct
import tracemalloc

import numpy as np
import pytest
from audio_files import RATE, encoded, speechlike, wav

from pyannote_voiceprint_async.audio import measure

SPEECH = speechlike()


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (np.zeros(RATE, np.int16), -120.0),
        (np.full(RATE, -32768, np.int16), 0.0),
        (np.full(RATE, 328, np.int16), -40.0),
        (np.stack([SPEECH, -SPEECH], axis=1), -120.0),
    ],
    ids=["digital silence", "full scale", "one percent", "channels that cancel each other out"],
)
def test_loudness_is_that_of_the_mono_mix(samples, expected):
    assert measure(encoded(samples)).loudness_dbfs == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(
    ("samples", "subtype", "expected"),
    [
        (np.array([32767, -32768, 32766, 0], np.int16), "PCM_16", 0.5),
        (np.array([[32767, 0], [0, 0]], np.int16), "PCM_16", 0.25),
        (np.array([32767, 0, 0, 0], np.int16), "PCM_U8", 0.25),
        (np.array([32767, -32768, 0, 0], np.int16), "ULAW", 0.5),
        (np.array([1.5, -1.0, 0.9, 0.0]), "FLOAT", 0.5),
    ],
)
def test_clipped_is_the_share_of_samples_at_full_scale_of_their_encoding(samples, subtype, expected):
    kind = "AU" if subtype == "ULAW" else "WAV"
    assert measure(encoded(samples, kind=kind, subtype=subtype)).clipped == expected


def test_steady_noise_is_not_speech():
    noise = (np.random.default_rng(1).normal(size=5 * RATE) * 3000).astype(np.int16)
    assert measure(wav(noise)).speech_seconds == 0


def test_a_sample_rate_of_gigahertz_needs_no_more_memory_than_others():
    data = wav(np.zeros(10_000_000, np.int16))
    data = data[:24] + struct.pack("<I", 2**31 - 1) + data[28:]
    tracemalloc.start()
    try:
        assert measure(data).sample_rate == 2**31 - 1
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()
