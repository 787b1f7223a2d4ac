"""When the next poll is due. Pure: the caller passes the time."""

from __future__ import annotations

from collections.abc import Iterable

from pyannote_voiceprint_async.settings import Polling

__all__ = ["PollSchedule"]

_GROWTH = 1.5
# After a poll, the next one waits for this multiple of `Polling.first` for each page that was fetched. With the default
# of one second, at most 30 pages are fetched in a minute: at 100 voiceprints a minute, a third of a request for each.
_PAUSE_PER_PAGE = 2.0
# Seconds. A job that ends no later than this after a poll counts as seen by this poll: measured times are not exact.
_SAME_MOMENT = 0.01


class PollSchedule:
    """The time of the next poll.

    The interval between polls starts at `Polling.first` and grows by half with each poll, up to `Polling.longest`.
    `reset_interval` starts again at `Polling.first`.
    """

    def __init__(self, polling: Polling) -> None:
        self.next_at = float("inf")
        """The time of the next poll; infinite while none is planned."""
        self._polling = polling
        self.interval = polling.first
        """Seconds between polls."""
        self._polled_at = self._earliest = float("-inf")

    def restart(self) -> None:
        """Plan no poll, and start again with the shortest interval. The pause after the last pages still holds."""
        self.interval, self.next_at = self._polling.first, float("inf")

    def reset_interval(self) -> None:
        """Start again with the shortest interval."""
        self.interval = self._polling.first

    def poll_by(self, time: float) -> bool:
        """Poll at this time at the latest, but not before the pause after the last pages is over.

        Returns:
            Whether this makes the next poll earlier.
        """
        time = max(time, self._earliest)
        if time >= self.next_at:
            return False
        self.next_at = time
        return True

    def record_poll(self, now: float, *, pages: int, has_polled: bool, first_polls: Iterable[float]) -> None:
        """Plan the next poll after one has finished.

        Args:
            now: the current time.
            pages: how many pages the poll fetched.
            has_polled: whether any job was polled; if not, the interval does not grow.
            first_polls: when jobs that were not polled yet are due. They do not wait for the longer interval.
        """
        if has_polled:
            self._polled_at = now
            self.interval = self._next_interval(self.interval)
        self._earliest = now + self._pause(pages)
        self.next_at = max(self._earliest, min([now + self.interval, *first_polls]))

    def expect_poll(self, ended_at: float, *, pages: int) -> float:
        """Return when a poll will see that a job has ended, if no other job makes the polls more frequent.

        Args:
            ended_at: the time at which the job ends.
            pages: how many pages each poll fetches.

        Returns:
            The time of the poll: `ended_at` itself if the last poll has seen the end, or if no poll is planned.
        """
        ended_at -= _SAME_MOMENT
        if ended_at <= self._polled_at or self.next_at == float("inf"):
            return ended_at
        at, interval = self.next_at, self.interval
        while at < ended_at:
            interval = self._next_interval(interval)
            at += max(interval, self._pause(pages))
        return at

    def _next_interval(self, interval: float) -> float:
        return min(interval * _GROWTH, self._polling.longest)

    def _pause(self, pages: int) -> float:
        return min(pages * self._polling.first * _PAUSE_PER_PAGE, self._polling.longest)
