"""Time, as the client sees it: the one seam for tests that should not take as long as what they test."""

from __future__ import annotations

import asyncio
import time as _time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

__all__ = ["Clock", "LoopClock", "Timer", "timeout_at"]


class Timer(Protocol):
    """Something that will be called later, unless it is canceled."""

    def cancel(self) -> None:
        """Do not call. Harmless after the call, and when repeated."""


class Clock(Protocol):
    """What the client asks of time. Give your own as `AsyncVoiceprintClient(clock=…)` to move time in tests.

    Network timeouts (`Timeouts`) stay on the event loop's own clock: they measure real connections.
    """

    def time(self) -> float:
        """Seconds of a clock that never goes back."""

    def wall(self) -> float:
        """UTC seconds since 1970, to measure a server's dates where it sends no `Date` of its own."""

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        """Call back as soon as `time()` has reached `when`."""


class LoopClock:
    """The machine's monotonic clock, with the timers of the running event loop: the default."""

    time = staticmethod(_time.monotonic)
    wall = staticmethod(_time.time)

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        """Call back as soon as `time()` has reached `when`."""
        return asyncio.get_running_loop().call_later(when - self.time(), callback)


@asynccontextmanager
async def timeout_at(clock: Clock, when: float | None) -> AsyncIterator[None]:
    """Raise `TimeoutError` out of the block when the clock reaches `when`; None is never.

    This is `asyncio.timeout`, but on our clock.
    """
    async with asyncio.timeout(None) as scope:
        if when is None:
            yield
            return
        long_ago = asyncio.get_running_loop().time()
        timer = clock.call_at(when, lambda: scope.reschedule(long_ago))
        try:
            yield
        finally:
            timer.cancel()
