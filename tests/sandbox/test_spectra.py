import io

import numpy as np
import pytest
import soundfile

from pyannote_voiceprint_async.sandbox.spectra import read_spectra


def read(samples, rate=8000, longest=900.0):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="FLOAT")
    file.seek(0)
    with soundfile.SoundFile(file) as opened:
        return read_spectra(opened, longest)


def tone(seconds, rate=8000, hertz=440.0, level=0.5):
    return level * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)


@pytest.mark.parametrize("rate", [8000, 11_025, 16_000, 44_100, 48_000])
def test_a_tone_is_in_one_band_at_every_rate(rate):
    spectra = read(tone(2.0, rate, 1000.0), rate)
    assert int(spectra.shapes.mean(axis=0).argmax()) == 11
    assert spectra.seconds == pytest.approx(2.0)
    assert len(spectra.shapes) * spectra.hop == pytest.approx(2.0, abs=0.05)


def test_speech_is_what_is_not_much_quieter_than_the_rest():
    spectra = read(np.concatenate([tone(1.0), tone(1.0, level=1e-4), np.zeros(8000), tone(1.0, level=0.1)]))
    seconds = np.flatnonzero(spectra.is_speech) * spectra.hop
    assert {round(second) for second in seconds if abs(second % 1 - 0.5) < 0.4} == {0, 1, 3, 4}
    assert not np.any((seconds > 1.05) & (seconds < 2.95))


def test_blocks_leave_no_gap():
    """The frames of a recording of several blocks are those of one transformation."""
    samples = np.random.default_rng(0).normal(0.0, 0.1, 8000 * 30)
    spectra = read(samples)
    assert len(spectra.shapes) == len(samples) // 100 - 1


@pytest.mark.parametrize(
    ("samples", "rate", "longest"),
    [
        (np.zeros(8000), 8000, 900.0),
        (tone(1.0, level=1e-5), 8000, 900.0),
        (tone(0.01), 8000, 900.0),
        (tone(1.0, 4000), 4000, 900.0),
        (tone(2.0), 8000, 1.0),
        (np.zeros(0), 8000, 900.0),
    ],
    ids=["silent", "too quiet", "too short", "too few samples per second", "too long", "empty"],
)
def test_other_recordings_have_no_spectra(samples, rate, longest):
    assert read(samples, rate, longest) is None


def test_samples_that_are_no_numbers_count_as_silence():
    samples = np.concatenate([np.full(4000, np.nan), tone(1.0)])
    spectra = read(samples)
    assert np.isfinite(spectra.shapes).all()


def test_channels_are_mixed():
    stereo = np.column_stack([tone(1.0), np.zeros(8000)])
    assert read(stereo).shapes == pytest.approx(read(tone(1.0) / 2).shapes, abs=1e-3)
