"""A first-come-first-served queue whose entries can leave at no cost."""

from __future__ import annotations

import heapq

from .permit_request import PermitRequest, PermitState

__all__ = ["WaitQueue"]

# Requests that left stay in the heap until they outnumber the waiting ones by this many.
_MAX_STALE = 1000


class WaitQueue:
    """The requests of one state, in the order of their numbers.

    Args:
        state: the state of a waiting request. A request in any other state has left the queue.
    """

    def __init__(self, state: PermitState) -> None:
        self._state = state
        self._heap: list[PermitRequest] = []
        self.length = 0
        """How many requests wait. An attribute, because it is read dozens of times for each request that is sent."""

    def push(self, request: PermitRequest) -> None:
        """Add a request at the position of its number."""
        request.state = self._state
        heapq.heappush(self._heap, request)
        self.length += 1

    def pop(self) -> PermitRequest:
        """Remove and return the first waiting request; the queue must not be empty."""
        request = heapq.heappop(self._heap)
        while request.state is not self._state:
            request = heapq.heappop(self._heap)
        self.length -= 1
        return request

    def note_removed(self) -> None:
        """Record that one request has left the queue by changing its state."""
        self.length -= 1
        if len(self._heap) > 2 * self.length + _MAX_STALE:
            self._heap = self._waiting()

    def in_order(self) -> list[PermitRequest]:
        """Return the waiting requests, the first one first."""
        self._heap = self._waiting()
        return list(self._heap)

    def pop_all(self) -> list[PermitRequest]:
        """Remove and return all waiting requests, the first one first."""
        waiting, self._heap, self.length = self._waiting(), [], 0
        return waiting

    def _waiting(self) -> list[PermitRequest]:
        # A sorted list is a valid heap.
        return sorted(request for request in self._heap if request.state is self._state)
