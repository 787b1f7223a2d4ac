import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyannote_voiceprint_async.sandbox.limits import Limit
from pyannote_voiceprint_async.sandbox.windows import FixedWindow, SlidingWindow, UnlimitedWindow

START = 1_800_000_000.0

limits = st.builds(Limit, st.integers(1, 5), st.floats(0.1, 100.0))
gaps = st.lists(st.floats(0.0, 60.0), min_size=1, max_size=60)


def admitted_at(window, gaps_between):
    """Return the times at which the window admitted a request."""
    now, admitted = START, []
    for gap in gaps_between:
        now += gap
        if window.admit(now) is None:
            admitted.append(now)
    return admitted


@given(limits, gaps)
def test_a_sliding_window_never_admits_more_than_its_limit(limit, gaps_between):
    """Any limit + 1 consecutive requests span at least `per` seconds."""
    admitted = admitted_at(SlidingWindow(limit), gaps_between)
    for first, last in zip(admitted, admitted[limit.limit :], strict=False):
        assert last >= first + limit.per


@given(limits, gaps)
def test_a_fixed_window_never_admits_more_than_its_limit(limit, gaps_between):
    admitted = admitted_at(FixedWindow(limit), gaps_between)
    assert max(Counter(moment // limit.per for moment in admitted).values()) <= limit.limit


@pytest.mark.parametrize("kind", [SlidingWindow, FixedWindow])
@given(limit=limits, gaps_between=gaps)
def test_a_refused_request_is_admitted_after_the_returned_wait(kind, limit, gaps_between):
    """A client that waits the whole seconds of Retry-After is not refused again."""
    window, now = kind(limit), START
    for gap in gaps_between:
        now += gap
        wait = window.admit(now)
        if wait is not None:
            now += max(1, math.ceil(wait))
            assert window.admit(now) is None


@given(limits, gaps)
def test_a_sliding_window_refuses_only_while_it_is_full(limit, gaps_between):
    """Refused requests do not count. Only the requests that were admitted in the last `per` seconds do."""
    window, now, admitted = SlidingWindow(limit), START, []
    for gap in gaps_between:
        now += gap
        inside = [moment for moment in admitted if now < moment + limit.per]
        assert window.remaining(now) == limit.limit - len(inside)
        if window.admit(now) is None:
            admitted.append(now)


def test_a_sliding_window_has_room_when_its_oldest_request_is_per_seconds_old():
    window = SlidingWindow(Limit(1, 60.0))
    assert [window.admit(START + age) for age in (0.0, 59.0, 60.0)] == [None, 1.0, None]


def test_a_fixed_window_restarts_at_multiples_of_its_length():
    window = FixedWindow(Limit(1, 60.0))
    assert [window.admit(START + age) for age in (59.0, 59.5, 60.0, 61.0)] == [None, 0.5, None, 59.0]


def test_an_unlimited_window_admits_every_request():
    window = UnlimitedWindow(Limit(1, 60.0))
    assert [window.admit(START) for _ in range(3)] == [None, None, None]
    assert window.remaining(START) == 1
