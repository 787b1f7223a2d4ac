"""A line of those who wait: first come, first served, and leaving it costs nothing."""

from __future__ import annotations

import heapq
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar

__all__ = ["PermitState", "WaitQueue"]

# Those who left stay in the heap until they are so many more than those who wait.
_MOST_GONE = 1000


class PermitState(Enum):
    """How far a request has come."""

    WAITS_FOR_PLACE = "in its budget's queue"
    WAITS_FOR_SLOT = "has a place"
    GRANTED = "has a place and a slot: it may be sent"
    OVER = "has given back what it had"


class Waiting(Protocol):
    """What can stand in a line."""

    stage: PermitState

    def __lt__(self, other: Any, /) -> bool: ...


T = TypeVar("T", bound=Waiting)


class WaitQueue(Generic[T]):
    """Turns of one stage, by their number. `len` counts those who wait.

    Args:
        stage: what a turn's stage is while it stands here; one of another stage has left.
    """

    def __init__(self, stage: PermitState) -> None:
        self._stage = stage
        self._heap: list[T] = []
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def join(self, turn: T) -> None:
        """Stand in line, at the place of its number."""
        turn.stage = self._stage
        heapq.heappush(self._heap, turn)
        self._length += 1

    def pop(self) -> T:
        """Give the first who waits; there must be one."""
        turn = heapq.heappop(self._heap)
        while turn.stage is not self._stage:
            turn = heapq.heappop(self._heap)
        self._length -= 1
        return turn

    def leave(self) -> None:
        """Count one less: a turn has changed its stage."""
        self._length -= 1
        if len(self._heap) > 2 * self._length + _MOST_GONE:
            self._heap = self._who_wait()

    def in_order(self) -> list[T]:
        """Return all who wait, the first first."""
        self._heap = self._who_wait()
        return list(self._heap)

    def clear(self) -> list[T]:
        """Give all who wait, in order, and leave nobody."""
        waiting, self._heap, self._length = self._who_wait(), [], 0
        return waiting

    def _who_wait(self) -> list[T]:
        # A sorted list is a heap.
        return sorted(turn for turn in self._heap if turn.stage is self._stage)
