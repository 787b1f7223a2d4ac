"""The timeouts of all requests in flight, checked by one timer.

aiohttp's own timeouts would set and cancel three timers per request, which is a tenth of the cost of a request. They
would also count time in which the process was suspended.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from pyannote_voiceprint_async.settings import Timeouts

__all__ = ["RequestTimeouts", "TimedRequest"]

# How much later than its timeout a request may be ended, as a share of the shortest timeout.
_PRECISION = 0.05


class TimedRequest(Protocol):
    """A request with timeouts. Its times are those of `RequestTimeouts.now`."""

    started_at: float
    """When its timeouts started to count."""
    last_received_at: float
    """When a part of its response was last received."""
    overdue: bool
    """Whether a timeout has ended it."""

    @property
    def is_timed(self) -> bool:
        """Whether its timeouts count already."""

    def abort(self) -> None:
        """End the overdue request."""


class RequestTimeouts:
    """Ends requests that take longer than `Timeouts.total`, or receive nothing for `Timeouts.read`.

    Its clock, `now`, advances with the ticks of its timer. A tick that comes much too late shows that the event loop
    did not run: the process was suspended, or a call blocked the loop. That time counts against no request, and
    responses that arrived meanwhile are read before any request is ended.

    Args:
        timeouts: the timeouts of each request.
    """

    def __init__(self, timeouts: Timeouts) -> None:
        self.now = 0.0
        self._timeouts = timeouts
        self._period = min(timeouts.total, timeouts.read, timeouts.connect) * _PRECISION
        self._requests: set[TimedRequest] = set()
        self._ticked_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self, request: TimedRequest) -> None:
        """Start the timeouts of a request."""
        request.overdue = False
        request.started_at = request.last_received_at = self.now
        self._requests.add(request)
        if self._timer is None:
            self._ticked_at = time.monotonic()
            self._set_timer()

    def stop(self, request: TimedRequest) -> None:
        """Stop the timeouts of a request."""
        self._requests.discard(request)

    def standstill(self) -> float:
        """Return a number that grows by each second in which the event loop stands still; see `was_suspended`."""
        return time.monotonic() - self.now

    def was_suspended(self, standstill: float) -> bool:
        """Return whether the event loop has stood still since `standstill()` returned this number."""
        return self.standstill() - standstill > 3 * self._period

    def close(self) -> None:
        """Cancel the timer, unless requests are still in flight in a session of the user's."""
        if self._timer is not None and not self._requests:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._timer = None
        ticked_at, self._ticked_at = self._ticked_at, time.monotonic()
        # The event loop runs the callbacks of sockets before those of timers: a response that has arrived is read.
        self.now += min(self._ticked_at - ticked_at, 2 * self._period)
        # Iterate over a copy, because ending a request may remove it.
        for request in list(self._requests):
            if not request.is_timed:
                request.started_at = request.last_received_at = self.now
            elif not request.overdue and self._is_overdue(request):
                request.overdue = True
                request.abort()
        if self._requests:
            self._set_timer()

    def _is_overdue(self, request: TimedRequest) -> bool:
        return (
            self.now - request.last_received_at > self._timeouts.read
            or self.now - request.started_at > self._timeouts.total
        )

    def _set_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._period, self._tick)
