"""What time it may be, by every clock that a run has.

No clock can be trusted alone: this machine's may be wrong, set or suspended, and the server's `Date` may come from a
cache, or from another machine than the one that dates the jobs. So a moment is noted as a span that all clocks are in.
"""

from collections.abc import Callable
from typing import NamedTuple

from pyannote_voiceprint_async.concurrency.clock import Clock

__all__ = ["Span", "Timeline"]

# A step of the wall clock widens the spans of so many seconds after it.
_REMEMBERED = 3600.0


class Span(NamedTuple):
    """A moment, as UTC epoch seconds: no clock says less than the first, none more than the second."""

    earliest: float
    latest: float


class Timeline:
    """The clocks of one run.

    Args:
        clock: this machine's two clocks; one stands still while a laptop sleeps, the other jumps when it is set.
        server_time: the server's clock, as `Pipeline.server_time` returns it.
    """

    def __init__(self, clock: Clock, server_time: Callable[[], tuple[float, float]]) -> None:
        self._clock = clock
        self._server_time = server_time
        self._anchor: tuple[float, float] | None = None

    def now(self) -> Span:
        """Return what time it may be now."""
        server_time = self._server_time()
        local = self._local()
        return Span(min(*local, *server_time), max(*local, *server_time))

    def wall(self) -> float:
        """Return the time of this machine's wall clock."""
        return self._clock.wall()

    def at_least(self) -> float:
        """Return the latest of the times that a clock is sure to have reached: no clock that stands still counts."""
        return max(min(self._local()), self._server_time()[0])

    def _local(self) -> tuple[float, float]:
        time, wall = self._clock.time(), self._clock.wall()
        if self._anchor is None or time - self._anchor[0] > _REMEMBERED:
            self._anchor = (time, wall)
        return wall, self._anchor[1] + time - self._anchor[0]
