"""One rate-limit window: what it learns from response headers, and when permits return."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyannote_voiceprint_async import RateLimit
from pyannote_voiceprint_async.ratelimit.permit_request import PermitRequest
from pyannote_voiceprint_async.ratelimit.window import RateLimitWindow


def take(window: RateLimitWindow, now: float = 0.0) -> PermitRequest | None:
    """Return a request that holds a permit, or None if no permit is free."""
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
    """Use up all free permits, and return their number."""
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
def test_a_limit_in_a_header_replaces_the_default_and_only_lowers_a_ceiling(ceiling, headers, limit):
    window = RateLimitWindow(100, ceiling and RateLimit(ceiling))
    for header in [None, *headers]:
        answer(window, take(window), limit=header)
    assert window.limit == limit
    assert free_permits(window) == limit - len([None, *headers])


def test_a_returned_permit_is_not_in_use():
    window = RateLimitWindow(100)
    answer(window, take(window), now=10.0)
    assert [window.count_in_use(now) for now in (10.0, 69.9, 70.1)] == [1, 1, 0]


@pytest.mark.parametrize(
    ("remaining", "in_use"),
    [
        # The remaining permits of 10 that each response reports, and the permits in use afterwards.
        ([9, 8, 7], 3),
        ([7, 6, 5], 5),  # two requests of others before our first
        ([9, 8, 4], 6),  # three requests of others between our second and third
        ([7, 6, 2], 8),  # both
        ([0], 10),
        ([10, 99], 2),  # an impossible value
        ([9, None, 7], 3),
    ],
)
def test_permits_that_other_programs_use_are_in_use(remaining, in_use):
    """If the server counts more requests than this client sent, others sent the difference; it counts once."""
    window = RateLimitWindow(100)
    for left in remaining:
        answer(window, take(window), limit=10, left=left)
    assert window.in_use == in_use
    assert free_permits(window) == 10 - in_use


@settings(deadline=None, max_examples=100)
@given(data=st.data(), count=st.integers(1, 12), others=st.integers(0, 12))
def test_requests_of_others_count_once_in_any_order_of_responses(data, count, others):
    """The server sees our requests among those of others, and the responses arrive in another order."""
    window = RateLimitWindow(100)
    answer(window, take(window), limit=50, left=49)
    permits = [take(window) for _ in range(count)]
    server_order = data.draw(st.permutations([*permits, *[None] * others]))
    left = {permit: 48 - position for position, permit in enumerate(server_order)}
    for permit in data.draw(st.permutations(permits)):
        answer(window, permit, limit=50, left=left[permit])
    before_our_last = server_order[: max(server_order.index(permit) for permit in permits)].count(None)
    assert window.in_use == 1 + count + before_our_last


def test_permits_of_others_return_one_window_after_the_response_that_showed_them():
    window = RateLimitWindow(100, RateLimit(10, per=10.0))
    answer(window, take(window), now=5.0, limit=10, left=2)
    assert free_permits(window, 14.99) == 2
    assert free_permits(window, 15.02) == 8


@settings(deadline=None, max_examples=100)
@given(answered_at=st.lists(st.floats(0.0, 30.0), min_size=1, max_size=30), per=st.sampled_from([0.5, 10.0, 60.0]))
def test_no_permit_returns_early_or_later_than_a_thousandth_of_the_window(answered_at, per):
    """Permits that return together return with the last of them."""
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


@pytest.mark.parametrize(
    ("ceiling", "expected"),
    [(None, (100, 60.0)), (RateLimit(15, 600.0), (15, 600.0)), (RateLimit(500, 60.0), (100, 60.0))],
)
def test_a_plan_uses_the_lower_limit_until_a_response_shows_the_limit_of_the_server(ceiling, expected):
    window = RateLimitWindow(100, ceiling)
    assert (window.expected_limit.limit, window.expected_limit.per) == expected
