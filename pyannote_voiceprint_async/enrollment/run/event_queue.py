"""The bounded queue between a run, which puts its events, and the program that iterates over them."""

import asyncio
from collections import deque

from pyannote_voiceprint_async.enrollment.events import Event

__all__ = ["EventQueue"]

_MAX_SIZE = 1000


class EventQueue:
    """A bounded queue of events with one producer side, the run, and one consumer.

    A consumer that stops reading holds up the run once the queue is full. A consumer that leaves no longer does: events
    that are put afterwards are dropped.
    """

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._is_abandoned = self._is_ended = False
        self._has_news, self._has_room = asyncio.Event(), asyncio.Event()

    async def put(self, *events: Event) -> None:
        """Add events, in order, as soon as the queue has room."""
        while len(self._events) >= _MAX_SIZE and not self._is_abandoned:
            self._has_room.clear()
            await self._has_room.wait()
        for event in events:
            self.put_nowait(event)

    def put_nowait(self, event: Event) -> None:
        """Add an event at once, even to a full queue."""
        if not self._is_abandoned:
            self._events.append(event)
            self._has_news.set()

    async def get(self) -> Event | None:
        """Remove and return the next event, or return None when the queue is empty and has ended."""
        while not self._events:
            if self._is_ended:
                return None
            self._has_news.clear()
            await self._has_news.wait()
        self._has_room.set()
        return self._events.popleft()

    def abandon(self) -> None:
        """Record that the consumer has left: `put` returns at once from now on."""
        self._is_abandoned = True
        self._has_room.set()

    def end(self) -> None:
        """Record that no more events follow."""
        self._is_ended = True
        self._has_news.set()
