"""When a run must stop sending to resolve its unknown outcomes."""

import pytest

from pyannote_voiceprint_async.enrollment.run.unknown_outcomes import UnknownOutcomes


@pytest.fixture
def unknown(clock) -> UnknownOutcomes:
    return UnknownOutcomes(clock.time)


def record(unknown, steps):
    """Record outcomes: "?" is unknown, "+" is accepted."""
    for step in steps:
        unknown.record_unknown() if step == "?" else unknown.record_accepted()


@pytest.mark.parametrize(
    ("steps", "expected"), [("", False), ("??", False), ("???", True), ("??+??", False), ("???+", True)]
)
def test_three_unknown_outcomes_in_a_row_must_be_resolved(unknown, steps, expected):
    record(unknown, steps)
    assert (unknown.must_be_resolved, unknown.has_too_many) == (expected, expected)


def test_a_new_round_counts_from_zero(unknown):
    record(unknown, "???")
    unknown.begin_round()
    assert not unknown.has_too_many


def test_an_unknown_outcome_must_be_resolved_after_half_an_hour(unknown, clock):
    record(unknown, "?")
    clock.jump(1800.0)
    assert not unknown.must_be_resolved
    clock.jump(1801.0)
    assert unknown.must_be_resolved
    unknown.begin_resolving()
    assert not unknown.must_be_resolved


# Each round: its outcomes, and how many of its submissions were not accepted after all.
@pytest.mark.parametrize(
    ("rounds", "expected"),
    [
        ([("???", 0)], False),
        ([("???", 0), ("???", 0)], True),
        ([("???", 0), ("???", 1)], False),
        ([("???", 0), ("+???", 0)], False),
        ([("???", 0), ("?", 0), ("???", 0)], True),
        ([("?", 0), ("?", 0), ("?", 0)], False),
    ],
)
def test_two_rounds_of_lost_responses_in_a_row_are_noticed(unknown, rounds, expected):
    for steps, not_accepted in rounds:
        unknown.begin_round()
        record(unknown, steps)
        unknown.begin_resolving()
        unknown.record_resolution(not_accepted)
    assert unknown.has_lost_responses is expected
