"""Rate limits: the windows that count requests."""

import math
from collections import deque
from typing import Any, Literal, Protocol

import attrs

WindowKind = Literal["sliding", "fixed", "none"]


def _positive(_instance: object, attribute: "attrs.Attribute[Any]", value: float) -> None:
    if not 0 < value < math.inf:
        raise ValueError(f"A limit's {attribute.name!r} must be a positive number, not {value!r}.")


@attrs.frozen
class Limit:
    """So many requests in so many seconds.

    Args:
        limit: Requests that a window takes.
        per: Length of the window in seconds.
    """

    limit: int = attrs.field(validator=_positive)
    per: float = attrs.field(default=60.0, validator=_positive)


class RequestWindow(Protocol):
    """What every kind of window can do; `now` never goes back between two calls."""

    limit: Limit

    def take(self, now: float, /) -> float | None:
        """Take a place: nothing when there was one, else the seconds until one is free."""

    def remaining(self, now: float, /) -> int:
        """Places that are free now."""


class SlidingWindow:
    """A log of the accepted requests of the last `per` seconds. A refused request leaves no trace."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self._accepted: deque[float] = deque()

    def take(self, now: float, /) -> float | None:
        """Take a place: nothing when there was one, else the seconds until one is free."""
        if self.remaining(now) == 0:
            return self._accepted[0] + self.limit.per - now
        self._accepted.append(now)
        return None

    def remaining(self, now: float, /) -> int:
        """Places that are free now."""
        while self._accepted and now >= self._accepted[0] + self.limit.per:
            self._accepted.popleft()
        return self.limit.limit - len(self._accepted)


class FixedWindow:
    """A counter that starts anew at every multiple of `per` seconds since the epoch.

    Not at the server's start: a client must not be able to guess where a window begins.
    """

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self._index = -1.0
        self._accepted = 0

    def take(self, now: float, /) -> float | None:
        """Take a place: nothing when there was one, else the seconds until the next window."""
        if self.remaining(now) == 0:
            return (self._index + 1) * self.limit.per - now
        self._accepted += 1
        return None

    def remaining(self, now: float, /) -> int:
        """Places that are free in the window of `now`."""
        index = now // self.limit.per
        if index != self._index:
            self._index, self._accepted = index, 0
        return self.limit.limit - self._accepted


class UnlimitedWindow:
    """Takes everything."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit

    def take(self, _now: float, /) -> float | None:
        """There is always a place."""
        return None

    def remaining(self, _now: float, /) -> int:
        """As many as ever."""
        return self.limit.limit


WINDOWS: dict[WindowKind, type[SlidingWindow | FixedWindow | UnlimitedWindow]] = {
    "sliding": SlidingWindow,
    "fixed": FixedWindow,
    "none": UnlimitedWindow,
}
