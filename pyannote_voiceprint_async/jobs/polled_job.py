"""One job that callers wait for."""

from __future__ import annotations

import asyncio

import attrs

from pyannote_voiceprint_async.models import Job

__all__ = ["PolledJob"]


@attrs.define(eq=False)
class PolledJob:
    """One job that callers wait for, and what the poller knows about it."""

    job_id: str
    added_at: float
    first_poll_at: float
    """The time of the first poll: later for a job whose webhook is expected."""
    waiters: set[asyncio.Future[None]] = attrs.field(factory=set)
    polled_at: float = float("-inf")
    """When it was last seen in a page, or last read."""
    reading: asyncio.Task[None] | None = None
    """The task that reads it now."""
    is_terminal: bool = False
    """Whether a page or a webhook reported a terminal status: the job must be read."""
    result: Job | None = None
    """The terminal job, once it is known."""
    not_found: int = 0
    """How many reads in a row were answered with 404."""
    succeeded_at: float | None = None
    """When it was first read as succeeded, but without an output."""
    is_reported: bool = False
    """Whether the log has a warning that it takes long."""

    def is_due(self, now: float) -> bool:
        """Return whether a poll should include it."""
        return self.reading is None and self.first_poll_at <= now
