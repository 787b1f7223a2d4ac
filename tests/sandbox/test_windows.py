import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyannote_voiceprint_async.sandbox.windows import FixedWindow, Limit, SlidingWindow, UnlimitedWindow

START = 1_800_000_000.0

limits = st.builds(Limit, st.integers(1, 5), st.floats(0.1, 100.0))
gaps = st.lists(st.floats(0.0, 60.0), min_size=1, max_size=60)


def accepted_at(window, gaps_between):
    """The moments at which a window took a request."""
    now, accepted = START, []
    for gap in gaps_between:
        now += gap
        if window.take(now) is None:
            accepted.append(now)
    return accepted


@given(limits, gaps)
def test_a_sliding_window_never_holds_more_than_its_limit(limit, gaps_between):
    """Any limit + 1 accepted requests in a row span at least `per` seconds."""
    accepted = accepted_at(SlidingWindow(limit), gaps_between)
    for first, last in zip(accepted, accepted[limit.limit :], strict=False):
        assert last >= first + limit.per


@given(limits, gaps)
def test_a_fixed_window_never_holds_more_than_its_limit(limit, gaps_between):
    accepted = accepted_at(FixedWindow(limit), gaps_between)
    assert max(Counter(moment // limit.per for moment in accepted).values()) <= limit.limit


@pytest.mark.parametrize("kind", [SlidingWindow, FixedWindow])
@given(limit=limits, gaps_between=gaps)
def test_a_refused_request_passes_after_the_wait_it_was_told(kind, limit, gaps_between):
    """A client that waits the whole seconds of Retry-After is not refused again."""
    window, now = kind(limit), START
    for gap in gaps_between:
        now += gap
        wait = window.take(now)
        if wait is not None:
            now += max(1, math.ceil(wait))
            assert window.take(now) is None


@given(limits, gaps)
def test_a_sliding_window_refuses_only_when_it_is_full(limit, gaps_between):
    """Refused requests leave no trace: what counts is what was accepted in the last `per` seconds."""
    window, now, accepted = SlidingWindow(limit), START, []
    for gap in gaps_between:
        now += gap
        inside = [moment for moment in accepted if now < moment + limit.per]
        assert window.remaining(now) == limit.limit - len(inside)
        if window.take(now) is None:
            accepted.append(now)


def test_a_sliding_window_frees_a_place_when_its_request_is_per_seconds_old():
    window = SlidingWindow(Limit(1, 60.0))
    assert [window.take(START + age) for age in (0.0, 59.0, 60.0)] == [None, 1.0, None]


def test_a_fixed_window_starts_anew_at_multiples_of_its_length():
    window = FixedWindow(Limit(1, 60.0))
    assert [window.take(START + age) for age in (59.0, 59.5, 60.0, 61.0)] == [None, 0.5, None, 59.0]


def test_no_window_takes_everything():
    window = UnlimitedWindow(Limit(1, 60.0))
    assert [window.take(START) for _ in range(3)] == [None, None, None]
    assert window.remaining(START) == 1


@pytest.mark.parametrize(("limit", "per"), [(0, 60.0), (-1, 60.0), (1, 0.0), (1, math.inf), (1, math.nan)])
def test_a_limit_is_positive(limit, per):
    with pytest.raises(ValueError, match="must be a positive number"):
        Limit(limit, per)
