"""The server's time, measured from the `Date` header of the last response."""

from __future__ import annotations

from collections.abc import Mapping

from pyannote_voiceprint_async.api import rate_limit_headers
from pyannote_voiceprint_async.concurrency.clock import Clock

__all__ = ["ServerClock"]

# `Date` has whole seconds.
_DATE_STEP = 1.0


class ServerClock:
    """The clock of the server, as far as the last response shows it.

    Args:
        clock: the client's clock.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._headers: Mapping[str, str] = {}
        self._received_at = self._wall_received_at = 0.0

    def record(self, headers: Mapping[str, str], now: float, wall: float) -> None:
        """Record the headers of a response that arrived now."""
        self._headers, self._received_at, self._wall_received_at = headers, now, wall

    @property
    def is_known(self) -> bool:
        """Whether the last response had a valid `Date` header."""
        return rate_limit_headers.server_date(self._headers) is not None

    def now(self) -> tuple[float, float]:
        """Return the earliest and the latest UTC epoch seconds that the server's clock can show now.

        Both of this machine's clocks measure the time since the response, because the monotonic one stands still while
        a laptop sleeps, and the wall clock jumps when it is set. Before the first response, both values are the wall
        clock of this machine.
        """
        date = rate_limit_headers.server_date(self._headers)
        if date is None:
            return (self._clock.wall(), self._clock.wall())
        elapsed = self._clock.time() - self._received_at, self._clock.wall() - self._wall_received_at
        return date + min(elapsed), date + max(elapsed) + _DATE_STEP
