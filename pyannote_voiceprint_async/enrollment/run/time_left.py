"""The estimate of the time that a run still needs. Pure."""

from collections.abc import Iterator, Sequence

import attrs

from pyannote_voiceprint_async.settings import RateLimit

__all__ = ["RemainingWork", "seconds_left"]


@attrs.frozen(kw_only=True)
class RemainingWork:
    """The remaining work of a run, and its pace. Times are seconds from now."""

    queued: int
    """Submissions that are still to be sent."""
    in_flight: int
    """Submissions that have no response yet."""
    awaiting_result: int
    """Accepted jobs without a result."""
    limit: RateLimit
    """The rate limit of submissions."""
    read_limit: RateLimit
    """The rate limit of job reads: each result is read once."""
    returning_permits: Sequence[tuple[float, int]] = ()
    """When permits of earlier submissions return, and how many."""
    max_concurrency: int
    """Requests that may be in flight at once."""
    pause: float = 0.0
    """Seconds until the run sends again; 0 while it sends."""
    request_seconds: float = 0.0
    """The duration of one submission."""
    job_seconds: float
    """The seconds from the acceptance of the last job to its result, which a poll finds after the end of the job."""
    since_last_acceptance: float = 0.0
    """Seconds since the last submission was accepted."""


def seconds_left(work: RemainingWork) -> float:
    """Return the seconds until the last row has its result.

    The last submission is accepted when the rate limit and the slots for requests allow it, and the run ends when the
    slowest of the last jobs has its result.
    """
    unsent = work.queued + work.in_flight
    if unsent:
        by_slots = work.pause + unsent * work.request_seconds / work.max_concurrency
        last_result = max(_permit_wait(work), by_slots) + work.request_seconds + work.job_seconds
    else:
        last_result = work.job_seconds - work.since_last_acceptance if work.awaiting_result else 0.0
    full_read_windows = max(0, unsent + work.awaiting_result - 1) // work.read_limit.limit
    return max(last_result, full_read_windows * work.read_limit.per, work.pause)


def _permit_wait(work: RemainingWork) -> float:
    """Return the seconds until the last queued submission gets its permit.

    A permit returns one window after the response of its request, so that a slow API makes the windows longer.
    """
    if not work.queued:
        return work.pause
    rounds, before = divmod(work.queued - 1, work.limit.limit)
    permits = _next_permits(work)
    when, free = next(permits)
    while free <= before:
        when, more = next(permits)
        free += more
    return when + rounds * (work.limit.per + work.request_seconds)


def _next_permits(work: RemainingWork) -> Iterator[tuple[float, int]]:
    """Yield (time, number) of the next permits, one window of them."""
    used = work.in_flight + sum(count for _, count in work.returning_permits)
    yield work.pause, max(0, work.limit.limit - used)
    # If the API has lowered its limit, the first permits that return cannot be used again.
    excess = max(0, used - work.limit.limit)
    for when, count in work.returning_permits:
        lost = min(count, excess)
        excess -= lost
        yield max(work.pause, when), count - lost
    yield max(work.pause, work.request_seconds) + work.limit.per, work.limit.limit
