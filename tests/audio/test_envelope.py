"""The envelope of a recording: extremes, clipping and speech at the right times, in a bounded number of points."""

import numpy as np
import pytest
from audio_files import speechlike, wav

from pyannote_voiceprint_async.audio import best_segment, measure
from pyannote_voiceprint_async.audio.envelope import trace_envelope

RATE = 16000


@pytest.fixture
def record(tmp_path):
    def write(samples, **options):
        (tmp_path / "a.wav").write_bytes(wav(samples, **options))
        return tmp_path / "a.wav"

    return write


def test_the_extremes_of_each_frame(record):
    samples = np.zeros(RATE, np.int16)
    samples[8000], samples[8001] = 16384, -8192
    envelope = trace_envelope(record(samples))
    peak = int(np.argmax(envelope.high))
    assert (envelope.seconds, len(envelope.times)) == (1.0, 50)
    assert envelope.times[peak] == pytest.approx(0.5)
    assert (envelope.high[peak], envelope.low[peak]) == (0.5, -0.25)
    assert not envelope.clipped.any()


def test_clipping_of_any_channel_is_where_it_is(record):
    samples = np.zeros((RATE, 2), np.int16)
    samples[4000:4010, 1] = 32767
    envelope = trace_envelope(record(samples, channels=2))
    assert envelope.times[envelope.clipped] == pytest.approx([0.24])


def test_speech_has_the_length_that_the_check_measures(speech):
    envelope, facts = trace_envelope(speech / "june-fr.wav"), measure(speech / "june-fr.wav")
    assert envelope.seconds == facts.seconds
    assert float(envelope.speech.sum()) * 0.02 == pytest.approx(facts.speech_seconds)
    assert envelope.best is None


def test_a_long_recording_has_the_segment_of_trim_and_no_more_points_than_a_picture_needs(record):
    path = record(np.concatenate((np.zeros(20 * RATE, np.int16), speechlike(40))))
    envelope = trace_envelope(path)
    assert envelope.best == best_segment(path)
    assert 1000 < len(envelope.times) <= 2000
    assert envelope.speech[envelope.times < 19.9].max() == 0
    assert float(envelope.high.max()) == pytest.approx(measure(path).peak, abs=0.01)


def test_an_incomplete_last_frame_is_drawn(record):
    samples = np.zeros(RATE + 100, np.int16)
    samples[-1] = 16384
    assert trace_envelope(record(samples)).high[-1] == 0.5
