"""What to do about refusals, for every order of refusals and acceptances."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyannote_voiceprint_async.enrollment.run.refusals import RefusalAction, Refusals

RETRY, FAIL, PAUSE, STOP = RefusalAction.RETRY, RefusalAction.FAIL_ROW, RefusalAction.PAUSE, RefusalAction.STOP
FAIL_ROWS = RefusalAction.FAIL_ROWS

# Steps: "+" is the acceptance of another row; "1a" is the refusal of row 1 with a refusal of kind a.
TABLE = [
    # name, accepted earlier, has others, steps -> the action after each refusal
    ("one refused row while others are accepted", False, True, "1a + 1a + 1a", [RETRY, RETRY, FAIL]),
    ("a row that is refused at first only", False, True, "1a + 1a", [RETRY, RETRY]),
    ("one refused row before any acceptance", False, True, "1a 1a 1a 1a", [RETRY] * 4),
    ("the last row, after others were accepted", False, False, "+ 1a 1a 1a", [RETRY, RETRY, FAIL]),
    ("the last row, after an earlier run had jobs accepted", True, False, "1a 1a 1a", [RETRY, RETRY, FAIL]),
    ("the only row", False, False, "1a 1a 1a", [RETRY, RETRY, STOP]),
    ("the two last rows", False, False, "+ 1a 2b 1a 2b 1a 2b", [RETRY] * 4 + [FAIL, FAIL]),
    ("the first five rows, same kind", False, True, "1a 2a 3a 4a 5a", [RETRY] * 4 + [STOP]),
    ("the first five rows, same kind, in a later run", True, True, "1a 2a 3a 4a 5a", [RETRY] * 4 + [STOP]),
    ("the first five rows, different kinds", False, True, "1a 2b 3c 4d 5e", [RETRY] * 4 + [PAUSE]),
    ("five rows in a row, after an acceptance", False, True, "+ 1a 2a 3a 4a 5a 6a", [RETRY] * 4 + [PAUSE, PAUSE]),
    ("five rows with an acceptance between them", False, True, "+ 1a 2a 3a + 4a 5a", [RETRY] * 5),
    ("five different kinds after an acceptance", False, True, "+ 1a 2b 3c 4d 5e 6f", [RETRY] * 6),
    ("the five last rows, same kind", False, False, "+ 1a 2a 3a 4a 5a 1a 2a", [RETRY] * 4 + [PAUSE, PAUSE, FAIL_ROWS]),
    ("the six last rows, same kind", False, False, "+ 1a 2a 3a 4a 5a 6a 1a", [RETRY] * 4 + [PAUSE, PAUSE, FAIL_ROWS]),
    ("the six last rows, different kinds", False, False, "+ " + "1a 2b 3c 4d 5e 6f " * 3, [RETRY] * 12 + [FAIL] * 6),
    ("the seven last rows, two kinds", False, False, "+ 1a 2a 3b 4a 5a 6b 7a 3b 6b 1a 2a",
     [RETRY] * 6 + [PAUSE] + [RETRY] * 2 + [PAUSE, FAIL_ROWS]),
    ("the last rows, an acceptance between them", False, False, "+ 1a 2a 3a 4a 5a 1a + 2a 3a 4a 5a 6a",
     [RETRY] * 4 + [PAUSE, PAUSE] + [RETRY] * 4 + [PAUSE]),
]  # fmt: skip


def actions(refusals, steps, *, has_others):
    """Record the steps, and return the action after each refusal."""
    found = []
    for step in steps.split():
        if step == "+":
            refusals.record_acceptance(99)
        else:
            found.append(refusals.record_refusal(int(step[:-1]), step[-1], has_others=has_others))
    return found


@pytest.mark.parametrize(
    ("accepted_earlier", "has_others", "steps", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_the_action_depends_on_the_order_of_refusals_and_acceptances(
    clock, accepted_earlier, has_others, steps, expected
):
    refusals = Refusals(clock.time)
    refusals.accepted_earlier = accepted_earlier
    assert actions(refusals, steps, has_others=has_others) == expected


def test_five_final_refusals_stop_a_run_that_had_jobs_accepted(clock):
    refusals = Refusals(clock.time)
    refusals.record_acceptance(99)
    found = [refusals.record_refusal(row, "403", has_others=True, is_final=True) for row in range(5)]
    assert found == [RETRY] * 4 + [STOP]


def test_a_run_stops_when_every_row_is_refused_for_more_than_an_hour(clock):
    refusals = Refusals(clock.time)
    actions(refusals, "+ 1a 2a 3a 4a 5a", has_others=True)
    clock.jump(3600.0)
    assert actions(refusals, "6a", has_others=True) == [PAUSE]
    clock.jump(3601.0)
    assert actions(refusals, "7a", has_others=True) == [STOP]


def test_all_refused_rows_of_a_kind_are_at_fault_after_three_probes_without_other_rows(clock):
    refusals = Refusals(clock.time)
    actions(refusals, "+ 1a 2a 3a 9b 4a 5a 1a", has_others=False)
    assert not any(refusals.is_at_fault(row) for row in range(10))
    assert actions(refusals, "2a", has_others=False) == [FAIL_ROWS]
    assert [row for row in range(10) if refusals.is_at_fault(row)] == [1, 3, 4, 5]
    assert not refusals.was_refused(2)


def test_a_run_never_stops_for_its_last_rows_after_an_acceptance(clock):
    refusals = Refusals(clock.time)
    actions(refusals, "+ 1a 2a 3a 4a", has_others=True)
    clock.jump(3601.0)
    assert actions(refusals, "5a 1a 2a", has_others=False) == [PAUSE, PAUSE, FAIL_ROWS]


@pytest.mark.parametrize(
    ("steps", "row", "has_others", "expected"),
    [
        ("+ 1a 2a 3a 4a 5a", 1, True, True),
        ("+ 1a 2a 3a 4a 5a", 1, False, False),
        ("+ 1a 2a 3a 4a", 1, True, False),
        ("+ 1a 2b 3c 4d 5e", 1, True, False),
        ("+ 1a 1a 1a", 1, True, True),
        ("+ 1a 2a 3a 4a 5a +", 1, True, False),
        ("+ 1a 2a 3a 4a 5a", 6, True, False),
    ],
)
def test_refused_rows_make_room_for_rows_that_were_not_refused_yet(clock, steps, row, has_others, expected):
    refusals = Refusals(clock.time)
    actions(refusals, steps, has_others=True)
    assert refusals.must_step_aside(row, has_others=has_others) == expected


def test_the_retry_delay_doubles_with_each_refusal_up_to_a_minute(clock):
    refusals = Refusals(clock.time)
    assert refusals.retry_delay(1) == 0.0
    delays = []
    for _ in range(9):
        refusals.record_refusal(1, "404", has_others=True)
        delays.append(refusals.retry_delay(1))
    assert delays == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_other_rows_are_those_not_refused_since_the_last_acceptance(clock):
    refusals = Refusals(clock.time)
    actions(refusals, "1a 2a", has_others=True)
    assert not refusals.has_others({1, 2})
    assert not refusals.has_others({2})
    assert refusals.has_others({2, 3})
    refusals.record_acceptance(3)
    assert refusals.has_others({1, 2})


@given(st.lists(st.one_of(st.none(), st.tuples(st.integers(0, 7), st.sampled_from("ab"))), max_size=60), st.booleans())
def test_no_row_fails_before_any_row_was_accepted(steps, has_others):
    refusals, accepted = Refusals(lambda: 0.0), 0
    for step in steps:
        if step is None:
            refusals.record_acceptance(99)
            accepted += 1
        elif refusals.record_refusal(*step, has_others=has_others) in {FAIL, FAIL_ROWS}:
            assert accepted
