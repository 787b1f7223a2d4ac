"""One job that callers wait for."""

from __future__ import annotations

import asyncio
import copy

import attrs

from pyannote_voiceprint_async.concurrency.waiters import wake
from pyannote_voiceprint_async.errors import VoiceprintError
from pyannote_voiceprint_async.models import Job

__all__ = ["PolledJob"]


@attrs.define(eq=False, repr=False)
class PolledJob:
    """The state of one job that callers wait for."""

    job_id: str
    added_at: float
    first_poll_at: float
    """The time of the first poll: later for a job whose webhook is expected."""
    waiters: set[asyncio.Future[None]] = attrs.field(factory=set)
    polled_at: float = float("-inf")
    """When a page last showed the job, or when it was last read."""
    reading: asyncio.Task[None] | None = None
    """The task that reads the job at present."""
    is_terminal: bool = False
    """Whether a page or a webhook reported a terminal status: the job must be read."""
    result: Job | None = None
    """The terminal job, once it is known."""
    not_found: int = 0
    """How many reads in a row returned status 404."""
    succeeded_at: float | None = None
    """When a read first showed that the job has succeeded, but without its output."""
    is_reported: bool = False
    """Whether a warning was logged that the job takes long."""

    def is_due(self, now: float) -> bool:
        """Return whether a poll must include the job."""
        return self.reading is None and self.first_poll_at <= now

    def wake_waiters(self, error: VoiceprintError | None) -> None:
        """End the waits: with this error, or with the result if it is None."""
        for waiter in self.waiters:
            # One exception raised in many tasks would collect the tracebacks of all of them.
            wake(waiter, copy.copy(error))
