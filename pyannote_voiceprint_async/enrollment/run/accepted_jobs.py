"""Wait for a job of the ledger, although the API may respond for a while that it does not know the job."""

import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pyannote_voiceprint_async.api.endpoints import OUTPUT_LIFETIME
from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.enrollment.ledger.store import LedgerStore
from pyannote_voiceprint_async.errors import JobExpiredError, JobTimeoutError

from .timeline import Timeline

__all__ = ["wait_for_accepted_job"]

T = TypeVar("T")

# Seconds. If the API does not know a job of the last 24 hours, the fault is the API's: poll the job again at this
# interval, for at most this long.
_INTERVAL, _TIMEOUT = 60.0, 3600.0


async def wait_for_accepted_job(
    client: AsyncVoiceprintClient,
    ledger: LedgerStore,
    timeline: Timeline,
    wait: Callable[[], Awaitable[T]],
    *,
    deadline: float = math.inf,
) -> T:
    """Wait for a job. If the API does not know it, although its output cannot have expired yet, wait again.

    Args:
        client: the client.
        ledger: the ledger, which knows when the job was accepted.
        timeline: the clocks of the run.
        wait: waits for the job, and returns its result.
        deadline: time on the clock.

    Raises:
        JobTimeoutError: the API did not know the job for an hour, or until the deadline. The next run waits for it.
        VoiceprintError: see `AsyncVoiceprintClient.wait`.
    """
    clock, give_up_at = client.engine.clock, deadline
    while True:
        try:
            return await wait()
        except JobExpiredError as error:
            job_id = error.job_id
            accepted_at = await ledger.accepted_at(job_id)
            if accepted_at is None or timeline.now().earliest - accepted_at >= OUTPUT_LIFETIME:
                raise
            give_up_at = min(give_up_at, clock.time() + _TIMEOUT)
            if clock.time() >= give_up_at:
                raise JobTimeoutError(
                    f"The API does not know job {job_id}, although it was accepted less than 24 hours ago. The job may "
                    "still have a result: run again later.",
                    job_id=job_id,
                ) from None
        await client.engine.sleep(min(_INTERVAL, give_up_at - clock.time()))
