"""The client's clock: tests replace it, so that they do not take as long as what they test."""

from __future__ import annotations

import asyncio
import time as _time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

__all__ = ["Clock", "LoopClock", "Timer", "timeout_at"]


class Timer(Protocol):
    """A scheduled callback that can be cancelled."""

    def cancel(self) -> None:
        """Cancel the callback. Does nothing after the callback has run, or when repeated."""


class Clock(Protocol):
    """The source of time of a client. Pass your own as `AsyncVoiceprintClient(clock=…)` to control time in tests.

    Network timeouts (`Timeouts`) always use the event loop's own clock, because they measure real connections.
    """

    def time(self) -> float:
        """Return the seconds of a clock that never goes back."""

    def wall(self) -> float:
        """Return the seconds since 1970 (UTC). They stand in for the `Date` header where a response has none."""

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        """Call `callback` when `time()` reaches `when`."""


class LoopClock:
    """The default clock: the machine's monotonic clock, with the timers of the running event loop."""

    time = staticmethod(_time.monotonic)
    wall = staticmethod(_time.time)

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        """Call `callback` when `time()` reaches `when`."""
        return asyncio.get_running_loop().call_later(when - self.time(), callback)


@asynccontextmanager
async def timeout_at(clock: Clock, deadline: float | None) -> AsyncIterator[None]:
    """Raise `TimeoutError` out of the block when the clock reaches the deadline, as `asyncio.timeout_at` does.

    Args:
        clock: the clock of the deadline.
        deadline: a time on that clock; None is never.
    """
    if deadline is None:
        yield
        return
    async with asyncio.timeout(None) as scope:
        long_ago = asyncio.get_running_loop().time()
        timer = clock.call_at(deadline, lambda: scope.reschedule(long_ago))
        try:
            yield
        finally:
            timer.cancel()
