"""The progress of a run, with the estimate of the time that it still needs."""

from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.enrollment.events import Progress

from .run_reporter import RunReporter
from .time_left import RemainingWork, seconds_left

__all__ = ["Forecast"]

_SUBMISSIONS, _JOB_READS = "submissions", "job_reads"
# Seconds. Shorter pauses are normal while the rate limit is used fully, so they are not shown.
_SHORTEST_REPORTED_PAUSE = 5.0
_REFUSED = "The rate limit is exhausted (429). Other programs of your team may use it."


class Forecast:
    """Updates the progress of one run.

    Args:
        client: the client, whose rate limiter grants the permits.
        reporter: the progress, the pauses and the pace of the run.
    """

    def __init__(self, client: AsyncVoiceprintClient, reporter: RunReporter) -> None:
        self._engine = client.engine
        self._clock = client.engine.clock
        self._scheduler = client.engine.scheduler
        self._reporter = reporter

    def update(self, unsent: int) -> Progress:
        """Return the progress, up to date.

        Args:
            unsent: submissions that are in flight or still to be sent.
        """
        progress = self._reporter.progress
        progress.queued = max(0, unsent - progress.in_flight)
        progress.paused_for, progress.pause_seconds = self._pause()
        if progress.total:
            progress.rows_per_minute = self._rate(progress)
            progress.seconds_left = seconds_left(self._remaining(progress))
        return progress

    def _pause(self) -> tuple[str | None, float]:
        """Return why nothing is sent, and for how many seconds."""
        if self._reporter.paused_for is not None:
            return self._reporter.paused_for, self._reporter.pause_left
        requested = self._scheduler.pause_left(_SUBMISSIONS, self._clock.time())
        return (_REFUSED, requested) if requested > _SHORTEST_REPORTED_PAUSE else (None, 0.0)

    def _remaining(self, progress: Progress) -> RemainingWork:
        pace, limit = self._reporter.pace, self._scheduler.expected_limit(_SUBMISSIONS)
        jobs = progress.queued + progress.in_flight + progress.awaiting_result
        return RemainingWork(
            queued=progress.queued,
            in_flight=progress.in_flight,
            awaiting_result=progress.awaiting_result,
            limit=limit,
            read_limit=self._scheduler.expected_limit(_JOB_READS),
            returning_permits=pace.returning_permits(limit.per),
            max_concurrency=self._scheduler.max_concurrency,
            pause=progress.pause_seconds,
            request_seconds=pace.request_seconds,
            job_seconds=self._result_seconds(progress, pace.job_seconds(min(jobs, limit.limit))),
            since_last_acceptance=pace.since_last_acceptance,
        )

    def _result_seconds(self, progress: Progress, job_seconds: float) -> float:
        """Return the seconds from the acceptance of the last job to its result, which a poll finds after its end."""
        if progress.queued or progress.in_flight:
            return self._engine.expect_delay(job_seconds)
        accepted_at = self._clock.time() - self._reporter.pace.since_last_acceptance
        return self._engine.expect_result(accepted_at + job_seconds) - accepted_at

    def _rate(self, progress: Progress) -> float | None:
        """Return the rows per minute, at most the rate limit: a burst at the start is faster, but cannot last."""
        rate, limit = self._reporter.pace.rows_per_minute, self._scheduler.expected_limit(_SUBMISSIONS)
        return rate if rate is None or not progress.queued else min(rate, limit.limit * 60.0 / limit.per)
