"""The measured properties of recordings, real speech among them."""

import io

import attrs
import numpy as np
import pytest
from audio_files import RATE, encoded, speechlike, wav

from pyannote_voiceprint_async.audio import measure

SPEECH = speechlike()


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("allison-en.wav", 15.18),
        ("allison-es.wav", 14.81),
        ("carlo-it.wav", 12.92),
        ("ivrvoice-ru.wav", 10.66),
        ("june-fr.wav", 13.16),
        ("../conversation/conversation.flac", 75.62),
    ],
)
def test_real_speech_is_mostly_speech(speech, name, seconds):
    facts = measure(speech / name)
    assert (round(facts.seconds, 2), facts.sample_rate, facts.channels) == (seconds, 8000, 1)
    assert 0.7 * facts.seconds < facts.speech_seconds < 0.95 * facts.seconds
    assert -25 < facts.loudness_dbfs < -15
    assert facts.clipped == 0
    assert facts.header_seconds == facts.seconds
    assert not facts.is_truncated
    assert not facts.is_unclosed


@pytest.mark.parametrize(
    ("kind", "subtype", "rate"),
    [
        ("WAV", "PCM_16", 16000),
        ("WAV", "PCM_U8", 8000),
        ("WAV", "DOUBLE", 48000),
        ("WAV", "GSM610", 8000),
        ("WAV", "IMA_ADPCM", 16000),
        ("FLAC", "PCM_24", 44100),
        ("OGG", "VORBIS", 16000),
        ("OGG", "OPUS", 48000),
        ("MP3", "MPEG_LAYER_III", 44100),
        ("AIFF", "PCM_16", 22050),
        ("AU", "ULAW", 8000),
        ("RF64", "PCM_16", 16000),
        ("W64", "PCM_16", 16000),
    ],
)
def test_all_formats_are_named_and_measured_alike(kind, subtype, rate):
    samples = (
        np.tile(speechlike(rate=rate), (2, 1)).T if subtype not in {"GSM610", "IMA_ADPCM"} else speechlike(rate=rate)
    )
    facts = measure(encoded(samples / 2**15, rate=rate, kind=kind, subtype=subtype))
    assert (facts.format, facts.subtype, facts.sample_rate) == (kind, subtype, rate)
    assert facts.channels == samples.ndim
    assert facts.seconds == pytest.approx(2.0, abs=0.05)
    assert facts.loudness_dbfs == pytest.approx(-16.5, abs=0.5)
    assert facts.speech_seconds == pytest.approx(1.0, abs=0.2)
    assert not facts.is_truncated
    assert not facts.is_unclosed


@pytest.mark.parametrize("wrap", [bytes, io.BytesIO], ids=["bytes", "file"])
def test_bytes_files_and_paths_are_the_same_audio(tmp_path, wrap):
    path = tmp_path / "voice.wav"
    path.write_bytes(wav(SPEECH))
    assert measure(wrap(wav(SPEECH))) == measure(path)


def test_a_file_object_is_read_from_its_position_and_rewound_to_it():
    file = io.BytesIO(b"something" + wav(SPEECH))
    file.seek(9)
    assert measure(file) == measure(file) == measure(wav(SPEECH))
    assert file.tell() == 9


def test_a_waveform_has_facts_like_a_file():
    facts = measure({"waveform": SPEECH, "sample_rate": RATE})
    expected = measure(wav(SPEECH))
    assert facts == attrs.evolve(expected, format="waveform")
