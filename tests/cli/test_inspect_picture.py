"""`inspect --plot`: which files it writes, and which it refuses to replace."""

import json

import pytest
from audio_files import speechlike, wav

from pyannote_voiceprint_async.audio import picture

_PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "talk.wav").write_bytes(wav(speechlike(31)))
    (tmp_path / "phone.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(100))
    return tmp_path


def test_a_picture_is_written_beside_the_usual_output_and_may_be_replaced(invoke, folder):
    for _ in range(2):
        result = invoke("inspect", "talk.wav", "phone.m4a", "--plot", "out.png")
        assert result.exit_code == 1
        assert [json.loads(line)["file"] for line in result.stdout.splitlines()] == ["talk.wav", "phone.m4a"]
        assert result.stderr.splitlines()[-2:] == [
            "phone.m4a: not drawn, because it cannot be decoded here.",
            "Picture of 1 file: out.png",
        ]
        assert (folder / "out.png").read_bytes().startswith(_PNG)


@pytest.mark.parametrize("content", [b"precious", _PNG + bytes(100)])
def test_another_file_is_replaced_only_with_force(invoke, folder, content):
    (folder / "mine.png").write_bytes(content)
    refused = invoke("inspect", "talk.wav", "--plot", "mine.png")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "mine.png holds something other than a picture by this command" in refused.stderr
    assert (folder / "mine.png").read_bytes() == content
    assert invoke("inspect", "talk.wav", "--plot", "mine.png", "--force").exit_code == 1
    assert b"pyannote-voiceprint inspect" in (folder / "mine.png").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["talk.wav", "--plot", "out.jpg"], "--plot must end in .png, not 'out.jpg'"),
        (["talk.wav", "--plot", "gone/out.png"], "gone/out.png cannot be written"),
        ([*(f"{number}.wav" for number in range(21)), "--plot", "out.png"], "--plot draws up to 20 files, not 21"),
    ],
)
def test_wrong_usage_writes_nothing(invoke, folder, arguments, message):
    for number in range(21):
        (folder / f"{number}.wav").touch()
    result = invoke("inspect", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert not (folder / "out.png").exists()


def test_a_missing_library_is_reported_before_any_file_is_read(invoke, folder, monkeypatch):
    monkeypatch.setattr(picture, "find_spec", lambda name: None)
    result = invoke("inspect", "talk.wav", "--plot", "out.png")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "pip install 'pyannote-voiceprint-async[plot]'" in result.stderr


def test_without_a_readable_file_there_is_no_picture(invoke, folder):
    result = invoke("inspect", "phone.m4a", "--plot", "out.png")
    assert "No picture was written: no file can be decoded here." in result.stderr
    assert not (folder / "out.png").exists()
