"""Warnings about jobs that take far longer than the others."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable

from .polled_job import PolledJob

__all__ = ["SlowJobs"]

log = logging.getLogger("pyannote_voiceprint_async")

_KNOWN_DURATIONS = 100
# A job is slow when it takes this multiple of the median duration, and at least a minute.
_SLOW_FACTOR, _SLOW_SECONDS = 10.0, 60.0


class SlowJobs:
    """Logs a warning, once, for each job that takes far longer than the last 100 jobs."""

    def __init__(self) -> None:
        self._durations: deque[float] = deque(maxlen=_KNOWN_DURATIONS)

    def record(self, duration: float) -> None:
        """Record the seconds that a finished job took."""
        self._durations.append(duration)

    def warn(self, jobs: Iterable[PolledJob]) -> None:
        """Log a warning for each of these jobs that is slow and was not reported before."""
        if not self._durations:
            return
        median = sorted(self._durations)[len(self._durations) // 2]
        limit = max(_SLOW_SECONDS, _SLOW_FACTOR * median)
        for polled in jobs:
            age = polled.polled_at - polled.added_at
            if age > limit and not polled.is_terminal and not polled.is_reported:
                polled.is_reported = True
                log.warning("Job %s has not finished after %.0f s, far longer than other jobs.", polled.job_id, age)
