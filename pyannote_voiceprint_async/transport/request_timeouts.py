"""Timeouts of the requests in flight. One timer checks all of them.

aiohttp's own timeouts would set and cancel three timers for each request, which is a tenth of what a request costs.
They would also count time in which the process was suspended.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from pyannote_voiceprint_async.settings import Timeouts

__all__ = ["RequestTimeouts", "Timed"]

# How much later than its timeout a request may be ended, as a share of the shortest timeout.
_PRECISION = 0.05


class Timed(Protocol):
    """A request that the watchdog bounds. Its times are those of `RequestTimeouts.now`."""

    started_at: float
    """When its timeouts began to count."""
    moved_at: float
    """When something of its response last arrived."""
    overdue: bool
    """Whether the watchdog has ended it."""

    @property
    def is_timed(self) -> bool:
        """Whether its timeouts count already."""

    def end(self) -> None:
        """End the request: it is overdue."""


class RequestTimeouts:
    """Ends requests that take longer than `Timeouts.total`, or do not move for `Timeouts.read`.

    Its time, `now`, goes on from tick to tick of its timer. A tick that comes much too late means that the loop did
    not run: the process was suspended, or something blocked it. That time counts against no request, and responses
    that arrived during it are read before anything is ended.
    """

    def __init__(self, timeouts: Timeouts) -> None:
        self.now = 0.0
        self._timeouts = timeouts
        self._period = min(timeouts.total, timeouts.read, timeouts.connect) * _PRECISION
        self._requests: set[Timed] = set()
        self._ticked_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, request: Timed) -> None:
        """Bound a request from now on."""
        request.overdue = False
        request.started_at = request.moved_at = self.now
        self._requests.add(request)
        if self._timer is None:
            self._ticked_at = time.monotonic()
            self._set_timer()

    def unwatch(self, request: Timed) -> None:
        """Stop bounding a request."""
        self._requests.discard(request)

    def moment(self) -> tuple[float, float]:
        """Return this moment, for `was_suspended`."""
        return time.monotonic(), self.now

    def was_suspended(self, since: tuple[float, float]) -> bool:
        """Return whether the loop has stood still for some time since that moment."""
        monotonic, now = since
        return (time.monotonic() - monotonic) - (self.now - now) > 3 * self._period

    def close(self) -> None:
        """Leave no timer behind, unless requests are left in a session of the user's."""
        if self._timer is not None and not self._requests:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._timer = None
        ticked_at, self._ticked_at = self._ticked_at, time.monotonic()
        # The loop runs callbacks of sockets before those of timers: a response that has arrived is read already.
        self.now += min(self._ticked_at - ticked_at, 2 * self._period)
        # A copy: ending a request may take it out.
        for request in list(self._requests):
            if not request.is_timed:
                request.started_at = request.moved_at = self.now
            elif not request.overdue and self._is_overdue(request):
                request.overdue = True
                request.end()
        if self._requests:
            self._set_timer()

    def _is_overdue(self, request: Timed) -> bool:
        return self.now - request.moved_at > self._timeouts.read or self.now - request.started_at > self._timeouts.total

    def _set_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._period, self._tick)
