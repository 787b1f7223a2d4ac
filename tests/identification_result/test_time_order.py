"""Sort by time, in parts."""

from hypothesis import given
from hypothesis import strategies as st

from pyannote_voiceprint_async.identification_result.time_order import in_order


@given(st.lists(st.tuples(st.integers(0, 9), st.integers())), st.integers(1, 5))
def test_the_result_is_that_of_sorted(items, part):
    assert list(in_order(items, lambda item: item[0], part)) == sorted(items, key=lambda item: item[0])


def test_a_sequence_in_order_is_returned_as_it_is():
    items = [(0, "b"), (0, "a"), (1, "c")]
    assert in_order(items, lambda item: item[0]) is items
