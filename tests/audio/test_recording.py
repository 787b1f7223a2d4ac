"""Open recordings: their ends, stated lengths, and files that cannot be decoded."""

import numpy as np
import pytest
from audio_files import FLOAT, RATE, encoded, mp3, speechlike, wav, with_flac_length, without_mp3_length

from pyannote_voiceprint_async.audio import measure
from pyannote_voiceprint_async.errors import MediaError

SPEECH = speechlike()


@pytest.mark.parametrize(
    ("data", "seconds", "stated", "is_truncated", "is_unclosed"),
    [
        (with_flac_length(encoded(SPEECH), 0), 2.0, 2.0, False, False),
        (with_flac_length(encoded(SPEECH), 64000), 2.0, 4.0, True, False),
        (encoded(SPEECH) + b"TAG" + bytes(125), 2.0, 2.0, False, False),
        (with_flac_length(encoded(speechlike(20)), 32000), 2.0, 2.0, False, True),
        (encoded(SPEECH) * 2, 2.0, 2.0, False, True),
        (mp3(speechlike(20)) + mp3(speechlike(20)), 20.0, 20.0, False, True),
        (mp3(speechlike(20)) + b"APETAGEX" + bytes(100_000), 20.0, 20.0, False, False),
    ],
    ids=[
        "FLAC of unknown length",
        "FLAC that states twice",
        "FLAC with a tag at its end",
        "FLAC that states less",
        "two FLAC files joined",
        "two MP3 files joined",
        "MP3 with a picture at its end",
    ],
)
def test_a_wrong_length_of_flac_or_mp3_is_detected(data, seconds, stated, is_truncated, is_unclosed):
    facts = measure(data)
    assert (facts.seconds, facts.is_truncated, facts.is_unclosed) == (seconds, is_truncated, is_unclosed)
    assert facts.header_seconds == pytest.approx(stated, abs=0.001)


@pytest.mark.parametrize("kind", ["FLAC", "MP3"])
def test_half_a_file_is_truncated(kind):
    data = encoded(speechlike(20.0), kind=kind)
    facts = measure(data[: len(data) // 2])
    assert facts.is_truncated
    assert facts.header_seconds == pytest.approx(20.0, abs=0.1)
    assert 5 < facts.seconds < 11


@pytest.mark.parametrize("first", [0, 20])
def test_an_mp3_without_a_stated_length_is_read_to_its_end(first):
    """A length that is estimated from the first frame may be far too short or too long."""
    sound = [np.zeros(first * RATE, np.int16), speechlike(20.0), np.zeros((20 - first) * RATE, np.int16)]
    facts = measure(without_mp3_length(mp3(np.concatenate(sound))))
    assert facts.seconds == facts.header_seconds == pytest.approx(40.0, abs=0.2)
    assert not facts.is_truncated


def test_an_mp3_without_a_stated_length_is_never_reported_as_truncated():
    """Its length is estimated by libsndfile from the bit rate, and is wrong where the bit rate varies."""
    data = encoded(speechlike(5.0), kind="MP3")
    place = max(data.find(mark) for mark in (b"Xing", b"Info"))
    assert 0 < place < 512
    # Without the mark, the first frame is an ordinary one.
    facts = measure(b"ID3\x04\0\0\0\0\x01\x00" + bytes(128) + data[:place] + bytes(4) + data[place + 4 : -2000])
    assert not facts.is_truncated
    assert facts.seconds > 2


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "The audio is empty: it has no bytes."),
        (b"RIFF", "The file is in none of the audio formats that are recognized here. Use WAV, FLAC, MP3"),
        (b"hello world\n" * 100, "The file is in none of the audio formats"),
        (("hello world" * 100).encode("utf-16"), "The file is in none of the audio formats"),
        (b"\x89PNG\r\n" + bytes(1000), "The file is in none of the audio formats"),
        (b"\xff\xfb\x90\x64" + bytes(3000), "The file is in none of the audio formats"),
        (b"\0\0\0\x20ftypM4A " + bytes(1000), "The audio is MP4/M4A, which cannot be read here."),
        (b"\x1a\x45\xdf\xa3" + bytes(1000), "The audio is WebM/Matroska, which cannot be read here."),
        (wav(bytes(100), channels=0), "its header is damaged (channel count is zero). Export or copy the file again."),
        (wav(bytes(100), rate=0), "The audio cannot be read: its header is damaged"),
        (wav(bytes(8000), channels=2000), "its header is damaged (too many channels specified)"),
        (wav(np.full(RATE, np.nan, np.float32), tag=FLOAT), "samples that are NaN or infinite, the first at 0.00 s."),
        (
            wav(np.r_[np.zeros(RATE), np.inf, np.zeros(RATE)].astype(np.float32), tag=FLOAT),
            "samples that are NaN or infinite, the first at 1.00 s.",
        ),
        (wav(SPEECH.astype(np.float32), tag=FLOAT), "but floats must be between -1 and 1."),
    ],
    ids=[
        "empty", "four bytes", "text", "UTF-16 text", "picture", "MP3 mark only", "M4A", "WebM", "zero channels",
        "zero rate", "2000 channels", "NaN", "infinity", "floats of another scale",
    ],
)  # fmt: skip
def test_other_data_than_audio_is_refused_with_its_reason(data, sentence):
    with pytest.raises(MediaError) as caught:
        measure(data)
    assert sentence in str(caught.value)
    assert not caught.value.retryable
