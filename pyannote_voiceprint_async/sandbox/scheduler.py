"""A scheduler that runs actions at given times with one timer for all of them."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Coroutine
from heapq import heappop, heappush
from typing import Any

from pyannote_voiceprint_async.sandbox.clock import Now

Action = Callable[[], Coroutine[Any, Any, None]]


class Scheduler:
    """Starts each action at its time, or as soon afterwards as fewer than `max_running` actions are running.

    Args:
        now: Returns the current time in UTC epoch seconds.
        sleep: Waits for a number of seconds.
        max_running: Maximum number of actions that run at once.
    """

    def __init__(self, now: Now, sleep: Callable[[float], Awaitable[object]], max_running: int) -> None:
        self._now = now
        self._sleep = sleep
        self._max_running = max_running
        # The number keeps actions of the same time in order, and heapq from comparing actions.
        self._entries: list[tuple[float, int, Action]] = []
        self._numbers = itertools.count()
        self._running: set[asyncio.Task[None]] = set()
        self._timer: asyncio.Task[None] | None = None
        self._timer_at = 0.0
        # A canceled timer ends in a later iteration of the event loop, and close() must wait for it.
        self._timers: set[asyncio.Task[None]] = set()

    def add(self, at: float, action: Action) -> None:
        """Schedule an action.

        Args:
            at: Time in UTC epoch seconds.
            action: Returns the coroutine to run.
        """
        heappush(self._entries, (at, next(self._numbers), action))
        self._advance()

    async def close(self) -> None:
        """Drop all scheduled actions and cancel the running ones."""
        self._entries.clear()
        tasks = self._running | self._timers
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._timer = None

    def _advance(self) -> None:
        """Start the actions that are due, then set the timer for the next one."""
        now = self._now()
        while self._entries and self._has_room() and self._entries[0][0] <= now:
            self._start(heappop(self._entries)[2])
        if self._entries and self._has_room():  # else the next action that ends calls this method
            self._set_timer(self._entries[0][0])

    def _has_room(self) -> bool:
        return len(self._running) < self._max_running

    def _start(self, action: Action) -> None:
        task = asyncio.create_task(action())
        self._running.add(task)
        task.add_done_callback(self._finish)

    def _finish(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._advance()

    def _set_timer(self, at: float) -> None:
        if self._timer is not None:
            if self._timer_at <= at:
                return
            self._timer.cancel()
        self._timer, self._timer_at = asyncio.create_task(self._advance_at(at)), at
        self._timers.add(self._timer)
        self._timer.add_done_callback(self._timers.discard)

    async def _advance_at(self, at: float) -> None:
        await self._sleep(max(0.0, at - self._now()))
        self._timer = None
        self._advance()
