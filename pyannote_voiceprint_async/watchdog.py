"""Timeouts of the exchanges in flight. One timer looks at all of them, as the throttle's wakes all who wait.

aiohttp's own would set and cancel three timers for each request, which is a tenth of what a request costs.
"""

from __future__ import annotations

import asyncio
import time

from .call import Call
from .settings import Timeouts

__all__ = ["Watchdog"]

# How much later than said a timeout may come.
_PRECISION = 0.05


class Watchdog:
    """Interrupts what takes longer than `Timeouts.total`, or has not moved for `Timeouts.read`."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._period = min(timeouts.total, timeouts.read) * _PRECISION
        self._calls: set[Call] = set()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, call: Call) -> None:
        """Begin to look at an exchange that begins now. When its time is over it is canceled, and `overdue`."""
        call.overdue = False
        call.started_at = call.moved_at = time.monotonic()
        self._calls.add(call)
        if self._timer is None:
            self._look_again()

    def unwatch(self, call: Call) -> None:
        """Look at it no more."""
        self._calls.discard(call)

    def close(self) -> None:
        """Leave no timer behind, unless something is still on the wire of a session of the user's."""
        if self._timer is not None and not self._calls:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        now = time.monotonic()
        for call in self._calls:
            if not call.overdue and self._is_overdue(call, now):
                call.overdue = True
                call.interrupt()
        if self._calls:
            self._look_again()

    def _is_overdue(self, call: Call, now: float) -> bool:
        if not call.has_begun:
            # It waits for its connection, which has a timeout of its own: what that takes is not the answer's.
            call.moved_at = now
        return now - call.moved_at > self._timeouts.read or now - call.started_at > self._timeouts.total

    def _look_again(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._period, self._look)
