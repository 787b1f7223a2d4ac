"""Windows that count the requests of one rate limit."""

from collections import deque
from typing import Protocol

from pyannote_voiceprint_async.sandbox.limits import Limit, WindowKind


class RequestWindow(Protocol):
    """The interface of every kind of window. `now` never decreases between two calls."""

    limit: Limit

    def admit(self, now: float, /) -> float | None:
        """Count a request if the window has room. Return `None`, or the seconds until the window has room."""

    def remaining(self, now: float, /) -> int:
        """Return how many more requests the window admits now."""


class SlidingWindow:
    """A log of the requests that were admitted in the last `per` seconds. Refused requests are not recorded."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self._admitted: deque[float] = deque()

    def admit(self, now: float, /) -> float | None:
        """Count a request if the window has room. Return `None`, or the seconds until the window has room."""
        if self.remaining(now) == 0:
            return self._admitted[0] + self.limit.per - now
        self._admitted.append(now)
        return None

    def remaining(self, now: float, /) -> int:
        """Return how many more requests the window admits now."""
        while self._admitted and now >= self._admitted[0] + self.limit.per:
            self._admitted.popleft()
        return self.limit.limit - len(self._admitted)


class FixedWindow:
    """A counter that restarts at every multiple of `per` seconds since the epoch.

    The counter does not restart relative to the start of the server: a client must not be able to guess where a
    window begins.
    """

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self._index = -1.0
        self._admitted = 0

    def admit(self, now: float, /) -> float | None:
        """Count a request if the window has room. Return `None`, or the seconds until the next window."""
        if self.remaining(now) == 0:
            return (self._index + 1) * self.limit.per - now
        self._admitted += 1
        return None

    def remaining(self, now: float, /) -> int:
        """Return how many more requests the window that contains `now` admits."""
        index = now // self.limit.per
        if index != self._index:
            self._index, self._admitted = index, 0
        return self.limit.limit - self._admitted


class UnlimitedWindow:
    """A window that admits every request."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit

    def admit(self, _now: float, /) -> float | None:
        """Return `None`: there is always room."""
        return None

    def remaining(self, _now: float, /) -> int:
        """Return the configured limit, however many requests were admitted."""
        return self.limit.limit


WINDOWS: dict[WindowKind, type[SlidingWindow | FixedWindow | UnlimitedWindow]] = {
    "sliding": SlidingWindow,
    "fixed": FixedWindow,
    "none": UnlimitedWindow,
}
