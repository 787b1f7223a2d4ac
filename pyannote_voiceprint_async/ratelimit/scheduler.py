"""Grant permits and slots to requests, first come, first served."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from pyannote_voiceprint_async.api.endpoints import DEFAULT_LIMITS
from pyannote_voiceprint_async.errors import VoiceprintError
from pyannote_voiceprint_async.settings import RateLimit, RateLimits

from .permit_request import PermitRequest, PermitState
from .wait_queue import WaitQueue
from .window import RateLimitWindow

if TYPE_CHECKING:
    from .status import RateLimitStatus

__all__ = ["PermitScheduler", "WindowFactory", "make_local_window"]

WindowFactory = Callable[[str, int, RateLimit | None], RateLimitWindow]


def make_local_window(_operation: str, default: int, ceiling: RateLimit | None) -> RateLimitWindow:
    """Return a window that only this process uses."""
    return RateLimitWindow(default, ceiling)


class PermitScheduler:
    """A semaphore of `max_concurrency` slots, and one rate-limit window per operation.

    A pure state machine: it gets the time as `now` and each event as a method call; it neither sleeps nor knows
    asyncio. A request takes its permit *before* its slot, so that an exhausted window blocks no other operation. A
    request that was refused with a 429 keeps its position in the queue. A request that is cancelled while it waits
    uses no permit.

    Args:
        max_concurrency: requests in flight, all operations together.
        rate_limits: the limits of the operations.
        make_window: makes the window of an operation from its name, its documented limit and the user's own limit.
    """

    def __init__(
        self, max_concurrency: int, rate_limits: RateLimits, make_window: WindowFactory = make_local_window
    ) -> None:
        self.max_concurrency = max_concurrency
        self.in_flight = 0
        """Requests that hold a slot."""
        self.queued = 0
        """Requests that wait for a permit or a slot."""
        self.reset_timers: set[Callable[[], None]] = set()
        """One function per client that uses this scheduler: it sets the client's timer to `next_grant_at`."""
        self._windows = {
            name: make_window(name, default, getattr(rate_limits, name)) for name, default in DEFAULT_LIMITS.items()
        }
        self._slot_queue = WaitQueue(PermitState.WAITING_FOR_SLOT)
        self._last_number = 0

    def limit(self, operation: str) -> int:
        """Return the current limit of an operation."""
        return self._windows[operation].limit

    def permits_in_use(self, operation: str, now: float) -> int:
        """Return how many permits of an operation are held, or have not returned yet."""
        return self._windows[operation].count_in_use(now)

    def expected_limit(self, operation: str) -> RateLimit:
        """Return the limit of an operation to plan with; see `RateLimitWindow.expected_limit`."""
        return self._windows[operation].expected_limit

    def status(self, operation: str, now: float) -> RateLimitStatus:
        """Return the state of the window of an operation."""
        from .status import RateLimitStatus  # noqa: PLC0415 - only `client.rate_limit()` uses it

        window = self._windows[operation]
        return RateLimitStatus(window.limit, window.per, window.remaining(now), self.expected_wait(operation, now))

    def permits_wanted(self, operation: str) -> int:
        """Return how many permits the waiting requests of an operation could use now: each also needs a free slot."""
        free_slots = self.max_concurrency - self.in_flight - self._slot_queue.length
        return max(0, min(self._windows[operation].queue.length, free_slots))

    def expected_wait(self, operation: str, now: float) -> float:
        """Estimate the seconds that one more request would wait for its permit."""
        window = self._windows[operation]
        return window.expected_wait(window.queue.length + 1, now)

    def pause_left(self, operation: str, now: float) -> float:
        """Return the remaining seconds of the pause that the server requested."""
        return max(0.0, self._windows[operation].paused_until - now)

    def refusals(self, operation: str) -> int:
        """Return the number of refusals (429) in a row."""
        return self._windows[operation].refusals

    def request(
        self,
        operation: str,
        now: float,
        notify: Callable[[VoiceprintError | None], None],
        *,
        max_queue_wait: float = math.inf,
        max_elapsed: float = math.inf,
    ) -> PermitRequest:
        """Request a permit and a slot. If the `state` of the result is not `GRANTED` yet, `notify` is called later.

        Args:
            operation: the field of `RateLimits`.
            now: the time.
            notify: see `PermitRequest`.
            max_queue_wait: seconds that the request may wait; see `remove_overdue`.
            max_elapsed: seconds for which the server may refuse the request; see `remove_overdue`.
        """
        self._last_number += 1
        window = self._windows[operation]
        request = PermitRequest(operation, self._last_number, notify, now, max_queue_wait, max_elapsed)
        if not window.queue.length and self.in_flight < self.max_concurrency and window.has_permit(now):
            window.take(request)
            self._grant(request, now)
        else:
            self.queued += 1
            window.queue.push(request)
            self.grant_waiting(now)
        return request

    def cancel(self, request: PermitRequest, now: float) -> None:
        """Release the permit and the slot of a request that was cancelled or never sent.

        A second call does nothing.
        """
        state, request.state = request.state, PermitState.FINISHED
        window = self._windows[request.operation]
        match state:
            case PermitState.WAITING_FOR_PERMIT:
                self.queued -= 1
                window.queue.note_removed()
            case PermitState.WAITING_FOR_SLOT:
                self.queued -= 1
                window.put_back(request)
                self._slot_queue.note_removed()
            case PermitState.GRANTED:
                self.in_flight -= 1
                window.put_back(request)
        self.grant_waiting(now)

    def record_response(
        self, request: PermitRequest, now: float, limit: int | None = None, remaining: int | None = None
    ) -> bool:
        """Record a response and its rate-limit headers; for a 429, call `record_refusal` instead.

        Returns:
            Whether waiting requests may now wait longer. If true, call `remove_overdue`.
        """
        window = self._windows[request.operation]
        self._finish(request)
        window.release_after_response(request, now)
        has_fewer_permits = window.update_from_headers(request, now, limit, remaining)
        if self.queued:
            if window.in_use > window.limit:
                self._requeue(window, request.operation)
            self.grant_waiting(now)
        return has_fewer_permits and bool(self.queued)

    def record_no_response(self, request: PermitRequest, now: float, deadline: float) -> None:
        """Record that no response arrived, and that the server may still see the request until `deadline`."""
        self._finish(request)
        self._windows[request.operation].release_after(request, deadline)
        self.grant_waiting(now)

    def record_refusal(self, request: PermitRequest, now: float, wait: float, limit: int | None = None) -> bool:
        """Record a 429: its window pauses for `wait` seconds, and the request waits again at its old position.

        Returns:
            Whether this refusal makes the pause a long one; see `RateLimitWindow.record_refusal`. `remove_overdue` may
            find requests afterwards.
        """
        window = self._windows[request.operation]
        self._finish(request)
        # The time in flight does not count as time in the queue.
        request.queue_deadline += now - request.granted_at
        request.queued_at = now
        is_long = window.record_refusal(request, now, wait)
        window.update_from_headers(request, now, limit, None)
        self.queued += 1
        window.queue.push(request)
        self._requeue(window, request.operation)
        self.grant_waiting(now)
        return is_long

    def remove_overdue(self, operation: str, now: float) -> list[PermitRequest]:
        """Remove and return the requests that would exceed a limit of their wait.

        Such a request

        * would wait past its `max_queue_wait` (its `expected_wait` is set), or
        * would have been refused for longer than its `max_elapsed`, counted from its request for a permit or from the
          first 429 in a row, whichever is later.
        """
        window, removed = self._windows[operation], []
        waits = window.expected_waits(now)
        refused_since, pause_end = window.refused_since, window.paused_until
        wait = next(waits)
        for request in window.queue.in_order():
            if now + wait > request.queue_deadline:
                request.expected_wait = wait
            elif pause_end <= now or pause_end - max(request.requested_at, refused_since) <= request.max_elapsed:
                wait = next(waits)
                continue
            self.queued -= 1
            request.state = PermitState.FINISHED
            window.queue.note_removed()
            removed.append(request)
        return removed

    def reject_waiting(self, operation: str, error: VoiceprintError) -> None:
        """Remove all requests that wait for a permit of this operation, and notify each of them of the error."""
        for request in self._windows[operation].queue.pop_all():
            self.queued -= 1
            request.state = PermitState.FINISHED
            request.notify(error)

    def grant_waiting(self, now: float) -> None:
        """Grant free permits and slots to the requests at the head of the queues."""
        if not self.queued:
            return
        for window in self._windows.values():
            while window.queue.length and window.has_permit(now):
                request = window.queue.pop()
                window.take(request)
                self._slot_queue.push(request)
        while self._slot_queue.length and self.in_flight < self.max_concurrency:
            request = self._slot_queue.pop()
            self.queued -= 1
            self._grant(request, now)
            request.notify(None)

    def next_grant_at(self, now: float) -> float | None:
        """Return when to call `grant_waiting` if no event happens before; None if only a response can help."""
        if not self.queued:
            return None
        times = [window.next_permit_at(now) for window in self._windows.values() if window.queue.length]
        return min((when for when in times if when is not None), default=None)

    def _requeue(self, window: RateLimitWindow, operation: str) -> None:
        """Move the requests that hold a permit but no slot back to the queue: their permit is no longer valid."""
        for request in self._slot_queue.pop_all():
            if request.operation == operation:
                window.put_back(request)
                window.queue.push(request)
            else:
                self._slot_queue.push(request)

    def _grant(self, request: PermitRequest, now: float) -> None:
        self.in_flight += 1
        request.state = PermitState.GRANTED
        request.granted_at = now

    def _finish(self, request: PermitRequest) -> None:
        self.in_flight -= 1
        request.state = PermitState.FINISHED
