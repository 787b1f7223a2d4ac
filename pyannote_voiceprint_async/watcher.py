"""Waiting for jobs."""

from .clock import Clock
from .endpoints import GET_JOB
from .errors import (
    AccountError,
    ClientClosedError,
    JobCanceledError,
    JobExpiredError,
    JobFailedError,
    JobTimeoutError,
    NotFoundError,
    VoiceprintError,
)
from .models import JobStatus, VoiceprintJob
from .settings import Polling
from .transport import Transport
from .waits import Waits

__all__ = ["Watcher", "outcome"]


def outcome(job: VoiceprintJob) -> VoiceprintJob:
    """Give a terminal job that has a voiceprint.

    Raises:
        JobFailedError: it failed, with the server's reason.
        JobCanceledError: it was canceled.
        JobExpiredError: it succeeded, and its output is gone.
    """
    reason = job.output.error if job.output else None
    if job.status is JobStatus.FAILED:
        raise JobFailedError(
            f"Job {job.job_id} failed: {reason or 'the API gives no reason'}. Failed jobs are not billed.",
            job_id=job.job_id, message=reason,
        )  # fmt: skip
    if job.status is JobStatus.CANCELED:
        raise JobCanceledError(
            f"Job {job.job_id} was canceled. Canceled jobs are not billed.", job_id=job.job_id, message=reason
        )
    if job.voiceprint is None:
        raise JobExpiredError(
            f"Job {job.job_id} succeeded, but its output is gone: outputs are deleted 24 hours after completion. "
            "It must be submitted, and paid, again.",
            job_id=job.job_id,
        )
    return job


class Watcher:
    """Looks at jobs until they are done."""

    def __init__(self, transport: Transport, polling: Polling, clock: Clock, waits: Waits) -> None:
        self._transport = transport
        self._polling = polling
        self._clock = clock
        self._waits = waits

    async def wait(self, job_id: str, until: float) -> VoiceprintJob:
        """Look at a job until it is terminal. A failed look is repeated: it is not the end of a paid job."""
        pause = self._polling.first
        while True:
            left = until - self._clock.time()
            if left <= 0:
                raise JobTimeoutError(
                    f"Job {job_id} was not done in time. It goes on: wait({job_id!r}) picks it up again.",
                    job_id=job_id,
                )
            await self._waits.sleep(min(pause, left))
            pause = min(pause * 1.5, self._polling.longest)
            if (job := await self._look(job_id)) is not None and job.status.is_terminal:
                return outcome(job)

    async def _look(self, job_id: str) -> VoiceprintJob | None:
        try:
            return await self._transport.send(GET_JOB, path={"job_id": job_id})
        except NotFoundError as error:
            raise JobExpiredError(f"Job {job_id} does not exist (any more).", job_id=job_id) from error
        except (AccountError, ClientClosedError) as error:
            error.job_id = job_id
            raise
        except VoiceprintError:
            return None
