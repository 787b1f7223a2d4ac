"""The pages of an Ogg file."""

import io

import pytest
from audio_files import encoded, ogg, ogg_flac, speechlike

from pyannote_voiceprint_async.audio import cut, measure
from pyannote_voiceprint_async.audio.ogg_pages import OggFlac, is_chained, stream_codecs
from pyannote_voiceprint_async.audio.source import FileSlice
from pyannote_voiceprint_async.errors import MediaError


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_joined_ogg_files_are_not_used_as_if_there_were_only_the_first(subtype):
    """The API may use the second file too, and its speaker would be part of the voiceprint unchecked."""
    first, second = (encoded(speechlike(seconds), kind="OGG", subtype=subtype) for seconds in (2, 3))
    assert not measure(first).is_unclosed
    joined = measure(first + second)
    assert (joined.seconds, joined.is_unclosed) == (2.0, True)
    with pytest.raises(MediaError, match=r"The audio continues after the 2\.00 s that its header states\. Set an end"):
        cut(first + second, 1, 4)


@pytest.mark.parametrize(
    ("data", "codecs"),
    [
        (encoded(speechlike(), kind="OGG", subtype="VORBIS"), ["Vorbis"]),
        (encoded(speechlike(), kind="OGG", subtype="OPUS"), ["Opus"]),
        (ogg_flac(speechlike()), ["FLAC"]),
        (ogg([b"Speex   1.2rc1" + bytes(60), bytes(500)]), ["Speex"]),
        (ogg([b"something else" + bytes(60), bytes(500)]), ["unknown codec"]),
        (b"no Ogg at all" * 10, []),
    ],
    ids=["Vorbis", "Opus", "FLAC", "Speex", "unknown", "other file"],
)
def test_each_stream_has_a_codec(data, codecs):
    assert stream_codecs(FileSlice(io.BytesIO(data))) == codecs


def test_streams_are_chained_where_one_begins_after_another():
    data = encoded(speechlike(), kind="OGG")
    assert not is_chained(FileSlice(io.BytesIO(data)))
    assert is_chained(FileSlice(io.BytesIO(data + data)))


def read_all(file):
    return b"".join(iter(lambda: file.read(1000), b""))


def test_flac_is_read_out_of_ogg():
    flac = OggFlac(FileSlice(io.BytesIO(ogg_flac(speechlike()))))
    data = encoded(speechlike())
    assert read_all(flac) == data
    assert flac.seek(-5000, io.SEEK_END) == len(data) - 5000
    assert read_all(flac) == data[-5000:]
