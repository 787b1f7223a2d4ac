"""Report the events and the progress of an enrollment run, and stop the run cleanly at a signal."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator

from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.enrollment import (
    Enrollment,
    Event,
    Finished,
    Paused,
    Report,
    Resumed,
    RowExpired,
    RowFailed,
    RowSkipped,
    RowSucceeded,
    RowUncertain,
    RowWarning,
    Stopping,
)

from .formatting import format_duration
from .output import Output
from .report_text import skipped_row, warning_lines

__all__ = ["RunDisplay"]

# A shorter pause is over before a person has read of it.
_SHORTEST_REPORTED_PAUSE = 5.0
_REFRESH_INTERVAL = 1.0
# The result of each row is reported for lists that fit on a screen.
_SHORT_LIST = 20


class RunDisplay:
    """The display of a run on stderr.

    Args:
        run: the run.
        client: the client of the run, whose statistics are shown.
        output: where the run is reported.
        reports_rows: report the result of every row, also for long lists.
        list_notes: returns the possible notes about the whole list, see `warning_lines`.
        now: a monotonic clock, in seconds.
    """

    def __init__(  # noqa: PLR0913 - constructed in one place, `enroll`
        self,
        run: Enrollment,
        client: AsyncVoiceprintClient,
        output: Output,
        *,
        reports_rows: bool = False,
        list_notes: Callable[[], Iterable[str]] = tuple,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.report: Report | None = None
        """The state of the rows, once the run is finished."""
        self._run = run
        self._client = client
        self._output = output
        self._reports_rows = reports_rows
        self._list_notes = list_notes
        self._now = now
        self._started_at: float | None = None
        self._has_reported_pause = False

    async def show_until_finished(self) -> None:
        """Report all events. A cancelled call stops the run first, which finishes the requests in flight.

        Raises:
            VoiceprintError: the error that ended the run.
        """
        refresher = asyncio.create_task(self._refresh())
        try:
            await self._report_events()
        except asyncio.CancelledError:
            if self._client.stats.in_flight:
                await self._output.write_status(
                    "Stopping when the requests in flight are finished. A second signal stops at once."
                )
            self._run.stop()
            await self._report_events()
            raise
        finally:
            refresher.cancel()
            self._output.progress.close()

    def progress_text(self) -> str:
        """Return the current progress."""
        progress = self._run.progress
        if not progress.total:
            file = f", checking {progress.checking}" if progress.checking else ""
            return f"Reading the list: {progress.read} rows{file}"
        return ", ".join(self._progress_parts())

    async def _report_events(self) -> None:
        async for event in self._run:
            for line in self._status_lines(event):
                await self._output.write_status(line)
            self._show_progress()

    def _status_lines(self, event: Event) -> Iterable[str]:
        if isinstance(event, RowWarning):
            return warning_lines(event.label, event.message, self._list_notes())
        line = self._status_line(event)
        return () if line is None else (line,)

    def _status_line(self, event: Event) -> str | None:
        """Return the line that reports an event, if any, and update the state of the display."""
        match event:
            case Finished(report):
                self.report = report
            case Paused(reason, seconds) if seconds > _SHORTEST_REPORTED_PAUSE and not self._has_reported_pause:
                self._has_reported_pause = True
                return f"Paused: {reason} The next attempt is in {format_duration(seconds)}."
            case Resumed() if self._has_reported_pause:
                self._has_reported_pause = False
                return "Resumed."
            case Stopping(reason):
                return f"No new rows are submitted. {reason}"
            case _:
                return _row_line(event, reports_results=self._reports_rows or self._run.progress.total <= _SHORT_LIST)
        return None

    async def _refresh(self) -> None:
        # No events arrive while the run waits.
        while True:
            self._show_progress()
            await asyncio.sleep(_REFRESH_INTERVAL)

    def _show_progress(self) -> None:
        progress = self._run.progress
        if progress.total and self._started_at is None:
            self._started_at = self._now()
        self._output.progress.show(progress.succeeded + progress.failed, progress.total, self.progress_text())

    def _progress_parts(self) -> Iterator[str]:
        progress = self._run.progress
        done = progress.succeeded + progress.failed
        # Requests other than submissions may be queued too.
        queued = min(self._client.stats.queued, progress.sending)
        yield f"{done} of {progress.total} done"
        if progress.failed:
            yield f"{progress.failed} failed"
        if in_flight := progress.waiting + progress.sending - queued:
            yield f"{in_flight} in flight"
        elapsed = 0.0 if self._started_at is None else self._now() - self._started_at
        if progress.finished_now and elapsed > 0:
            rate = progress.finished_now / elapsed
            yield f"{rate * 60:.0f} a minute"
            yield f"{format_duration((progress.total - done) / rate)} left"
        if progress.paused_for:
            yield f"paused: {progress.paused_for}"
        elif queued:
            yield f"{queued} waiting for the rate limit"


def _row_line(event: Event, *, reports_results: bool) -> str | None:
    if isinstance(event, RowSkipped):
        return skipped_row(event.problem)
    return _row_result(event) if reports_results else None


def _row_result(event: Event) -> str | None:
    match event:
        case RowSucceeded(label, voiceprint):
            return f"{label}: voiceprint by {voiceprint.model}, job {voiceprint.job_id}"
        case RowFailed(label, error) | RowExpired(label, error):
            return f"{label}: {error}"
        case RowUncertain(label):
            return f"{label}: The submission may have been accepted, and its job id is unknown."
    return None
