"""Turns that are made when they are read."""

import gc
import pickle

from hypothesis import given
from hypothesis import strategies as st

from pyannote_voiceprint_async.identification_result.turn_list import TurnList
from pyannote_voiceprint_async.identification_result.turns import DiarizedTurn

ROWS = st.lists(st.tuples(st.text(max_size=3), st.floats(0, 9), st.floats(0, 9)))


@given(ROWS, st.slices(6))
def test_it_is_equal_to_a_tuple_of_its_turns(rows, part):
    turns, expected = TurnList(DiarizedTurn, rows), tuple(DiarizedTurn(*row) for row in rows)
    assert turns == expected
    assert expected == turns
    assert hash(turns) == hash(expected)
    assert turns[part] == expected[part]
    assert list(reversed(turns)) == list(reversed(expected))
    assert pickle.loads(pickle.dumps(turns)) == turns  # noqa: S301 - our own data
    assert repr(turns) == f"<{len(rows)} turns>"


def test_different_turns_are_not_equal():
    turns = TurnList(DiarizedTurn, [("A", 0, 1)])
    assert turns != TurnList(DiarizedTurn, [("A", 0, 2)])
    assert turns != TurnList(DiarizedTurn, [])
    assert turns != (DiarizedTurn("A", 0, 1), DiarizedTurn("A", 0, 1))
    assert turns != [DiarizedTurn("A", 0, 1)]


def test_the_garbage_collector_skips_the_turns():
    """It would visit the hundred thousand turns of a day at each full collection, and block the event loop."""
    gc.collect()
    before = len(gc.get_objects())
    turns = TurnList(DiarizedTurn, [("A", 0.5 * number, 1.5 * number, None) for number in range(10_000)])
    gc.collect()
    assert len(gc.get_objects()) - before < 100
    assert len(turns) == 10_000
