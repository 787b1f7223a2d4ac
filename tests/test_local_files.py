"""Files of this machine that are opened to be read as audio."""

import os
from pathlib import Path

import pytest

from pyannote_voiceprint_async.errors import MediaError
from pyannote_voiceprint_async.local_files import open_regular_file, reason_of


def test_a_regular_file_is_opened_in_binary_mode(tmp_path):
    path = tmp_path / "voice.wav"
    path.write_bytes(b"RIFF")
    with open_regular_file(path) as file:
        assert file.read() == b"RIFF"


def test_anything_else_is_refused_without_opening_it(tmp_path):
    """Opening the pipe would block for ever: it has no writer."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, reason in (
        (tmp_path / "missing.wav", "no such file or directory"),
        (tmp_path, "it is a directory"),
        (pipe, "it is not a regular file"),
        (Path("nul\0.wav"), "null"),
    ):
        with pytest.raises(MediaError, match=rf"^The audio file cannot be opened \([^)]*{reason}") as caught:
            open_regular_file(path)
        assert str(caught.value).endswith(f": {path}")


@pytest.mark.parametrize(
    ("exc", "expected"),
    [(OSError(13, "Permission denied"), "permission denied"), (ValueError("Closed"), "closed"), (OSError(), "oserror")],
)
def test_the_reason_is_the_text_of_the_system_or_the_exception(exc, expected):
    assert reason_of(exc) == expected
