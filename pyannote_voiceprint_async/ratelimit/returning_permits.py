"""Used permits that return at known times."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

__all__ = ["ReturningPermits"]


class ReturningPermits:
    """A count of used permits, ordered by the time at which they return.

    Args:
        step: seconds. Permits that return within one step return together, at its end. This bounds the memory of a
            window however large its limit is.
    """

    __slots__ = ("_groups", "_step", "count")

    def __init__(self, step: float) -> None:
        self.count = 0
        self._groups: deque[list[float]] = deque()  # [time of return, number of permits]
        self._step = step

    def add(self, when: float, count: int) -> None:
        """Add permits that return at a time that is not earlier than the times of previous calls."""
        if not self._groups or self._groups[-1][0] < when:
            self._groups.append([when + self._step, 0])
        self._groups[-1][1] += count
        self.count += count

    def remove_returned(self, now: float) -> int:
        """Remove the permits that have returned, and return their number."""
        before = self.count
        while self._groups and self._groups[0][0] <= now:
            self.count -= int(self._groups.popleft()[1])
        return before - self.count

    def first(self, count: int) -> Iterator[tuple[float, int]]:
        """Yield (time of return, number of permits) for the first `count` permits."""
        for when, permits in self._groups:
            if count <= 0:
                return
            yield when, min(count, int(permits))
            count -= int(permits)
