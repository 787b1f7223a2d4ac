"""Report the events and the progress of an enrollment run, and stop the run cleanly at a signal."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

import attrs

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
    RowSubmitted,
    RowSucceeded,
    RowUncertain,
    RowWarning,
    RunPlan,
    RunPlanned,
    Stopping,
)

from .formatting import format_duration
from .output import Output
from .report_text import skipped_row, warning_lines
from .run_columns import run_view

__all__ = ["RunDisplay", "StatusLine"]

# A shorter pause is over before a person has read of it.
_SHORTEST_REPORTED_PAUSE = 5.0
_REFRESH_INTERVAL = 1.0
# The result of each row is reported for lists that fit on a screen.
_SHORT_LIST = 20

_ERRORS = (RowFailed, RowExpired, RowUncertain)
_RESULTS = (RowSucceeded, *_ERRORS)


@attrs.frozen
class StatusLine:
    """A line about an event, and its fields for `--log-format json`."""

    text: str
    event: str
    level: str = "info"
    fields: dict[str, Any] = attrs.field(factory=dict)


class RunDisplay:
    """The display of a run on stderr.

    Args:
        run: the run.
        client: the client of the run, whose statistics are shown.
        output: where the run is reported.
        reports_rows: report the result of every row, also for long lists.
        list_notes: returns the possible notes about the whole list, see `warning_lines`.
        files_found: returns how many files a search of directories has found so far.
        sleep: waits for a number of seconds on the run's clock.
        on_plan: states the plan of the run, and may ask a question; no progress is shown meanwhile.
    """

    def __init__(  # noqa: PLR0913 - constructed in one place, `enroll`
        self,
        run: Enrollment,
        client: AsyncVoiceprintClient,
        output: Output,
        *,
        reports_rows: bool = False,
        list_notes: Callable[[], Iterable[str]] = tuple,
        files_found: Callable[[], int] = int,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        on_plan: Callable[[RunPlan], Awaitable[None]] | None = None,
    ) -> None:
        self.report: Report | None = None
        """The state of the rows, once the run is finished."""
        self._run = run
        self._client = client
        self._output = output
        self._reports_rows = reports_rows
        self._list_notes = list_notes
        self._files_found = files_found
        self._sleep = sleep
        self._on_plan = on_plan
        self._is_hidden = False
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
            self._on_plan = None  # a stopping run asks nothing
            await self._report_events()
            raise
        finally:
            refresher.cancel()
            self._output.progress.close()

    async def _report_events(self) -> None:
        async for event in self._run:
            for line in self._status_lines(event):
                await self._output.write_status(line.text, event=line.event, level=line.level, fields=line.fields)
            if isinstance(event, RunPlanned) and self._on_plan is not None:
                await self._state_plan(self._on_plan, event.plan)
            self._show_progress()

    async def _state_plan(self, on_plan: Callable[[RunPlan], Awaitable[None]], plan: RunPlan) -> None:
        self._is_hidden = True
        self._output.progress.close()
        try:
            await on_plan(plan)
        finally:
            self._is_hidden = False

    def _status_lines(self, event: Event) -> Iterator[StatusLine]:
        """Yield the lines about an event, and update the state of the display."""
        if isinstance(event, RowWarning):
            for text in warning_lines(event.label, event.message, self._list_notes()):
                yield StatusLine(text, "row_warning", "warning", {"label": event.label})
        elif isinstance(event, Finished):
            self.report = event.report
        elif (line := self._run_line(event) or _row_line(event)) is not None and self._is_shown(event):
            yield line

    def _is_shown(self, event: Event) -> bool:
        """Return whether an event has a line of its own: on a terminal, the rows of a long list would flood it."""
        if self._output.is_json_log or not isinstance(
            event, RowSucceeded | RowSubmitted | RowFailed | RowExpired | RowUncertain
        ):
            return True
        if isinstance(event, RowSubmitted):
            return False
        is_short = self._reports_rows or self._run.progress.total <= _SHORT_LIST
        return is_short or (isinstance(event, _ERRORS) and not self._output.progress.is_live)

    def _run_line(self, event: Event) -> StatusLine | None:
        """Return the line about an event of the whole run, if it is one that is reported."""
        match event:
            case Paused(reason, seconds) if seconds > _SHORTEST_REPORTED_PAUSE and not self._has_reported_pause:
                self._has_reported_pause = True
                text = f"Paused: {reason} The next attempt is in {format_duration(seconds)}."
                return StatusLine(text, "paused", "warning", {"reason": reason, "seconds": seconds})
            case Resumed() if self._has_reported_pause:
                self._has_reported_pause = False
                return StatusLine("Resumed.", "resumed")
            case Stopping(reason):
                return StatusLine(f"No new rows are submitted. {reason}", "stopping", "error", {"reason": reason})
        return None

    async def _refresh(self) -> None:
        # No events arrive while the run waits.
        while True:
            self._show_progress()
            await self._sleep(_REFRESH_INTERVAL)

    def _show_progress(self) -> None:
        if not self._is_hidden:
            self._output.progress.show(run_view(self._run.progress, self._files_found()))


def _row_line(event: Event) -> StatusLine | None:
    """Return the line about an event of a row."""
    match event:
        case RowSkipped(problem):
            fields = {"label": problem.label, "line": problem.line}
            return StatusLine(skipped_row(problem), "row_skipped", "warning", fields)
        case RowSubmitted(label, job_id):
            return StatusLine(f"{label}: job {job_id}", "row_submitted", fields={"label": label, "job_id": job_id})
        case RowSucceeded(label, voiceprint):
            text = f"{label}: voiceprint by {voiceprint.model}, job {voiceprint.job_id}"
            fields = {"label": label, "job_id": voiceprint.job_id, "model": voiceprint.model}
            return StatusLine(text, "row_succeeded", fields=fields)
        case RowFailed(label, error) | RowExpired(label, error):
            name = "row_failed" if isinstance(event, RowFailed) else "row_expired"
            return StatusLine(f"{label}: {error}", name, "error", {"label": label, "error": error})
        case RowUncertain(label):
            text = f"{label}: The outcome is unknown: the submission may have been accepted."
            return StatusLine(text, "row_uncertain", "error", {"label": label})
    return None
