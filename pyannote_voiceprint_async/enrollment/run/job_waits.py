"""The jobs that a run waits for, each in a task of its own."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from pyannote_voiceprint_async.api.endpoints import OUTPUT_LIFETIME
from pyannote_voiceprint_async.concurrency.clock import timeout_at
from pyannote_voiceprint_async.enrollment.ledger.recordings import PendingRecording
from pyannote_voiceprint_async.errors import (
    JobCanceledError,
    JobError,
    JobExpiredError,
    JobFailedError,
    JobTimeoutError,
)
from pyannote_voiceprint_async.models import Job, Voiceprint

from .accepted_jobs import wait_for_accepted_job
from .context import RunContext

__all__ = ["JobWaits"]

# The most jobs that a run waits for: as many as the documented rate limit allows in 100 minutes.
_MAX_JOBS = 10_000


class JobWaits:
    """Waits for accepted jobs and records their results.

    Args:
        context: the shared objects of the run.
        on_error: called with an error that is not the result of a job, such as a revoked key or a full disk.
    """

    def __init__(self, context: RunContext, on_error: Callable[[BaseException], None]) -> None:
        self._client = context.client
        self._clock = context.client.engine.clock
        self._ledger = context.ledger
        self._timeline = context.timeline
        self._results = context.results
        self._progress = context.reporter.progress
        self._pace = context.reporter.pace
        self._on_error = on_error
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(_MAX_JOBS)

    async def reserve(self) -> None:
        """Wait until a slot is free, and reserve it for one more job."""
        await self._slots.acquire()

    def release(self) -> None:
        """Release a reserved slot that no job needs."""
        self._slots.release()

    def start(
        self,
        recording: PendingRecording,
        job_id: str,
        warning: str | None = None,
        *,
        accepted_at: float | None = None,
    ) -> None:
        """Start to wait for a job. The caller has reserved the slot.

        Args:
            recording: the recording of the job.
            job_id: the job.
            warning: the API's warning about the submission.
            accepted_at: the time on the clock at which the job was accepted; None if an earlier run submitted it.
        """
        self._progress.awaiting_result += 1
        task = asyncio.create_task(self._wait(recording, job_id, warning, accepted_at))
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)

    async def join(self, deadline: float | None = None) -> None:
        """Return when all waits have ended, or at the deadline.

        Args:
            deadline: time on the clock; None waits for ever.
        """
        with suppress(TimeoutError):
            async with timeout_at(self._clock, deadline):
                while self._tasks:
                    await asyncio.wait(self._tasks)

    def cancel(self) -> None:
        """Stop waiting. The next run waits for the jobs that are left."""
        for task in self._tasks:
            task.cancel()

    async def aclose(self) -> None:
        """Stop waiting, and return when all tasks are done."""
        self.cancel()
        await self.join()

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_error(error)

    async def _wait(
        self, recording: PendingRecording, job_id: str, warning: str | None, accepted_at: float | None
    ) -> None:
        try:
            expires_at = self._clock.time() + OUTPUT_LIFETIME
            # A slow reader of the events delays the rest of this task, when the row already counts as done.
            try:
                job = await wait_for_accepted_job(
                    self._client,
                    self._ledger,
                    self._timeline,
                    lambda: self._client.engine.wait_for_voiceprint(job_id, expires_at),
                )
            finally:
                self._progress.awaiting_result -= 1
        except JobTimeoutError:
            return  # the next run waits for the job
        except JobExpiredError as error:
            await self._results.expire(recording, str(error))
        except JobError as error:
            await self._results.fail_job(recording, *_failure(error))
        else:
            if accepted_at is not None:
                self._pace.record_job(accepted_at, _reported_seconds(job))
            await self._results.succeed(recording, Voiceprint.from_job(job, recording.model, warning))


def _failure(error: JobError) -> tuple[str, str]:
    """Return the message and the reason code for a job that ended without a voiceprint."""
    match error:
        case JobFailedError():
            return f"The job failed: {error.message or 'the API gives no reason'}", "job-failed"
        case JobCanceledError():
            return "The job was canceled.", "job-canceled"
        case _:
            return str(error), "job-other"


def _reported_seconds(job: Job) -> float | None:
    """Return the duration of a finished job according to the API; None if its times make no sense."""
    if job.created_at is None or job.updated_at is None or job.updated_at <= job.created_at:
        return None
    return (job.updated_at - job.created_at).total_seconds()
