"""The rules that decide who a diarized speaker is."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyannote_voiceprint_async import ConfigurationError
from pyannote_voiceprint_async.identification_result.decisions import Certainty, Thresholds, check_thresholds, decide
from pyannote_voiceprint_async.identification_result.turns import IdentifiedSpeaker

LIMITS = Thresholds()
LEVELS = [Certainty.UNKNOWN, Certainty.REVIEW, Certainty.CERTAIN]


@pytest.mark.parametrize(
    ("scores", "seconds", "match", "certainty", "label", "reason"),
    [
        ({"Ann": 80, "Bob": 20}, 30.0, "Ann", "certain", "Ann", "the score is 80, the margin 60"),
        ({"Bob": 20, "Ann": 80}, 30.0, None, "certain", "Ann", "the score is 80, the margin 60"),
        ({"Ann": 80}, 8.0, "Ann", "certain", "Ann", "the score is 80, the margin 80"),
        ({"Ann": 75, "Bob": 60}, 8.0, "Ann", "certain", "Ann", "the score is 75, the margin 15"),
        ({"Ann": 60}, 30.0, "Ann", "unknown", None, "the highest score is 60, and must be above 60"),
        (
            {"Ann": 80, "Bob": 65.5},
            30.0,
            "Ann",
            "review",
            "Ann",
            "the margin is 14.5, and must be at least 15 ('Bob' is second)",
        ),
        ({"Ann": 80}, 7.9, "Ann", "review", "Ann", "there are 7.9 s of speech, and at least 8 s are needed"),
        ({"Ann": 80}, 30.0, "Bob", "review", "Ann", "the API matched 'Bob', but 'Ann' has the highest score"),
        (
            {"Ann": 80, "Bob": 79},
            1.0,
            "Bob",
            "review",
            "Ann",
            "the API matched 'Bob', but 'Ann' has the highest score",
        ),
        ({"Ann": 40, "Bob": 39}, 1.0, "Bob", "unknown", None, "the highest score is 40, and must be above 60"),
        ({}, 30.0, "Ann", "review", "Ann", "the API returned a match, but no scores"),
        ({}, 30.0, None, "unknown", None, "the API returned no scores and no match"),
    ],
)
def test_the_first_rule_that_applies_decides(scores, seconds, match, certainty, label, reason):
    decision = decide(IdentifiedSpeaker("SPEAKER_00", seconds, match, scores), LIMITS)
    assert (decision.certainty, decision.label, decision.reason) == (certainty, label, reason)


def test_a_single_score_is_compared_with_zero():
    decision = decide(IdentifiedSpeaker("S", 30.0, "Ann", {"Ann": 70}), Thresholds(min_score=10, min_margin=71))
    assert decision.reason == "the margin is 70, and must be at least 71 (there is no second score)"


def test_a_decision_without_scores_has_neither_score_nor_margin():
    decision = decide(IdentifiedSpeaker("S", 30.0, "Ann", {}), LIMITS)
    assert (decision.score, decision.margin) == (None, None)


NUMBERS = st.floats(-200, 200)
SPEAKERS = st.builds(
    IdentifiedSpeaker,
    st.just("S"),
    st.floats(0, 100),
    st.sampled_from([None, "a", "b"]),
    st.dictionaries(st.sampled_from("abc"), st.floats(0, 100)),
)


@given(SPEAKERS, st.builds(Thresholds, NUMBERS, NUMBERS, NUMBERS), st.tuples(*[st.floats(0, 100)] * 3))
def test_a_stricter_threshold_never_makes_a_decision_more_certain(speaker, limits, more):
    stricter = Thresholds(*(limit + step for limit, step in zip(limits, more, strict=True)))
    before, after = decide(speaker, limits).certainty, decide(speaker, stricter).certainty
    assert LEVELS.index(after) <= LEVELS.index(before)


@given(SPEAKERS, st.builds(Thresholds, NUMBERS, NUMBERS, NUMBERS))
def test_a_certain_decision_passes_every_threshold(speaker, limits):
    decision = decide(speaker, limits)
    if decision.certainty is Certainty.CERTAIN:
        assert decision.label in speaker.scores
        assert decision.score == max(speaker.scores.values()) > limits.min_score
        assert decision.margin >= limits.min_margin
        assert decision.seconds >= limits.min_speech


@pytest.mark.parametrize("wrong", [math.nan, None, "60", True])
def test_a_threshold_that_is_no_number_is_refused(wrong):
    with pytest.raises(ConfigurationError) as caught:
        check_thresholds(Thresholds(min_margin=wrong))
    assert "min_margin" in str(caught.value)
