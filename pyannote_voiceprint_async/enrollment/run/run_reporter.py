"""What a run reports: events, progress, and the error that ends the run."""

from collections.abc import Callable

from pyannote_voiceprint_async.enrollment.events import Paused, Progress, Resumed, Stopping

from .event_queue import EventQueue
from .pace import Pace

__all__ = ["RunReporter"]


class RunReporter:
    """The events and the progress of one run.

    Args:
        now: returns the seconds of the run's clock.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.events = EventQueue()
        self.progress = Progress()
        self.pace = Pace(now)
        """How fast the run is."""
        self.error: BaseException | None = None
        """The first error that ends the run."""
        self.paused_for: str | None = None
        """Why the run sends nothing new; None while it sends."""
        self.on_pause: Callable[[], None] | None = None
        """Called when a pause begins or ends."""
        self.on_write: Callable[[], None] | None = None
        """Called before a result is written into the ledger."""
        self._now = now
        self._paused_until = 0.0

    def pause(self, reason: str, seconds: float) -> None:
        """Report that the run sends nothing new for a number of seconds."""
        self.paused_for = reason
        self._paused_until = self._now() + seconds
        self.events.put_nowait(Paused(reason, seconds))
        _call(self.on_pause)

    @property
    def pause_left(self) -> float:
        """Seconds until the run tries again; 0 if it is not paused, or if its end is unknown."""
        return 0.0 if self.paused_for is None else max(0.0, self._paused_until - self._now())

    def resume(self) -> None:
        """Report the end of a pause, if there is one."""
        if self.paused_for is not None:
            self.paused_for = None
            self.events.put_nowait(Resumed())
            _call(self.on_pause)

    def note_write(self) -> None:
        """Note that a result is about to be written into the ledger."""
        _call(self.on_write)

    def record_error(self, error: BaseException) -> None:
        """Record an error that ends the run, unless there was one before."""
        self.error = self.error or error

    def report_error(self, error: BaseException) -> None:
        """Record the first error that ends the run, and report it before submissions in flight are finished."""
        if self.error is None:
            self.error = error
            self.paused_for = str(error)
            self.events.put_nowait(Stopping(str(error)))

    def pop_error(self) -> BaseException | None:
        """Remove and return the error that ends the run, so that it is raised only once."""
        error, self.error = self.error, None
        return error

    def on_breaker_change(self, reason: str | None, seconds: float) -> None:
        """Report that the circuit breaker has opened or closed. A run that stops reports no more pauses."""
        if self.error is not None:
            return
        if reason is None:
            self.resume()
        else:
            self.pause(reason, seconds)

    def on_ledger_wait(self, is_waiting: bool) -> None:  # noqa: FBT001 - a callback
        """Report the beginning or the end of a wait for the lock of another program on the ledger."""
        if is_waiting:
            self.pause("Another program has the ledger locked, such as an SQLite browser. Close that program.", 0.0)
        else:
            self.resume()


def _call(callback: Callable[[], None] | None) -> None:
    if callback is not None:
        callback()
