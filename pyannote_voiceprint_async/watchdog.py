"""Timeouts of the requests in flight. One timer looks at all of them, as the throttle's wakes all who wait.

aiohttp's own would set and cancel three timers for each request, which is a tenth of what a request costs.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import cast

from .call import Call
from .settings import Timeouts

__all__ = ["Watchdog"]

# How much later than said a timeout may come.
_PRECISION = 0.05


class Watchdog:
    """Ends what takes longer than `Timeouts.total`, or has not moved for `Timeouts.read`."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._period = min(timeouts.total, timeouts.read) * _PRECISION
        self._watches: set[Watch] = set()
        self._timer: asyncio.TimerHandle | None = None

    def over(self, call: Call) -> Watch:
        """Raise `TimeoutError` out of the block when the call takes too long."""
        return Watch(self, call)

    def start(self, watch: Watch) -> None:
        """Begin to look at it."""
        self._watches.add(watch)
        if self._timer is None:
            self._timer = watch.loop.call_later(self._period, self._look)

    def end(self, watch: Watch) -> None:
        """Look at it no more."""
        self._watches.discard(watch)

    def close(self) -> None:
        """Leave no timer behind, unless something is still on the wire of a session of the user's."""
        if self._timer is not None and not self._watches:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        for watch in list(self._watches):
            watch.look(self._timeouts)
            if self._timer is None:
                self._timer = watch.loop.call_later(self._period, self._look)


class Watch:
    """A block that is watched. It does what `asyncio.timeout` does, at half the price."""

    __slots__ = ("_call", "_cancelling", "_dog", "_expired", "_started_at", "_task", "loop")

    def __init__(self, dog: Watchdog, call: Call) -> None:
        self._dog = dog
        self._call = call
        self._expired = False

    def __enter__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._task = cast("asyncio.Task[object]", asyncio.current_task(self.loop))
        self._cancelling = self._task.cancelling()
        self._started_at = self._call.moved_at = self.loop.time()
        self._dog.start(self)

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._dog.end(self)
        # Canceled by us alone: a cancellation of the caller's goes first, and is never turned into a timeout.
        if self._expired and self._task.uncancel() <= self._cancelling and exc_type is asyncio.CancelledError:
            raise TimeoutError from None

    def look(self, timeouts: Timeouts) -> None:
        """End the block if its time is over."""
        now = self.loop.time()
        if not self._call.has_begun:
            # It waits for its connection, which has a timeout of its own: what that takes is not the answer's.
            self._call.moved_at = now
        stalled = now - self._call.moved_at > timeouts.read
        if not self._expired and (stalled or now - self._started_at > timeouts.total):
            self._expired = True
            self._task.cancel()
