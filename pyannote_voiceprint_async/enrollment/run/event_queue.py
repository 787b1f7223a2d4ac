"""Events on their way to whoever takes them: at their pace, bounded, and to nobody once they have left."""

import asyncio
from collections import deque

from pyannote_voiceprint_async.enrollment.events import Event

__all__ = ["EventQueue"]

_MOST = 1000


class EventQueue:
    """A queue of events that can be left and ended."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._is_left = self._is_over = False
        self._news, self._room = asyncio.Event(), asyncio.Event()

    async def put(self, *events: Event) -> None:
        """Hand events over, when there is room for them."""
        while len(self._events) >= _MOST and not self._is_left:
            self._room.clear()
            await self._room.wait()
        for event in events:
            self.put_now(event)

    def put_now(self, event: Event) -> None:
        """Hand an event over that must not wait."""
        if not self._is_left:
            self._events.append(event)
            self._news.set()

    async def take(self) -> Event | None:
        """Give the next event; None when there will be none any more."""
        while not self._events:
            if self._is_over:
                return None
            self._news.clear()
            await self._news.wait()
        self._room.set()
        return self._events.popleft()

    def leave(self) -> None:
        """Nobody takes events any more: nobody waits for room."""
        self._is_left = True
        self._room.set()

    def end(self) -> None:
        """There will be no more events."""
        self._is_over = True
        self._news.set()
