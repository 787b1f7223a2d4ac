"""The queue between a run, which puts its events into it, and the program that iterates over them."""

import asyncio
from collections import deque

from pyannote_voiceprint_async.enrollment.events import Event

__all__ = ["EventQueue"]

_MAX_SIZE = 1000


class EventQueue:
    """A bounded queue of events, with the tasks of the run as producers and one consumer.

    When the queue is full, `put` waits until the consumer has read an event. After `abandon`, events are dropped.
    """

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._is_abandoned = self._is_ended = False
        self._changed, self._has_room = asyncio.Event(), asyncio.Event()

    async def put(self, *events: Event) -> None:
        """Wait until the queue has room, then add events in this order."""
        while len(self._events) >= _MAX_SIZE and not self._is_abandoned:
            self._has_room.clear()
            await self._has_room.wait()
        for event in events:
            self.put_nowait(event)

    def put_nowait(self, event: Event) -> None:
        """Add an event at once, even to a full queue."""
        if not self._is_abandoned:
            self._events.append(event)
            self._changed.set()

    async def get(self) -> Event | None:
        """Remove and return the next event, or return None when the queue is empty and has ended."""
        while not self._events:
            if self._is_ended:
                return None
            self._changed.clear()
            await self._changed.wait()
        self._has_room.set()
        return self._events.popleft()

    def abandon(self) -> None:
        """Record that the consumer has left: from now on, `put` drops its events and returns at once."""
        self._is_abandoned = True
        self._has_room.set()

    def end(self) -> None:
        """Record that no more events follow."""
        self._is_ended = True
        self._changed.set()
