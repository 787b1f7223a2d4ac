"""The frames of an MP3 file, and files whose first frame states too few of them."""

import io

import pytest
from audio_files import TAGS_AFTER_AUDIO, finding_codes, id3, mp3, speechlike, without_mp3_length

from pyannote_voiceprint_async.audio import check_audio
from pyannote_voiceprint_async.audio.mp3_frames import find_first_frame, iter_frames, stated_frames, total_seconds
from pyannote_voiceprint_async.audio.source import FileSlice

MP3 = mp3(speechlike())


def opened(data):
    return FileSlice(io.BytesIO(data))


@pytest.mark.parametrize("tags", [b"", *TAGS_AFTER_AUDIO.values()], ids=["nothing", *TAGS_AFTER_AUDIO])
@pytest.mark.parametrize(
    "second",
    [MP3, mp3(speechlike(0.2)), mp3(speechlike(1.0, rate=44100), rate=44100), without_mp3_length(MP3)],
    ids=["the same", "a fifth of a second", "another rate", "without a length"],
)
def test_frames_after_the_stated_ones_are_found_after_all_tags(tags, second):
    report = check_audio(MP3 + tags + id3(bytes(50)) + second)
    assert [finding.code for finding in report.findings] == ["joined"]
    assert "after the 2.0 s of its first file" in report.findings[0].message
    assert report.facts.is_joined


def with_vbri(data):
    """The same MP3 file with a VBRI header, as Fraunhofer encoders write it."""
    rest = without_mp3_length(data)
    first = data[: len(data) - len(rest)]
    place = max(first.find(mark) for mark in (b"Xing", b"Info"))
    frames = first[place + 8 : place + 12]
    head = first[:4] + bytes(32) + b"VBRI\0\1\0\0\0\0" + bytes(4) + frames
    return head.ljust(len(first), b"\0") + rest


def test_a_vbri_header_is_read():
    assert not check_audio(with_vbri(MP3)).facts.is_unclosed
    assert "joined" in finding_codes(with_vbri(MP3) + MP3)


def test_joined_mp3_files_without_a_stated_length_are_measured_as_a_whole():
    plain = without_mp3_length(MP3)
    assert check_audio(plain + plain).facts.seconds == pytest.approx(4.0, abs=0.2)
    assert finding_codes(plain + plain) == []


def test_an_mp3_that_continues_at_another_sample_rate_is_refused():
    """A decoder stops where the rate changes, and the first file has no header that states its length."""
    other = without_mp3_length(mp3(speechlike(2.0, rate=44100), rate=44100))
    assert finding_codes(without_mp3_length(MP3) + other) == ["joined"]


def test_the_first_frame_states_how_many_follow():
    assert stated_frames(opened(MP3)) == len(list(iter_frames(opened(MP3)))) - 1
    assert stated_frames(opened(without_mp3_length(MP3))) is None


def test_the_frames_last_as_long_as_the_audio():
    assert total_seconds(opened(without_mp3_length(MP3))) == pytest.approx(2.0, abs=0.1)
    assert {frame.sample_rate for frame in iter_frames(opened(MP3))} == {16000}


def test_the_first_frame_is_found_after_a_limited_number_of_other_bytes():
    offset, _ = find_first_frame(opened(bytes(5000) + MP3))
    assert offset == 5000
    assert find_first_frame(opened(bytes(5000) + MP3), within=4999) is None
    assert find_first_frame(opened(b"hello world\n" * 100)) is None
