"""For how long a process may begin to send a submission whose key it has claimed."""

from __future__ import annotations

from typing import NamedTuple

from pyannote_voiceprint_async.concurrency.clock import Clock

__all__ = ["SENDING_TIME", "ClaimLease", "ClockReading"]

# Seconds. Less than `key_table.LEASE`: the rest is for clocks that run at different speeds, and for writing the first
# byte.
SENDING_TIME = 8.0


class ClockReading(NamedTuple):
    """What both clocks of this machine show."""

    time: float
    wall: float

    @classmethod
    def of(cls, clock: Clock) -> ClockReading:
        """Read the clocks."""
        return cls(clock.time(), clock.wall())


class ClaimLease:
    """The time for which a claim certainly lasts, because the store has confirmed it lately.

    A process that was stopped, or whose machine was asleep, does not know that its claim has ended. Its clocks show it
    without the store. The monotonic clock counts while a process is stopped, but not while the machine sleeps; the wall
    clock counts then too, but may be set. So the longer of the two times counts.

    Args:
        clock: the client's clock.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._confirmed = ClockReading.of(clock)

    def confirm(self, since: ClockReading) -> None:
        """Record that the store has confirmed the claim.

        Args:
            since: the clocks before the store was called.
        """
        self._confirmed = since

    def age(self) -> float:
        """Return the seconds since the store confirmed the claim."""
        now = ClockReading.of(self._clock)
        return max(now.time - self._confirmed.time, now.wall - self._confirmed.wall)

    def has_ended(self) -> bool:
        """Return whether another process may have the key now, so that nothing may be sent any more."""
        return self.age() > SENDING_TIME
