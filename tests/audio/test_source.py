import io
import os

import pytest
from audio_files import speechlike, wav

from pyannote_voiceprint_async.audio import measure, unsupported_format
from pyannote_voiceprint_async.errors import MediaError


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\0\0\0\x20ftypM4A " + bytes(100), "MP4/M4A"),
        (b"\x1a\x45\xdf\xa3" + bytes(100), "WebM/Matroska"),
        (b"#!AMR\n" + bytes(100), "AMR"),
        (b"\xff\xf1" + bytes(100), "AAC"),
        (wav(speechlike()), None),
        (b"hello", None),
    ],
)
def test_formats_that_only_the_api_reads_are_known_by_their_first_bytes(data, expected):
    assert unsupported_format(data) == expected


def test_a_waveform_has_no_format():
    assert unsupported_format({"waveform": [], "sample_rate": 1}) is None


def test_a_missing_file_a_folder_and_a_pipe_are_told(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, reason in (
        (tmp_path / "no.wav", "no such file"),
        (tmp_path, "is a directory"),
        (pipe, "no regular file"),
    ):
        with pytest.raises(MediaError, match=reason) as caught:
            measure(path)
        assert str(path) in str(caught.value)


class OneWay(io.RawIOBase):
    def readable(self):
        return True

    def seekable(self):
        return False


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (io.StringIO("text"), "open as text"),
        (OneWay(), "cannot be rewound"),
        ("voice.wav", "must be a pathlib.Path, bytes, an open binary file, or a mapping"),
        (None, "not NoneType"),
    ],
)
def test_what_is_no_source_is_told(source, sentence):
    with pytest.raises(MediaError, match=sentence):
        measure(source)


def test_a_raw_file_may_give_less_than_it_is_asked_for():
    class Dripping(io.BytesIO):
        def read(self, count=-1):
            return super().read(min(count, 777))

    assert measure(Dripping(wav(speechlike()))) == measure(wav(speechlike()))
