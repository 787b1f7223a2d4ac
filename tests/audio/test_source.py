"""Sources of audio: paths, contents, file objects, and what is refused."""

import io
import os

import pytest
from audio_files import speechlike, wav

from pyannote_voiceprint_async.audio import (
    best_segment,
    check_audio,
    check_audio_if_installed,
    cut,
    cut_segments,
    measure,
    unsupported_format,
)
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
def test_unsupported_formats_are_recognized_by_their_first_bytes(data, expected):
    assert unsupported_format(data) == expected


def test_a_waveform_has_no_format():
    assert unsupported_format({"waveform": [], "sample_rate": 1}) is None


def test_a_missing_file_a_directory_and_a_pipe_are_refused(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, reason in (
        (tmp_path / "no.wav", "no such file"),
        (tmp_path, "is a directory"),
        (pipe, "not a regular file"),
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
        (io.StringIO("text"), "open in text mode"),
        (OneWay(), "cannot be rewound"),
        (None, "must be a pathlib.Path, bytes, an open binary file, or a mapping .*, not NoneType"),
    ],
)
def test_other_types_are_refused(source, sentence):
    with pytest.raises(MediaError, match=sentence):
        measure(source)


@pytest.mark.parametrize(
    "function",
    [
        best_segment,
        check_audio,
        check_audio_if_installed,
        cut,
        lambda source: cut_segments(source, [(0, 1)]),
        measure,
        unsupported_format,
    ],
)
def test_a_str_is_refused_because_it_may_be_a_path_a_url_or_contents(function):
    with pytest.raises(TypeError, match=r"Pass a file as pathlib\.Path\(\.\.\.\), and its contents as bytes"):
        function("voice.wav")


def test_a_raw_file_may_return_fewer_bytes_than_requested():
    class Dripping(io.BytesIO):
        def read(self, count=-1):
            return super().read(min(count, 777))

    assert measure(Dripping(wav(speechlike()))) == measure(wav(speechlike()))
