"""Wait for a job that the API may not know for a while, although it is in the ledger."""

import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pyannote_voiceprint_async.api.endpoints import OUTPUT_LIFETIME
from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.enrollment.ledger.store import LedgerStore
from pyannote_voiceprint_async.errors import JobExpiredError, JobTimeoutError

from .timeline import Timeline

__all__ = ["wait_for_known_job"]

T = TypeVar("T")

# An API that does not know a job of today has a fault. Poll the job again at this interval, for at most this long.
_UNKNOWN_JOB_INTERVAL, _UNKNOWN_JOB_TIMEOUT = 60.0, 3600.0


async def wait_for_known_job(
    client: AsyncVoiceprintClient,
    ledger: LedgerStore,
    timeline: Timeline,
    wait: Callable[[], Awaitable[T]],
    *,
    deadline: float = math.inf,
) -> T:
    """Wait for a job. Wait again if the API does not know a job whose output cannot have expired yet.

    Args:
        client: the client.
        ledger: the ledger, which has the time at which the job was accepted.
        timeline: the clocks of the run.
        wait: waits for the job, and returns its result.
        deadline: time on the clock.

    Raises:
        JobTimeoutError: the job is left to the next run.
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
            give_up_at = min(give_up_at, clock.time() + _UNKNOWN_JOB_TIMEOUT)
            if clock.time() >= give_up_at:
                raise JobTimeoutError(f"The API does not know job {job_id}.", job_id=job_id) from None
        await client.engine.sleep(min(_UNKNOWN_JOB_INTERVAL, give_up_at - clock.time()))
