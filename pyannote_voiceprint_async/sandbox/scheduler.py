"""Things to be done at their time: one heap, one sleep, and only so many under way at once."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Coroutine
from heapq import heappop, heappush
from typing import Any

from pyannote_voiceprint_async.sandbox.clock import Now

Action = Callable[[], Coroutine[Any, Any, None]]


class Scheduler:
    """Starts each action at its time, or as soon after it as there is room.

    Args:
        now: The time as UTC epoch seconds.
        sleep: How to wait.
        most: Actions that may be under way at once.
    """

    def __init__(self, now: Now, sleep: Callable[[float], Awaitable[object]], most: int) -> None:
        self._now = now
        self._sleep = sleep
        self._most = most
        # The number keeps entries of one time in their order, and actions from being compared.
        self._entries: list[tuple[float, int, Action]] = []
        self._numbers = itertools.count()
        self._under_way: set[asyncio.Task[None]] = set()
        self._alarm: asyncio.Task[None] | None = None
        self._alarm_at = 0.0
        # An alarm that was replaced takes a moment to end, and close() waits for that, too.
        self._alarms: set[asyncio.Task[None]] = set()

    def add(self, at: float, action: Action) -> None:
        """Do this at that time."""
        heappush(self._entries, (at, next(self._numbers), action))
        self._advance()

    async def close(self) -> None:
        """Forget what was to come, and end what is under way."""
        self._entries.clear()
        tasks = self._under_way | self._alarms
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._alarm = None

    def _advance(self) -> None:
        """Start what is due, then see to it that what comes next is not missed."""
        now = self._now()
        while self._entries and self._has_room() and self._entries[0][0] <= now:
            self._start(heappop(self._entries)[2])
        if self._entries and self._has_room():  # without room, whatever ends next looks here again
            self._set_alarm(self._entries[0][0])

    def _has_room(self) -> bool:
        return len(self._under_way) < self._most

    def _start(self, action: Action) -> None:
        task = asyncio.create_task(action())
        self._under_way.add(task)
        task.add_done_callback(self._finish)

    def _finish(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._advance()

    def _set_alarm(self, at: float) -> None:
        if self._alarm is not None:
            if self._alarm_at <= at:
                return
            self._alarm.cancel()
        self._alarm, self._alarm_at = asyncio.create_task(self._ring(at)), at
        self._alarms.add(self._alarm)
        self._alarm.add_done_callback(self._alarms.discard)

    async def _ring(self, at: float) -> None:
        await self._sleep(max(0.0, at - self._now()))
        self._alarm = None
        self._advance()
