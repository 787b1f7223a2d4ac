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


def turns(*said):
    return [SpeakerTurn("talk", name, round(start * 1e6), round(end * 1e6)) for name, start, end in said]


@pytest.mark.parametrize(
    ("said", "expected"),
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
def test_the_longest_clean_turns_are_picked(said, expected):
    found = clips_from_turns(turns(*said))
    assert {
        one.label: [tuple(piece) for piece in one.segments] if isinstance(one, SpeakerClip) else None for one in found
    } == expected


def test_a_speaker_whom_nobody_can_hear_alone_is_a_problem_with_a_reason():
    (_, problem) = clips_from_turns(turns(("anna", 0, 10), ("ben", 9.5, 10.25)))
    assert problem == Problem(
        "speaks alone for 0.25 s at most, and 1 s are needed; enroll this voice from another recording", "ben"
    )


def test_pieces_end_with_the_recording():
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
def test_no_piece_overlaps_another_speaker_and_no_clip_is_too_long(said, shortest, longest):
    """Turns in milliseconds, so that everything can be compared exactly."""
    given_turns = [SpeakerTurn("talk", name, start * 1000, (start + length) * 1000) for name, start, length in said]
    found = clips_from_turns(given_turns, longest=longest / 1000, shortest=shortest / 1000)
    assert {one.label for one in found} == {turn.speaker for turn in given_turns}
    for clip in found:
        if isinstance(clip, Problem):
            continue
        pieces = [(round(Fraction(start) * 1000), round(Fraction(end) * 1000)) for start, end in clip.segments]
        assert sum(end - start for start, end in pieces) <= longest
        assert all(end - start >= shortest for start, end in pieces)
        assert all(first[1] < second[0] for first, second in pairwise(pieces))
        for start, end in pieces:
            for name, begin, length in said:
                if name != clip.label:
                    assert end <= begin or begin + length <= start
            covered = {
                moment for name, begin, length in said if name == clip.label for moment in range(begin, begin + length)
            }
            assert covered.issuperset(range(start, end))


def test_the_conversation_gives_a_clip_for_each_of_three_voices(speech):
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
    (clip,) = clips_from_rttm(line("anna", 4, 6.5), talk)
    assert clip.segments == ((4.0, 10.0),)
    assert cut_segments(talk, clip.segments).seconds == 6.0


def test_an_rttm_of_another_recording_is_told(talk):
    with pytest.raises(
        MediaError, match=r"The RTTM tells of 75\.0 s, and the audio has 10\.0 s\. They are not of the same"
    ):
        clips_from_rttm(line("anna", 0, 75), talk)


def test_the_turns_of_one_recording_are_used(talk):
    lines = [line("anna", 0, 5), line("ben", 0, 7, "other")]
    assert [clip.label for clip in clips_from_rttm(lines, talk)] == ["anna"]
    assert [clip.label for clip in clips_from_rttm(lines, talk, file_id="other")] == ["ben"]
    assert [clip.label for clip in clips_from_rttm(lines[1:], talk)] == ["ben"]


def test_which_recording_must_be_known(talk):
    lines = [line("anna", 0, 5, "one"), line("ben", 0, 7, "two")]
    for file_id in (None, "talk"):
        with pytest.raises(
            MediaError, match=r"The RTTM has no turns of 'talk', only of: one, two\. Say which it is \(--file-id\)\."
        ):
            clips_from_rttm(lines, talk, file_id=file_id)


def test_the_length_of_a_streamed_flac_is_counted(tmp_path):
    path = tmp_path / "talk.flac"
    path.write_bytes(with_flac_length(encoded(speechlike(10.0), rate=RATE), 0))
    (clip,) = clips_from_rttm(line("anna", 4, 6.5), path)
    assert clip.segments == ((4.0, 10.0),)


def test_a_recording_that_breaks_off_is_as_long_as_what_can_be_read_of_it(tmp_path):
    """Its header still tells the whole; clips of what is missing would fail one by one, later."""
    path, whole = tmp_path / "talk.flac", encoded(speechlike(20))
    path.write_bytes(whole[: len(whole) // 2])
    rttm = "SPEAKER talk 1 0 4 <NA> <NA> a <NA> <NA>\nSPEAKER talk 1 14 5 <NA> <NA> b <NA> <NA>\n"
    with pytest.raises(MediaError, match=r"tells of 19\.0 s, and the audio has \d\.\d s\. .* is not complete"):
        clips_from_rttm(rttm, path)
    (clip,) = clips_from_rttm(rttm.splitlines()[:1], path)
    assert clip.segments == ((0.0, 4.0),)


@pytest.mark.parametrize(
    ("name", "is_noted"),
    [
        ("talk", False),
        ("TALK", False),
        ("talk.mp3", False),
        ("rooms/talk.wav", False),
        ("board-2023", True),
        ("talks", True),
    ],
)
def test_an_rttm_that_names_another_recording_is_told(talk, name, is_noted):
    """It may fit in time all the same; then it is somebody else's voice that is cut out."""
    (clip,) = clips_from_rttm([line("anna", 0, 5, name)], talk)
    note = f"the RTTM tells of {name!r}, and the audio is 'talk.wav'; see that they are of the same recording"
    assert clip.warnings == ((note,) if is_noted else ())
    (confirmed,) = clips_from_rttm([line("anna", 0, 5, name)], talk, file_id=name)
    assert confirmed.warnings == ()


def test_of_several_recordings_it_is_that_of_the_same_name_but_for_suffix_and_capitals(talk):
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
        clips_from_rttm(CHANNELS.format(name="SPEAKER_00"), audio)
    assert "'SPEAKER_00' on the channels 1 and 2" in str(caught.value)
    assert "SPEAKER_00-1 and SPEAKER_00-2" in str(caught.value)
    # Other names, and the same name in another recording, are no doubt.
    found = clips_from_rttm(CHANNELS.format(name="SPEAKER_01"), audio)
    assert [clip.label for clip in found] == ["SPEAKER_00", "SPEAKER_01"]


def test_turns_of_one_name_on_two_channels_are_never_joined():
    one, two = turns(("a", 0, 2), ("a", 3, 5))
    with pytest.raises(MediaError, match="two people"):
        clips_from_turns([one, two._replace(channel="2")])


@pytest.mark.parametrize(("told", "called"), [("Jos\u00e9", "Jose\u0301"), ("Jose\u0301", "Jos\u00e9")])
def test_a_recording_is_the_rttms_in_either_unicode_form(tmp_path, told, called):
    audio = tmp_path / f"{called}.wav"
    audio.write_bytes(wav(speechlike(6)))
    lines = [f"SPEAKER {name} 1 0 2 <NA> <NA> a <NA> <NA>" for name in (told, "other")]
    for file_id in (None, called):
        (clip,) = clips_from_rttm(lines, audio, file_id=file_id)
        assert (clip.label, clip.warnings) == ("a", ())
