import base64

import pytest

from pyannote_voiceprint_async.sandbox import voiceprint_of


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
