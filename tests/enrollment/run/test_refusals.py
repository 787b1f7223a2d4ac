"""Whose fault a refusal is: every order of refusals and acceptances."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyannote_voiceprint_async.enrollment.run.refusals import Blame, Refusals

OPEN, ROW, PAUSE, STOP = Blame.OPEN, Blame.ROW, Blame.PAUSE, Blame.STOP

# Steps: "+" is an acceptance of another row, a number the refusal of that row, a letter the kind of the refusal.
TABLE = [
    # name, accepted before, others, steps -> what the refusals mean
    ("a row that is refused while others pass", False, True, "1a + 1a + 1a", [OPEN, OPEN, ROW]),
    ("a row that is refused at first only", False, True, "1a + 1a", [OPEN, OPEN]),
    ("a row that is refused, with nothing accepted yet", False, True, "1a 1a 1a 1a", [OPEN] * 4),
    ("the last row, after others were accepted", False, False, "+ 1a 1a 1a", [OPEN, OPEN, ROW]),
    ("the last row, after an earlier run had jobs accepted", True, False, "1a 1a 1a", [OPEN, OPEN, ROW]),
    ("the only row", False, False, "1a 1a 1a", [OPEN, OPEN, STOP]),
    ("two last rows", False, False, "+ 1a 2b 1a 2b 1a 2b", [OPEN] * 4 + [ROW, ROW]),
    ("the first five rows alike", False, True, "1a 2a 3a 4a 5a", [OPEN] * 4 + [STOP]),
    ("the first five rows alike, in a later run", True, True, "1a 2a 3a 4a 5a", [OPEN] * 4 + [STOP]),
    ("the first five rows, each otherwise", False, True, "1a 2b 3c 4d 5e", [OPEN] * 4 + [PAUSE]),
    ("five rows in a row, later", False, True, "+ 1a 2a 3a 4a 5a 6a", [OPEN] * 4 + [PAUSE, PAUSE]),
    ("five rows, with one accepted between", False, True, "+ 1a 2a 3a + 4a 5a", [OPEN] * 5),
    ("more than five last rows", False, False, "+ " + "1a 2a 3a 4a 5a 6a " * 3, [OPEN] * 4 + [PAUSE] * 8 + [ROW] * 6),
]  # fmt: skip


def judged(refusals, steps, *, others):
    found = []
    for step in steps.split():
        if step == "+":
            refusals.accept(99)
        else:
            found.append(refusals.refuse(int(step[:-1]), step[-1], others=others))
    return found


@pytest.mark.parametrize(
    ("accepted_before", "others", "steps", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_the_table(clock, accepted_before, others, steps, expected):
    refusals = Refusals(clock.time)
    refusals.accepted_before = accepted_before
    assert judged(refusals, steps, others=others) == expected


def test_a_right_that_is_taken_away_stops_at_once(clock):
    refusals = Refusals(clock.time)
    refusals.accept(99)
    assert [refusals.refuse(row, "403", others=True, is_final=True) for row in range(5)] == [OPEN] * 4 + [STOP]


def test_refusals_of_all_rows_have_an_end(clock):
    refusals = Refusals(clock.time)
    judged(refusals, "+ 1a 2a 3a 4a 5a", others=True)
    clock.jump(3600.0)
    assert judged(refusals, "6a", others=True) == [PAUSE]
    clock.jump(3601.0)
    assert judged(refusals, "7a", others=True) == [STOP]


def test_a_refused_row_is_held_back_for_longer_each_time_up_to_a_minute(clock):
    refusals = Refusals(clock.time)
    assert refusals.delay(1) == 0.0
    delays = []
    for _ in range(9):
        refusals.refuse(1, "404", others=True)
        delays.append(refusals.delay(1))
    assert delays == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_others_are_rows_that_were_not_refused_since_the_last_acceptance(clock):
    refusals = Refusals(clock.time)
    judged(refusals, "1a 2a", others=True)
    assert not refusals.others({1, 2})
    assert not refusals.others({2})
    assert refusals.others({2, 3})
    refusals.accept(3)
    assert refusals.others({1, 2})


@given(st.lists(st.one_of(st.none(), st.tuples(st.integers(0, 7), st.sampled_from("ab"))), max_size=60), st.booleans())
def test_no_row_is_blamed_before_anything_was_accepted(steps, others):
    refusals, accepted = Refusals(lambda: 0.0), 0
    for step in steps:
        if step is None:
            refusals.accept(99)
            accepted += 1
        elif refusals.refuse(*step, others=others) is Blame.ROW:
            assert accepted
