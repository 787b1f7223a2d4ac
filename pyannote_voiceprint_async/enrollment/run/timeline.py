"""The current time by all clocks of a run, as a span from the lowest to the highest.

No single clock can be trusted. This machine's clock may be wrong, may be set, or may stop while the machine sleeps. The
server's `Date` may come from a cache, or from another machine than the one that dates the jobs.
"""

from collections.abc import Callable
from typing import NamedTuple

from pyannote_voiceprint_async.concurrency.clock import Clock

__all__ = ["Span", "Timeline"]

# For up to this many seconds after the wall clock was set, the span contains both its old and its new time.
_ANCHOR_LIFETIME = 3600.0


class Span(NamedTuple):
    """A point in time by several clocks, as UTC epoch seconds: the lowest and the highest value."""

    earliest: float
    latest: float


class Timeline:
    """The clocks of one run.

    Args:
        clock: this machine's clocks; the monotonic clock stops while a laptop sleeps, the wall clock jumps when it is
            set.
        server_time: returns the span of the server's clock, as `Pipeline.server_time` does.
    """

    def __init__(self, clock: Clock, server_time: Callable[[], tuple[float, float]]) -> None:
        self._clock = clock
        self._server_time = server_time
        self._anchor: tuple[float, float] | None = None

    def now(self) -> Span:
        """Return the span that contains the current time of every clock."""
        server_time = self._server_time()
        local = self._local_times()
        return Span(min(*local, *server_time), max(*local, *server_time))

    def at_least(self) -> float:
        """Return a time that has certainly passed, even if one of the clocks stands still."""
        return max(min(self._local_times()), self._server_time()[0])

    def _local_times(self) -> tuple[float, float]:
        """Return the time of the wall clock, and the time that it would show if it had not been set."""
        time, wall = self._clock.time(), self._clock.wall()
        if self._anchor is None or time - self._anchor[0] > _ANCHOR_LIFETIME:
            self._anchor = (time, wall)
        return wall, self._anchor[1] + time - self._anchor[0]
