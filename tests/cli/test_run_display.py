"""The progress of a run, its events, and the end by a signal."""

import asyncio
import contextlib
from types import SimpleNamespace

import pytest

from pyannote_voiceprint_async import Voiceprint
from pyannote_voiceprint_async.cli.run_display import RunDisplay
from pyannote_voiceprint_async.enrollment import (
    Finished,
    Paused,
    Progress,
    Report,
    Resumed,
    RowExpired,
    RowFailed,
    RowSubmitted,
    RowSucceeded,
    RowUncertain,
    RunPlan,
    RunPlanned,
    Stopping,
)


class FakeRun:
    """A run that yields the given events, and then waits until it is stopped."""

    def __init__(self, *events, is_endless=False):
        self.progress = Progress(total=10)
        self.events = [*events]
        self.stopped = asyncio.Event()
        if not is_endless:
            self.stop()

    def __aiter__(self):
        return self

    async def __anext__(self):
        if self.events:
            return self.events.pop(0)
        await self.stopped.wait()
        if self.events:
            return self.events.pop(0)
        raise StopAsyncIteration

    def stop(self):
        self.stopped.set()


class FakeOutput:
    """Records the status lines and the progress."""

    def __init__(self, *, is_live=True, is_json_log=False):
        self.lines, self.shown = [], []
        self.progress = SimpleNamespace(show=self.shown.append, close=lambda: None, is_live=is_live)
        self.is_json_log = is_json_log
        self.events = []

    async def write_status(self, line, **event):
        self.lines.append(line)
        self.events.append(event)


def run_display(run, *, in_flight=0, is_live=True, is_json_log=False, **options):
    client = SimpleNamespace(stats=SimpleNamespace(in_flight=in_flight))
    return RunDisplay(run, client, FakeOutput(is_live=is_live, is_json_log=is_json_log), **options)


async def test_a_long_pause_is_reported_once_and_short_pauses_are_not():
    short, long = Paused("The API failed.", 2.0), Paused("The API failed.", 8.0)
    run = FakeRun(short, Resumed(), short, long, long, Resumed(), Resumed(), short, Finished(Report()))
    display = run_display(run)
    await display.show_until_finished()
    assert display._output.lines == ["Paused: The API failed. The next attempt is in 8 s.", "Resumed."]
    assert display.report == Report()


async def test_the_error_that_ends_a_run_is_reported_before_the_run_has_ended():
    run = FakeRun(Stopping("The key is not accepted."), is_endless=True)
    display = run_display(run)
    task = asyncio.create_task(display.show_until_finished())
    while not display._output.lines:
        await asyncio.sleep(0)
    assert display._output.lines == ["No new rows are submitted. The key is not accepted."]
    run.stop()
    await task


@pytest.mark.parametrize(("total", "reports_rows", "lines"), [(20, False, 3), (21, False, 0), (21, True, 3)])
async def test_rows_are_reported_for_short_lists_and_with_reports_rows(total, reports_rows, lines):
    voiceprint = Voiceprint("secret", "precision-2", "job-1")
    run = FakeRun(RowFailed("Eve", "No voice."), RowUncertain("Bob"), RowSucceeded("Ada", voiceprint))
    run.progress = Progress(total=total)
    display = run_display(run, reports_rows=reports_rows)
    await display.show_until_finished()
    assert len(display._output.lines) == lines
    assert "secret" not in "".join(display._output.lines)


async def test_without_a_terminal_each_failed_row_of_a_long_list_is_reported_by_name():
    voiceprint = Voiceprint("secret", "precision-2", "job-1")
    run = FakeRun(
        RowFailed("Eve", "No voice."),
        RowUncertain("Bob"),
        RowExpired("Zoe", "Too late."),
        RowSucceeded("Ada", voiceprint),
        RowSubmitted("Ian", "job-2"),
    )
    run.progress = Progress(total=300_000)
    display = run_display(run, is_live=False)
    await display.show_until_finished()
    assert [line.split(":")[0] for line in display._output.lines] == ["Eve", "Bob", "Zoe"]


async def test_every_event_is_an_object_with_a_level_and_fields_in_a_json_log():
    run = FakeRun(
        RowSubmitted("Ada", "job-1"),
        RowSucceeded("Ada", Voiceprint("secret", "precision-2", "job-1")),
        RowFailed("Eve", "No voice."),
        Paused("The API failed.", 8.0),
        Resumed(),
        Stopping("The key is not accepted."),
    )
    run.progress = Progress(total=300_000)
    display = run_display(run, is_live=False, is_json_log=True)
    await display.show_until_finished()
    assert [(event["event"], event["level"], event["fields"]) for event in display._output.events] == [
        ("row_submitted", "info", {"label": "Ada", "job_id": "job-1"}),
        ("row_succeeded", "info", {"label": "Ada", "job_id": "job-1", "model": "precision-2"}),
        ("row_failed", "error", {"label": "Eve", "error": "No voice."}),
        ("paused", "warning", {"reason": "The API failed.", "seconds": 8.0}),
        ("resumed", "info", {}),
        ("stopping", "error", {"reason": "The key is not accepted."}),
    ]
    assert "secret" not in repr(display._output.events) + repr(display._output.lines)


@pytest.mark.parametrize("in_flight", [0, 3])
async def test_a_cancelled_report_stops_the_run_and_reads_all_events(in_flight):
    run = FakeRun(is_endless=True)
    display = run_display(run, in_flight=in_flight)
    task = asyncio.create_task(display.show_until_finished())
    while not display._output.shown:
        await asyncio.sleep(0)
    run.stop = lambda: (run.events.append(Finished(Report(rows=7))), run.stopped.set())
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()
    assert display.report == Report(rows=7)
    assert [line.split(" ")[0] for line in display._output.lines] == ["Stopping"] * bool(in_flight)


async def test_progress_is_refreshed_every_second_of_the_runs_clock_without_events(clock):
    run = FakeRun(is_endless=True)
    display = run_display(run, sleep=clock.sleep)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(display.show_until_finished())
        await clock.advance(0.0)
        for _ in range(5):
            await clock.advance(1.0)
        run.stop()
    assert len(display._output.shown) == 6


async def test_no_progress_is_shown_while_the_plan_is_stated():
    states = []

    async def on_plan(plan):
        states.append(plan.jobs)
        display._show_progress()
        states.append(len(display._output.shown))

    display = run_display(FakeRun(RunPlanned(RunPlan(jobs=7))), on_plan=on_plan)
    display._output.shown.clear()
    await display.show_until_finished()
    assert states == [7, 0]
    assert display._output.shown


async def test_a_run_that_is_stopped_before_its_plan_asks_nothing():
    async def on_plan(plan):
        raise AssertionError(plan)

    run = FakeRun(is_endless=True)
    showing = asyncio.create_task(run_display(run, on_plan=on_plan).show_until_finished())
    await asyncio.sleep(0)
    run.events.append(RunPlanned(RunPlan()))
    showing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await showing
