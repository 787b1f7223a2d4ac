"""Diarized speakers from turns and scores."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyannote_voiceprint_async.identification_result.output import IdentificationOutput
from pyannote_voiceprint_async.identification_result.speakers import match_turns, speech_seconds, summarize
from pyannote_voiceprint_async.identification_result.turns import (
    DiarizedTurn,
    IdentifiedSpeaker,
    IdentifiedTurn,
    SpeakerScores,
)


def turn(name: str, start: float, end: float, match: str | None = None) -> IdentifiedTurn:
    return IdentifiedTurn(match or name, start, end, name, match)


def test_speakers_are_in_the_order_of_their_first_turn():
    turns = [turn("S1", 0, 2, "Ann"), turn("S0", 1, 4), turn("S1", 5, 6, "Ann")]
    scores = [SpeakerScores("S0", None, {"Ann": 1, "Bob": 2}), SpeakerScores("S1", "Ann", {"Ann": 80, "Bob": 3})]
    assert summarize(turns, scores) == (
        IdentifiedSpeaker("S1", 3, "Ann", {"Ann": 80, "Bob": 3}),
        IdentifiedSpeaker("S0", 3, None, {"Bob": 2, "Ann": 1}),
    )
    assert list(summarize(turns, scores)[1].scores) == ["Bob", "Ann"]


def test_a_match_of_the_turns_counts_when_the_scores_are_missing():
    assert summarize([turn("S0", 0, 1), turn("S0", 2, 3, "Ann")], []) == (IdentifiedSpeaker("S0", 2, "Ann"),)


def test_a_speaker_without_turns_keeps_the_scores():
    assert summarize([], [SpeakerScores("S0", "Ann", {"Ann": 80})]) == (
        IdentifiedSpeaker("S0", 0.0, "Ann", {"Ann": 80}),
    )


def test_repeated_scores_of_a_speaker_keep_the_highest():
    scores = [SpeakerScores("S0", None, {"Ann": 80}), SpeakerScores("S0", "Ann", {"Ann": 70, "Bob": 5})]
    assert summarize([], scores) == (IdentifiedSpeaker("S0", 0.0, "Ann", {"Ann": 80, "Bob": 5}),)


def test_missing_identified_turns_are_derived_from_the_diarization():
    output = IdentificationOutput(
        diarization=(DiarizedTurn("S0", 0, 1, {"S0": 90}), DiarizedTurn("S1", 1, 2)),
        voiceprints=(SpeakerScores("S0", "Ann", {"Ann": 80}),),
    )
    assert match_turns(output) == (
        IdentifiedTurn("Ann", 0, 1, "S0", "Ann", {"S0": 90}),
        IdentifiedTurn("S1", 1, 2, "S1"),
    )


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], {}),
        ([(0, 2), (2, 3)], {"a": 3}),
        ([(0, 2), (1, 3)], {"a": 3}),
        ([(0, 9), (1, 2), (3, 4)], {"a": 9}),
        ([(5, 6), (0, 1)], {"a": 2}),
        ([(1, 1)], {}),
    ],
)
def test_overlapping_turns_count_once(spans, expected):
    assert speech_seconds(("a", *span) for span in spans) == expected


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 50), st.integers(0, 50)), max_size=30))
def test_seconds_are_those_in_which_a_turn_exists(entries):
    spans = [(name, min(a, b), max(a, b)) for name, a, b in entries]
    seconds = speech_seconds(spans)
    for name in "ab":
        covered = {second for one, start, end in spans if one == name for second in range(start, end)}
        assert seconds.get(name, 0) == len(covered)
