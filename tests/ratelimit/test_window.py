"""What one budget learns from the server's headers, and when it gives places back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyannote_voiceprint_async import RateLimit
from pyannote_voiceprint_async.ratelimit.window import PermitRequest, RateLimitWindow


def take(budget: RateLimitWindow, now: float = 0.0) -> PermitRequest | None:
    """Take a place, if one is free."""
    if not budget.may_take(now):
        return None
    turn = PermitRequest(budget, 1, print)
    budget.take(turn)
    return turn


def answer(
    budget: RateLimitWindow, turn: PermitRequest, now: float = 0.0, limit: int | None = None, left: int | None = None
) -> None:
    budget.cool(turn, now)
    budget.learn(turn, now, limit, left)


def free_places(budget: RateLimitWindow, now: float = 0.0) -> int:
    """Take every free place, and count them."""
    return sum(take(budget, now) is not None for _ in range(2000))


@pytest.mark.parametrize(
    ("ceiling", "headers", "limit"),
    [
        (None, [], 100),
        (None, [500], 500),
        (None, [20], 20),
        (None, [20, 500], 500),
        (None, [500, None], 500),
        (80, [], 80),
        (80, [500], 80),
        (80, [20], 20),
        (80, [20, 500], 80),
        (80, [20, 50], 50),
        (500, [100], 100),
        (500, [None], 500),
    ],
)
def test_the_servers_word_replaces_the_default_and_only_lowers_a_ceiling(ceiling, headers, limit):
    budget = RateLimitWindow(100, ceiling and RateLimit(ceiling))
    for header in [None, *headers]:
        answer(budget, take(budget), limit=header)
    assert budget.limit == limit
    assert free_places(budget) == limit - len([None, *headers])


@pytest.mark.parametrize(
    ("remaining", "in_use"),
    [
        # What each answer says is left of 10, in turn, and how many places are then in use.
        ([9, 8, 7], 3),
        ([7, 6, 5], 5),  # two of others, before our first
        ([9, 8, 4], 6),  # three of others, between our second and our third
        ([7, 6, 2], 8),  # both
        ([0], 10),
        ([10, 99], 2),  # more than can be
        ([9, None, 7], 3),
    ],
)
def test_places_that_others_took_are_as_good_as_taken(remaining, in_use):
    """The server counts more requests than we sent: the difference is somebody else's, and is counted once."""
    budget = RateLimitWindow(100)
    for left in remaining:
        answer(budget, take(budget), limit=10, left=left)
    assert budget.in_use == in_use
    assert free_places(budget) == 10 - in_use


@settings(deadline=None, max_examples=100)
@given(data=st.data(), count=st.integers(1, 12), others=st.integers(0, 12))
def test_others_are_counted_once_in_whatever_order_answers_come(data, count, others):
    """Sent together, seen in one order with the others' in between, heard in another order."""
    budget = RateLimitWindow(100)
    answer(budget, take(budget), limit=50, left=49)
    turns = [take(budget) for _ in range(count)]
    seen = data.draw(st.permutations([*turns, *[None] * others]))
    left = {turn: 48 - position for position, turn in enumerate(seen)}
    for turn in data.draw(st.permutations(turns)):
        answer(budget, turn, limit=50, left=left[turn])
    before_our_last = seen[: max(seen.index(turn) for turn in turns)].count(None)
    assert budget.in_use == 1 + count + before_our_last


def test_places_of_others_come_back_one_window_after_they_were_heard_of():
    budget = RateLimitWindow(100, RateLimit(10, per=10.0))
    answer(budget, take(budget), now=5.0, limit=10, left=2)
    assert free_places(budget, 14.99) == 2
    assert free_places(budget, 15.02) == 8


@settings(deadline=None, max_examples=100)
@given(answered_at=st.lists(st.floats(0.0, 30.0), min_size=1, max_size=30), per=st.sampled_from([0.5, 10.0, 60.0]))
def test_no_place_comes_back_early_and_none_later_than_a_thousandth(answered_at, per):
    """Places that come back together come back with the last of them."""
    budget = RateLimitWindow(100, RateLimit(100, per))
    budget.cool(take(budget, -100.0), -100.0)
    turns = [take(budget, -1.0) for _ in answered_at]
    for turn, now in zip(turns, sorted(answered_at), strict=True):
        budget.cool(turn, now)
    latest = per * 1.001 + 1e-9
    for moment in sorted(now + way for now in answered_at for way in (per, latest)):
        budget.may_take(moment)
        not_yet = sum(now + per > moment for now in answered_at)
        perhaps = sum(now + latest > moment for now in answered_at)
        assert not_yet <= budget.in_use <= perhaps
