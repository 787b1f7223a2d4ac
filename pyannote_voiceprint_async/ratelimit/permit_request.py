"""One request's wait for permission to be sent."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum

from pyannote_voiceprint_async.errors import VoiceprintError

__all__ = ["PermitRequest", "PermitState"]


class PermitState(Enum):
    """How far a request has come."""

    WAITING_FOR_PERMIT = "in the wait queue of its rate-limit window"
    WAITING_FOR_SLOT = "holds a permit"
    GRANTED = "holds a permit and a slot: it may be sent"
    FINISHED = "holds nothing any more"


class PermitRequest:
    """A request's position in the wait queue, what it holds, and how long it may wait.

    Args:
        operation: the field of `RateLimits` whose window the permit comes from.
        number: the position; the lowest number is served first.
        notify: called with None when permit and slot are granted, with an error when the request is rejected.
        requested_at: the time at which it joined the wait queue.
        max_queue_wait: seconds for which it may wait.
        max_elapsed: seconds for which the server may refuse it, from the first 429 in a row.
    """

    __slots__ = (
        "expected_wait",
        "granted_at",
        "max_elapsed",
        "notify",
        "number",
        "operation",
        "queue_deadline",
        "queued_at",
        "requested_at",
        "state",
        "use_baseline",
    )

    granted_at: float
    """The time of the last grant."""
    queued_at: float
    """The time at which the request last joined the wait queue: when it was made, or refused with status 429."""
    use_baseline: int
    """Permits in use minus permits ever taken, when this one was taken; see `RateLimitWindow.update_from_headers`."""

    def __init__(  # noqa: PLR0913, PLR0917 - constructed in one place, `PermitScheduler.request`
        self,
        operation: str,
        number: int,
        notify: Callable[[VoiceprintError | None], None],
        requested_at: float = 0.0,
        max_queue_wait: float = math.inf,
        max_elapsed: float = math.inf,
    ) -> None:
        self.operation = operation
        self.number = number
        self.notify = notify
        self.requested_at = self.queued_at = requested_at
        self.queue_deadline = requested_at + max_queue_wait
        """The time at which it stops waiting; the round trip of a refused request does not count as waiting."""
        self.max_elapsed = max_elapsed
        self.expected_wait: float | None = None
        """Seconds that it would still wait, if it was removed because they exceed `max_queue_wait`."""
        self.state = PermitState.WAITING_FOR_PERMIT

    @property
    def queue_seconds(self) -> float:
        """Seconds from the request, or from the last refusal, to the grant."""
        return self.granted_at - self.queued_at

    def __lt__(self, other: PermitRequest) -> bool:
        return self.number < other.number
