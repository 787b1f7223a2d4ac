"""The state of a rate-limit window that users see."""

import pytest

from pyannote_voiceprint_async import RateLimit, RateLimits, RateLimitStatus
from pyannote_voiceprint_async.ratelimit.scheduler import PermitScheduler


def scheduler(limit: int) -> PermitScheduler:
    """Return a scheduler whose window of submissions has had its first response at 0."""
    learned = PermitScheduler(8, RateLimits(submissions=RateLimit(limit, per=10.0)))
    learned.record_response(learned.request("submissions", 0.0, print), 0.0)
    return learned


def test_a_new_window_has_all_permits():
    window = PermitScheduler(8, RateLimits()).status("job_reads", 0.0)
    assert window == RateLimitStatus(limit=300, per=60.0, remaining=300, next_permit_in=0.0)


def test_held_and_used_permits_are_not_remaining():
    """One permit was used, and returns at 10; one is held."""
    learned = scheduler(3)
    learned.request("submissions", 0.0, print)
    assert learned.status("submissions", 1.0) == RateLimitStatus(3, 10.0, remaining=1, next_permit_in=0.0)


def test_waiting_requests_come_before_a_new_one():
    """Both permits return at 10, and two requests wait for them: a new request waits for the permit of one of these."""
    learned = scheduler(2)
    learned.record_response(learned.request("submissions", 0.0, print), 0.0)
    assert learned.status("submissions", 4.0).next_permit_in == pytest.approx(6.0, abs=0.02)
    for _ in range(2):
        learned.request("submissions", 0.0, print)
    status = learned.status("submissions", 4.0)
    assert (status.remaining, status.next_permit_in) == (0, pytest.approx(16.0, abs=0.02))


def test_a_pause_leaves_no_permit():
    learned = scheduler(100)
    learned.record_refusal(learned.request("submissions", 0.0, print), 0.0, wait=30.0)
    learned.cancel(learned.request("submissions", 0.0, print), 0.0)
    status = learned.status("submissions", 20.0)
    assert (status.remaining, status.next_permit_in) == (0, 10.0)


def test_a_returned_permit_is_remaining():
    assert scheduler(2).status("submissions", 10.1).remaining == 2
