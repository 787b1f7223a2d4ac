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

from .context import RunContext

__all__ = ["JobWaits"]

# The most jobs that a run waits for: as many as the documented rate limit allows in 100 minutes.
_MAX_JOBS = 10_000
# An API that does not know a job of today has a fault. Poll the job again at this interval, for at most this long.
_UNKNOWN_JOB_INTERVAL, _UNKNOWN_JOB_TIMEOUT = 60.0, 3600.0


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
        """Wait until no job is waited for any more, or until the deadline.

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
        self._progress.awaiting_result -= 1
        self.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_error(error)

    async def _wait(
        self, recording: PendingRecording, job_id: str, warning: str | None, accepted_at: float | None
    ) -> None:
        try:
            job = await self._poll(job_id)
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

    async def _poll(self, job_id: str) -> Job:
        """Wait for a job. Poll again if the API does not know a job whose output cannot have expired yet.

        Raises:
            JobTimeoutError: the job is left to the next run.
            VoiceprintError: see `AsyncVoiceprintClient.wait`.
        """
        expires_at, give_up_at = self._clock.time() + OUTPUT_LIFETIME, float("inf")
        while True:
            try:
                return await self._client.engine.wait_for_voiceprint(job_id, expires_at)
            except JobExpiredError:
                accepted_at = await self._ledger.accepted_at(job_id)
                if accepted_at is None or self._timeline.now().earliest - accepted_at >= OUTPUT_LIFETIME:
                    raise
                give_up_at = min(give_up_at, self._clock.time() + _UNKNOWN_JOB_TIMEOUT)
                if self._clock.time() >= give_up_at:
                    raise JobTimeoutError(f"The API does not know job {job_id}.", job_id=job_id) from None
            await self._client.engine.sleep(_UNKNOWN_JOB_INTERVAL)


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
