"""Clips of single speakers, chosen by the RTTM of a recording."""

from fractions import Fraction
from itertools import pairwise

import pytest
from audio_files import RATE, encoded, speechlike, wav, with_flac_length
from hypothesis import given, settings
from hypothesis import strategies as st

from pyannote_voiceprint_async.audio import (
    SpeakerClip,
    SpeakerTurn,
    assess,
    clips_from_rttm,
    clips_from_turns,
    cut_segments,
)
from pyannote_voiceprint_async.errors import MediaError, Problem


def turns(*spoken):
    return [SpeakerTurn("talk", name, round(start * 1e6), round(end * 1e6)) for name, start, end in spoken]


@pytest.mark.parametrize(
    ("spoken", "expected"),
    [
        ([("a", 0, 5)], {"a": [(0, 5)]}),
        ([("a", 0, 40)], {"a": [(0, 30)]}),
        ([("a", 0, 5), ("a", 10, 20), ("a", 30, 48)], {"a": [(0, 2), (10, 20), (30, 48)]}),
        ([("a", 0, 8), ("a", 10, 20), ("a", 30, 45)], {"a": [(0, 5), (10, 20), (30, 45)]}),
        ([("a", 0, 29.5), ("a", 40, 50)], {"a": [(0, 29.5)]}),
        ([("a", 0, 10), ("b", 8, 15)], {"a": [(0, 8)], "b": [(10, 15)]}),
        ([("a", 0, 10), ("b", 4, 6)], {"a": [(0, 4), (6, 10)], "b": None}),
        ([("a", 0, 10), ("b", 2, 12), ("c", 1, 3)], {"a": [(0, 1)], "c": None, "b": [(10, 12)]}),
        ([("a", 0, 5), ("a", 3, 8), ("a", 8, 9)], {"a": [(0, 9)]}),
        ([("a", 0, 5), ("a", 0, 5), ("b", 5, 7)], {"a": [(0, 5)], "b": [(5, 7)]}),
        ([("b", 5, 7), ("a", 0, 0.9)], {"a": None, "b": [(5, 7)]}),
        ([("a", 0, 5), ("b", 0, 5)], {"a": None, "b": None}),
        ([("a", 0, 1)], {"a": [(0, 1)]}),
    ],
    ids=[
        "one turn", "longer than a clip", "the longest", "the rest of a third", "no room for a second", "an overlap",
        "an interruption", "three at once", "turns of one speaker that overlap", "twice the same turn",
        "too short", "always together", "just long enough",
    ],
)  # fmt: skip
def test_the_longest_turns_without_overlap_are_chosen(spoken, expected):
    found = clips_from_turns(turns(*spoken))
    assert {
        one.label: [tuple(segment) for segment in one.segments] if isinstance(one, SpeakerClip) else None
        for one in found
    } == expected


def test_a_speaker_who_never_speaks_alone_is_a_problem_with_a_reason():
    (_, problem) = clips_from_turns(turns(("anna", 0, 10), ("ben", 9.5, 10.25)))
    assert problem == Problem(
        "speaks alone for 0.25 s at most, and 1 s are needed; enroll this voice from another recording", "ben"
    )


