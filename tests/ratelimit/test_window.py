"""What one window learns from the server's headers, and when it gives places back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyannote_voiceprint_async import RateLimit
from pyannote_voiceprint_async.ratelimit.permit_request import PermitRequest
from pyannote_voiceprint_async.ratelimit.window import RateLimitWindow


def take(window: RateLimitWindow, now: float = 0.0) -> PermitRequest | None:
    """Take a place, if one is free."""
    if not window.has_permit(now):
        return None
    permit = PermitRequest("submissions", 1, print)
    window.take(permit)
    return permit


def answer(
    window: RateLimitWindow, permit: PermitRequest, now: float = 0.0, limit: int | None = None, left: int | None = None
) -> None:
    window.release_after_response(permit, now)
    window.update_from_headers(permit, now, limit, left)


def free_permits(window: RateLimitWindow, now: float = 0.0) -> int:
    """Take every free place, and count them."""
    return sum(take(window, now) is not None for _ in range(2000))


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
    window = RateLimitWindow(100, ceiling and RateLimit(ceiling))
    for header in [None, *headers]:
        answer(window, take(window), limit=header)
    assert window.limit == limit
    assert free_permits(window) == limit - len([None, *headers])


@pytest.mark.parametrize(
    ("remaining", "in_use"),
    [
        # What each answer says is left of 10, in permit, and how many places are then in use.
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
    window = RateLimitWindow(100)
    for left in remaining:
        answer(window, take(window), limit=10, left=left)
    assert window.in_use == in_use
    assert free_permits(window) == 10 - in_use


@settings(deadline=None, max_examples=100)
@given(data=st.data(), count=st.integers(1, 12), others=st.integers(0, 12))
def test_others_are_counted_once_in_whatever_order_answers_come(data, count, others):
    """Sent together, seen in one order with the others' in between, heard in another order."""
    window = RateLimitWindow(100)
    answer(window, take(window), limit=50, left=49)
    permits = [take(window) for _ in range(count)]
    seen = data.draw(st.permutations([*permits, *[None] * others]))
    left = {permit: 48 - position for position, permit in enumerate(seen)}
    for permit in data.draw(st.permutations(permits)):
        answer(window, permit, limit=50, left=left[permit])
    before_our_last = seen[: max(seen.index(permit) for permit in permits)].count(None)
    assert window.in_use == 1 + count + before_our_last


def test_places_of_others_come_back_one_window_after_they_were_heard_of():
    window = RateLimitWindow(100, RateLimit(10, per=10.0))
    answer(window, take(window), now=5.0, limit=10, left=2)
    assert free_permits(window, 14.99) == 2
    assert free_permits(window, 15.02) == 8


@settings(deadline=None, max_examples=100)
@given(answered_at=st.lists(st.floats(0.0, 30.0), min_size=1, max_size=30), per=st.sampled_from([0.5, 10.0, 60.0]))
def test_no_place_comes_back_early_and_none_later_than_a_thousandth(answered_at, per):
    """Places that come back together come back with the last of them."""
    window = RateLimitWindow(100, RateLimit(100, per))
    window.release_after_response(take(window, -100.0), -100.0)
    permits = [take(window, -1.0) for _ in answered_at]
    for permit, now in zip(permits, sorted(answered_at), strict=True):
        window.release_after_response(permit, now)
    latest = per * 1.001 + 1e-9
    for moment in sorted(now + way for now in answered_at for way in (per, latest)):
        window.has_permit(moment)
        not_yet = sum(now + per > moment for now in answered_at)
        perhaps = sum(now + latest > moment for now in answered_at)
        assert not_yet <= window.in_use <= perhaps
