"""What a run reports: events, progress, and the error that ends the run."""

from pyannote_voiceprint_async.enrollment.events import Paused, Progress, Resumed, Stopping

from .event_queue import EventQueue

__all__ = ["RunReporter"]


class RunReporter:
    """The events and the progress of one run."""

    def __init__(self) -> None:
        self.events = EventQueue()
        self.progress = Progress()
        self.error: BaseException | None = None
        """The first error that ends the run."""

    def pause(self, reason: str, seconds: float) -> None:
        """Report that the run sends nothing new for a number of seconds."""
        self.progress.paused_for = reason
        self.events.put_nowait(Paused(reason, seconds))

    def resume(self) -> None:
        """Report the end of a pause, if there is one."""
        if self.progress.paused_for is not None:
            self.progress.paused_for = None
            self.events.put_nowait(Resumed())

    def record_error(self, error: BaseException) -> None:
        """Record an error that ends the run, unless there was one before."""
        self.error = self.error or error

    def report_error(self, error: BaseException) -> None:
        """Record the first error that ends the run, and report it before submissions in flight are finished."""
        if self.error is None:
            self.error = error
            self.progress.paused_for = str(error)
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
