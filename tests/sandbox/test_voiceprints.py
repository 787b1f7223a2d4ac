import base64

import pytest

from pyannote_voiceprint_async.sandbox import voiceprint_of
from pyannote_voiceprint_async.sandbox.voice_vectors import made_up_vector, similarity
from pyannote_voiceprint_async.sandbox.voiceprints import vector_of


@pytest.mark.parametrize("data", [b"", b"RIFF", "https://example.com/voice.wav", "https://example.com/\ud800"])
def test_a_voiceprint_has_the_size_of_a_real_one_and_begins_with_a_mark(data):
    voiceprint = voiceprint_of(data)
    assert len(voiceprint) == 1400
    assert base64.b64decode(voiceprint, validate=True).startswith(b"SANDBOX")


def test_the_same_source_has_the_same_voiceprint():
    assert voiceprint_of(b"one") == voiceprint_of(b"one")
    assert voiceprint_of("https://one") == voiceprint_of("https://one")


def test_different_sources_have_different_voiceprints():
    sources = [b"one", b"two", "one", "two", "two?query"]
    assert len({voiceprint_of(source) for source in sources}) == len(sources)


def test_a_voiceprint_carries_numbers_that_are_like_only_its_own():
    one, two = vector_of(voiceprint_of(b"one")), vector_of(voiceprint_of(b"two"))
    assert similarity(one, one) == pytest.approx(1.0)
    assert abs(similarity(one, two)) < 0.5


@pytest.mark.parametrize(
    "voiceprint", ["", "not base64", "dm9pY2U=", "\ud800", voiceprint_of(b"x")[:-4], "U0FOREJPW" + "!" * 1391]
)
def test_the_numbers_of_a_foreign_voiceprint_are_made_up_from_its_text(voiceprint):
    assert vector_of(voiceprint) == made_up_vector(voiceprint.encode("utf-8", "surrogatepass"))


def test_a_vector_of_zeros_is_like_nothing():
    assert similarity(bytes(96), made_up_vector(b"x")) == 0.0
