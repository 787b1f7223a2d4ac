"""Metadata tags before and after audio."""

import io

import pytest
from audio_files import TAGS_AFTER_AUDIO, ape, id3, mp3, speechlike

from pyannote_voiceprint_async.audio import check_audio
from pyannote_voiceprint_async.audio.source import FileSlice
from pyannote_voiceprint_async.audio.tags import skip_tag, skip_tags

MP3 = mp3(speechlike())
LYRICS = b"LYRICSBEGININD0000200EAR00003abc000137LYRICS200"


@pytest.mark.parametrize("tags", TAGS_AFTER_AUDIO.values(), ids=TAGS_AFTER_AUDIO)
def test_tags_after_an_mp3_are_not_audio(tags):
    report = check_audio(MP3 + tags)
    assert (report.findings, report.facts.is_unclosed) == ((), False)


@pytest.mark.parametrize(
    "tag",
    [id3(), id3(bytes(300)), id3(bytes(300), footer=True), ape(), ape(bytes(200)), b"TAG" + bytes(125), LYRICS],
    ids=["empty ID3v2", "ID3v2", "ID3v2 with footer", "empty APEv2", "APEv2", "ID3v1", "Lyrics3"],
)
def test_all_of_a_tag_is_skipped(tag):
    assert skip_tags(FileSlice(io.BytesIO(b"before" + tag + b"audio")), 6) == 6 + len(tag)


@pytest.mark.parametrize("data", [b"RIFF", b"ID3\x04\0\0\xff\xff\xff\xff" + bytes(100), b""])
def test_other_data_is_not_skipped(data):
    assert skip_tag(FileSlice(io.BytesIO(data)), 0) == 0


def test_a_tag_that_is_cut_off_ends_with_the_file():
    data = id3(bytes(300))[:100]
    assert skip_tag(FileSlice(io.BytesIO(data)), 0) == 100