def test_segments_end_with_the_recording():
    (clip,) = clips_from_turns(turns(("a", 0, 5), ("a", 6, 12), ("a", 13, 14)), until=9.5)
    assert clip.segments == ((0.0, 5.0), (6.0, 9.5))
    assert clip.seconds == 8.5


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.integers(0, 60_000), st.integers(1, 40_000)), min_size=1, max_size=12
    ),
    st.integers(500, 3000),
    st.integers(3000, 30_000),
)
def test_no_segment_overlaps_another_speaker_and_no_clip_is_too_long(spoken, shortest, longest):
    """Turns are in whole milliseconds, so that all comparisons are exact."""
    given_turns = [SpeakerTurn("talk", name, start * 1000, (start + length) * 1000) for name, start, length in spoken]
    found = clips_from_turns(given_turns, longest=longest / 1000, shortest=shortest / 1000)
    assert {one.label for one in found} == {turn.speaker for turn in given_turns}
    for clip in found:
        if isinstance(clip, Problem):
            continue
        segments = [(round(Fraction(start) * 1000), round(Fraction(end) * 1000)) for start, end in clip.segments]
        assert sum(end - start for start, end in segments) <= longest
        assert all(end - start >= shortest for start, end in segments)
        assert all(first[1] < second[0] for first, second in pairwise(segments))
        for start, end in segments:
            for name, begin, length in spoken:
                if name != clip.label:
                    assert end <= begin or begin + length <= start
            covered = {
                moment
                for name, begin, length in spoken
                if name == clip.label
                for moment in range(begin, begin + length)
            }
            assert covered.issuperset(range(start, end))


def test_the_conversation_has_a_clip_for_each_of_its_three_speakers(speech):
    folder = speech.parent / "conversation"
    found = clips_from_rttm(folder / "conversation.rttm", folder / "conversation.flac")
    assert {clip.label: clip.seconds for clip in found} == {"june": 30.0, "carlo": 27.777, "allison": 14.639}
    for clip in found:
        cut = cut_segments(folder / "conversation.flac", clip.segments)
        assert cut.seconds == pytest.approx(clip.seconds, abs=0.001)
        assert assess(cut.facts) == ()


def line(name, start, duration, file_id="talk"):
    return f"SPEAKER {file_id} 1 {start} {duration} <NA> <NA> {name} <NA> <NA>"


@pytest.fixture
def talk(tmp_path):
    path = tmp_path / "talk.wav"
    path.write_bytes(wav(speechlike(10.0)))
    return path


def test_a_turn_may_end_a_little_after_the_audio(talk):
    (clip,) = clips_from_rttm([line("anna", 4, 6.5)], talk)
    assert clip.segments == ((4.0, 10.0),)
    assert cut_segments(talk, clip.segments).seconds == 6.0


def test_an_rttm_that_is_longer_than_the_recording_is_refused(talk):
    with pytest.raises(
        MediaError, match=r"The RTTM has turns up to 75\.0 s, and the audio has 10\.0 s\. They are not of the same"
    ):
        clips_from_rttm([line("anna", 0, 75)], talk)


def test_a_str_is_refused_because_it_may_be_a_path_or_text(talk):
    with pytest.raises(TypeError, match="The RTTM must not be a str"):
        clips_from_rttm(line("anna", 0, 5), talk)
    with pytest.raises(TypeError, match=r"The audio must not be a str\. Pass the file as pathlib\.Path"):
        clips_from_rttm([line("anna", 0, 5)], str(talk))


def test_the_turns_of_one_recording_are_used(talk):
    lines = [line("anna", 0, 5), line("ben", 0, 7, "other")]
    assert [clip.label for clip in clips_from_rttm(lines, talk)] == ["anna"]
    assert [clip.label for clip in clips_from_rttm(lines, talk, file_id="other")] == ["ben"]
    assert [clip.label for clip in clips_from_rttm(lines[1:], talk)] == ["ben"]


def test_the_recording_must_be_named_where_there_are_several(talk):
    lines = [line("anna", 0, 5, "one"), line("ben", 0, 7, "two")]
    for file_id in (None, "talk"):
        with pytest.raises(
            MediaError,
            match=r"no turns of 'talk', only of: one, two\. Select one \(--file-id, file_id=\)\.",
        ):
            clips_from_rttm(lines, talk, file_id=file_id)


def test_the_length_of_a_streamed_flac_is_counted(tmp_path):
    path = tmp_path / "talk.flac"
    path.write_bytes(with_flac_length(encoded(speechlike(10.0), rate=RATE), 0))
    (clip,) = clips_from_rttm([line("anna", 4, 6.5)], path)
    assert clip.segments == ((4.0, 10.0),)


