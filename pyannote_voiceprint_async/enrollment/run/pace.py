"""How fast a run is: the durations of its requests and jobs, and the rows that it finishes in a minute."""

import math
from collections import deque
from collections.abc import Callable
from statistics import fmean

__all__ = ["Pace"]

# The most recent durations that count: the API may become slower or faster during a long run.
_REQUESTS, _JOBS = 100, 300
# The rate is that of the last minutes, which are several windows of the documented rate limit.
_RATE_SECONDS = 300.0
_SHORTEST_RATE_SECONDS = 1.0
# Results within this many seconds are counted as one group. Only the last groups are kept.
_STEP, _GROUPS = 0.1, 1000


class Pace:
    """The measurements of one run.

    Args:
        now: returns the seconds of the run's clock.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._first_accepted_at: float | None = None
        self._last_accepted_at = 0.0
        self._first_finished_at: float | None = None
        self._responses = deque[tuple[float, int]](maxlen=_GROUPS)
        self._request_seconds = deque[float](maxlen=_REQUESTS)
        self._job_seconds = deque[float](maxlen=_JOBS)
        self._finished = deque[tuple[float, int]]()

    def record_acceptance(self, request_seconds: float) -> None:
        """Record that a submission was accepted.

        Args:
            request_seconds: the time from its first byte to its response.
        """
        self._request_seconds.append(request_seconds)
        now = self._last_accepted_at = self._now()
        self._first_accepted_at = now if self._first_accepted_at is None else self._first_accepted_at
        _add(self._responses, now, 1)

    def record_job(self, accepted_at: float, reported_seconds: float | None = None) -> None:
        """Record that the result of a job has arrived.

        Args:
            accepted_at: the time at which its submission was accepted.
            reported_seconds: the duration of the job according to the API, if it reports one. The job may have ended
                long before the poll that saw it.
        """
        waited = self._now() - accepted_at
        self._job_seconds.append(min(reported_seconds or waited, waited))

    def record_finished(self, rows: int) -> None:
        """Record that rows have their result."""
        now = self._now()
        self._first_finished_at = now if self._first_finished_at is None else self._first_finished_at
        _add(self._finished, now, rows)

    @property
    def request_seconds(self) -> float:
        """The mean duration of a submission; 0 before the first one."""
        return fmean(self._request_seconds) if self._request_seconds else 0.0

    @property
    def since_last_acceptance(self) -> float:
        """Seconds since a submission was accepted; 0 before the first one."""
        return 0.0 if self._first_accepted_at is None else self._now() - self._last_accepted_at

    def returning_permits(self, per: float) -> list[tuple[float, int]]:
        """Return when permits return, in seconds from now, and how many of them.

        Args:
            per: the seconds of a rate-limit window: a permit returns this long after its response.
        """
        now = self._now()
        return [(at + per - now, count) for at, count in self._responses if at + per > now]

    def job_seconds(self, jobs: int) -> float:
        """Estimate the duration of the slowest of some jobs.

        Before the first result, the estimate is the age of the oldest job, which is too short.

        Args:
            jobs: how many jobs.
        """
        if not self._job_seconds:
            return 0.0 if self._first_accepted_at is None else self._now() - self._first_accepted_at
        durations = sorted(self._job_seconds)
        return durations[math.ceil(len(durations) * jobs / (jobs + 1)) - 1]

    @property
    def rows_per_minute(self) -> float | None:
        """The rows that got their result in a minute, over the last minutes; None before the first result."""
        if self._first_finished_at is None:
            return None
        now = self._now()
        while self._finished and self._finished[0][0] <= now - _RATE_SECONDS:
            self._finished.popleft()
        seconds = min(_RATE_SECONDS, max(_SHORTEST_RATE_SECONDS, now - self._first_finished_at))
        return sum(rows for _, rows in self._finished) * 60.0 / seconds


def _add(groups: deque[tuple[float, int]], now: float, count: int) -> None:
    """Add to the last group, or begin a new one if that is too old."""
    if groups and now - groups[-1][0] < _STEP:
        started_at, before = groups[-1]
        groups[-1] = (started_at, before + count)
    else:
        groups.append((now, count))
