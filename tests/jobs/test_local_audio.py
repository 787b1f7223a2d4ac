"""Opening, measuring and reading local audio. `test_uploads.py` has the errors of every kind of source."""

import io
from pathlib import Path

import pytest

from pyannote_voiceprint_async import MediaError, VoiceprintRequest
from pyannote_voiceprint_async.jobs.local_audio import is_local, open_audio

AUDIO = bytes(range(256)) * 2000


async def content(audio):
    return b"".join([chunk async for chunk in audio.chunks()])


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (Path("voice.wav"), True),
        (b"RIFF", True),
        (io.BytesIO(b"RIFF"), True),
        ({"waveform": [0.0], "sample_rate": 8000}, True),
        ("voice.wav", False),
        ("/etc/passwd", False),
        ("https://example.com/voice.wav", False),
        (VoiceprintRequest("https://example.com/voice.wav"), False),
        (None, False),
        (7, False),
    ],
)
def test_a_str_is_never_local(source, expected):
    """A service that passes on a string of its caller must never upload its own files."""
    assert is_local(source) is expected


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("voice.WAV", ".wav"), ("voice.tar.gz", ".gz"), ("voice", ""), ("voice.a b", ""), ("voice.äöü", "")],
)
async def test_a_plain_suffix_is_kept_in_lower_case(tmp_path, name, suffix):
    path = tmp_path / name
    path.write_bytes(AUDIO)
    async with open_audio(path) as audio:
        assert (audio.suffix, audio.size) == (suffix, len(AUDIO))


async def test_audio_can_be_read_again_for_a_retry():
    async with open_audio(AUDIO) as audio:
        assert [await content(audio), await content(audio)] == [AUDIO, AUDIO]


async def test_a_file_of_the_caller_is_read_from_its_position_and_left_open():
    file = io.BytesIO(AUDIO)
    file.seek(1000)
    async with open_audio(file) as audio:
        assert (audio.size, await content(audio)) == (len(AUDIO) - 1000, AUDIO[1000:])
    assert not file.closed


@pytest.mark.parametrize(("changed", "message"), [(AUDIO[:-1], "shorter"), (AUDIO + b"x", "longer")])
async def test_a_file_whose_length_changes_is_refused_before_its_last_chunk(tmp_path, changed, message):
    path, sent = tmp_path / "voice.wav", 0
    path.write_bytes(AUDIO)
    async with open_audio(path) as audio:
        path.write_bytes(changed)
        with pytest.raises(MediaError, match=f"became {message} during the upload"):
            async for chunk in audio.chunks():
                sent += len(chunk)
    assert sent < len(AUDIO)