def test_the_length_of_a_truncated_recording_is_what_can_be_decoded(tmp_path):
    """Its header states more, and clips of the missing audio would fail one by one later."""
    path, whole = tmp_path / "talk.flac", encoded(speechlike(20))
    path.write_bytes(whole[: len(whole) // 2])
    lines = [line("a", 0, 4), line("b", 14, 5)]
    with pytest.raises(MediaError, match=r"turns up to 19\.0 s, and the audio has \d\.\d s\. .* is incomplete"):
        clips_from_rttm(lines, path)
    (clip,) = clips_from_rttm(lines[:1], path)
    assert clip.segments == ((0.0, 4.0),)


@pytest.mark.parametrize(
    ("name", "warns"),
    [
        ("talk", False),
        ("TALK", False),
        ("talk.mp3", False),
        ("rooms/talk.wav", False),
        ("board-2023", True),
        ("talks", True),
    ],
)
def test_an_rttm_that_names_another_recording_causes_a_warning(talk, name, warns):
    """Its times may fit nevertheless, and then the clip has the voice of another person."""
    (clip,) = clips_from_rttm([line("anna", 0, 5, name)], talk)
    warning = (
        f"the RTTM names the recording {name!r}, and the audio is 'talk.wav'; check that they are the same recording"
    )
    assert clip.warnings == ((warning,) if warns else ())
    (confirmed,) = clips_from_rttm([line("anna", 0, 5, name)], talk, file_id=name)
    assert confirmed.warnings == ()


def test_of_several_recordings_the_one_with_the_name_of_the_file_is_used(talk):
    lines = [line("anna", 0, 5, "Talk.WAV"), line("ben", 0, 5, "board")]
    assert [(clip.label, clip.warnings) for clip in clips_from_rttm(lines, talk)] == [("anna", ())]


CHANNELS = """\
SPEAKER talk 1 0 2 <NA> <NA> SPEAKER_00 <NA> <NA>
SPEAKER talk 2 3 2 <NA> <NA> {name} <NA> <NA>
SPEAKER other 2 3 2 <NA> <NA> SPEAKER_00 <NA> <NA>
"""


def test_one_name_on_two_channels_is_refused_because_it_may_be_two_people(tmp_path):
    audio = tmp_path / "talk.wav"
    audio.write_bytes(wav(speechlike(6)))
    with pytest.raises(MediaError) as caught:
        clips_from_rttm(CHANNELS.format(name="SPEAKER_00").splitlines(), audio)
    assert "'SPEAKER_00' on the channels 1 and 2" in str(caught.value)
    assert "SPEAKER_00-1 and SPEAKER_00-2" in str(caught.value)
    # Different names, or one name in different recordings, are unambiguous.
    found = clips_from_rttm(CHANNELS.format(name="SPEAKER_01").splitlines(), audio)
    assert [clip.label for clip in found] == ["SPEAKER_00", "SPEAKER_01"]


def test_turns_of_one_name_on_two_channels_are_refused():
    one, two = turns(("a", 0, 2), ("a", 3, 5))
    with pytest.raises(MediaError, match="two people"):
        clips_from_turns([one, two._replace(channel="2")])


@pytest.mark.parametrize(("file_id", "stem"), [("Jos\u00e9", "Jose\u0301"), ("Jose\u0301", "Jos\u00e9")])
def test_names_of_recordings_are_compared_in_one_unicode_form(tmp_path, file_id, stem):
    audio = tmp_path / f"{stem}.wav"
    audio.write_bytes(wav(speechlike(6)))
    lines = [f"SPEAKER {name} 1 0 2 <NA> <NA> a <NA> <NA>" for name in (file_id, "other")]
    for selected in (None, stem):
        (clip,) = clips_from_rttm(lines, audio, file_id=selected)
        assert (clip.label, clip.warnings) == ("a", ())
