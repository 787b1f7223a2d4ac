"""The length that the header of a WAV or AIFF file states, compared with its samples."""

import io
import struct

import numpy as np
import pytest
from audio_files import RATE, encoded, speechlike, wav

from pyannote_voiceprint_async.audio import measure
from pyannote_voiceprint_async.audio.source import FileSlice
from pyannote_voiceprint_async.audio.wav_header import data_length, iter_chunks

SPEECH = speechlike()


def big_endian_wav(samples):
    """A RIFX file, which is WAV in big-endian byte order."""
    head = struct.pack(">4sI4s4sI", b"RIFX", 36 + 2 * len(samples), b"WAVE", b"fmt ", 16)
    form = struct.pack(">HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)
    return head + form + struct.pack(">4sI", b"data", 2 * len(samples)) + samples.astype(">i2").tobytes()


def with_aiff_length(data, samples):
    """The same AIFF file with another stated number of samples."""
    place = data.index(b"SSND") + 4
    return data[:place] + struct.pack(">I", 8 + 2 * samples) + data[place + 4 :]


@pytest.mark.parametrize(
    ("data", "seconds", "stated", "is_truncated", "is_unclosed"),
    [
        (wav(SPEECH), 2.0, 2.0, False, False),
        (wav(SPEECH, tail=b"LIST\x04\0\0\0abcd"), 2.0, 2.0, False, False),
        (wav(SPEECH, tail=bytes(4096)), 2.0, 2.0, False, False),
        (wav(SPEECH, tail=bytes(100_001)), 2.0, 2.0, False, False),
        (wav(SPEECH, tail=bytes(100_000) + b"speech"), 2.0, 2.0, False, True),
        (wav(SPEECH, tail=b"LIST\xff\xff\0\0" + bytes(5000)), 2.0, 2.0, False, False),
        (wav(SPEECH)[:32044], 1.0, 2.0, True, False),
        (wav(SPEECH, data_length=640_000), 2.0, 20.0, True, False),
        (wav(SPEECH, data_length=0xFFFFFFFF, riff_length=0xFFFFFFFF), 2.0, 2.0, False, False),
        (wav(SPEECH, data_length=0x7FFFF000), 2.0, 2.0, False, False),
        (wav(SPEECH, data_length=0, riff_length=0), 0.0, 0.0, False, True),
        (wav(SPEECH, data_length=32000), 1.0, 1.0, False, True),
        (wav(SPEECH)[:44], 0.0, 0.0, False, False),
        (encoded(SPEECH, kind="RF64", subtype="PCM_16")[:-32000], 1.0, 2.0, True, False),
        (wav(np.r_[SPEECH[:16000], np.full(16000, 0x4141, np.int16)], data_length=32000), 1.0, 1.0, False, True),
        (big_endian_wav(SPEECH), 2.0, 2.0, False, False),
        (big_endian_wav(SPEECH)[:-32000], 1.0, 2.0, True, False),
        (encoded(SPEECH, kind="AIFF"), 2.0, 2.0, False, False),
        (encoded(SPEECH, kind="AIFF")[:-32000], 1.0, 2.0, True, False),
        (with_aiff_length(encoded(SPEECH, kind="AIFF"), 16000), 1.0, 1.0, False, True),
        (with_aiff_length(encoded(SPEECH, kind="AIFF"), -4), 2.0, 2.0, False, False),
    ],
    ids=[
        "correct",
        "with another chunk",
        "padded with zeros",
        "with many zeros",
        "with something after many zeros",
        "cut off in another chunk",
        "truncated",
        "states ten times as much",
        "streamed by ffmpeg",
        "streamed by sox",
        "never closed",
        "states half",
        "only a header",
        "RF64 truncated",
        "states half, and letters follow",
        "RIFX",
        "RIFX truncated",
        "AIFF",
        "AIFF truncated",
        "AIFF that states half",
        "AIFF that states nothing",
    ],
)
def test_a_wrong_length_is_detected(data, seconds, stated, is_truncated, is_unclosed):
    facts = measure(data)
    assert (facts.seconds, facts.is_truncated, facts.is_unclosed) == (seconds, is_truncated, is_unclosed)
    assert facts.header_seconds == pytest.approx(stated, abs=0.001)


def test_chunks_have_name_offset_and_size():
    file = FileSlice(io.BytesIO(wav(SPEECH, tail=b"LIST\x04\0\0\0abcd")))
    size = 2 * len(SPEECH)
    assert list(iter_chunks(file)) == [(b"fmt ", 20, 16), (b"data", 44, size), (b"LIST", 52 + size, 4)]


@pytest.mark.parametrize("data", [encoded(SPEECH), b"RIFF", b""], ids=["FLAC", "four bytes", "nothing"])
def test_other_files_have_no_chunks_and_no_stated_length(data):
    file = FileSlice(io.BytesIO(data))
    assert (list(iter_chunks(file)), data_length(file)) == ([], None)
