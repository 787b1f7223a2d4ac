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
    RowFailed,
    RowSucceeded,
    RowUncertain,
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

    def __init__(self):
        self.lines, self.shown = [], []
        self.progress = SimpleNamespace(show=lambda *progress: self.shown.append(progress), close=lambda: None)

    async def write_status(self, line):
        self.lines.append(line)


def run_display(run, *, queued=0, in_flight=0, now=lambda: 0.0, **options):
    client = SimpleNamespace(stats=SimpleNamespace(queued=queued, in_flight=in_flight))
    return RunDisplay(run, client, FakeOutput(), now=now, **options)


@pytest.mark.parametrize(
    ("progress", "queued", "expected"),
    [
        (Progress(read=500), 0, "Reading the list: 500 rows"),
        (Progress(read=500, checking="a.wav"), 0, "Reading the list: 500 rows, checking a.wav"),
        (Progress(total=10), 0, "0 of 10 done"),
        (Progress(total=10, succeeded=2, failed=1), 0, "3 of 10 done, 1 failed"),
        (Progress(total=10, waiting=3, sending=5), 0, "0 of 10 done, 8 in flight"),
        (
            Progress(total=10, waiting=3, sending=5),
            4,
            "0 of 10 done, 4 in flight, 4 waiting for the rate limit",
        ),
        (Progress(total=10, sending=2), 9, "0 of 10 done, 2 waiting for the rate limit"),
        (
            Progress(total=10, waiting=1, sending=2, paused_for="The API failed."),
            2,
            "0 of 10 done, 1 in flight, paused: The API failed.",
        ),
    ],
)
async def test_progress_text_shows_counts_and_the_reason_of_a_pause(progress, queued, expected):
    run = FakeRun()
    run.progress = progress
    assert run_display(run, queued=queued).progress_text() == expected


async def test_progress_text_shows_the_rate_and_the_remaining_time():
    """Three of ten rows were done by an earlier run; two more are done within a minute."""
    now = 0.0
    run = FakeRun()
    run.progress = Progress(total=10, succeeded=3)
    display = run_display(run, now=lambda: now)
    display._show_progress()
    now, run.progress.succeeded, run.progress.finished_now = 60.0, 5, 2
    assert display.progress_text() == "5 of 10 done, 2 a minute, 2 min left"


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


async def test_progress_is_refreshed_without_events(monkeypatch):
    monkeypatch.setattr("pyannote_voiceprint_async.cli.run_display._REFRESH_INTERVAL", 0.001)
    run = FakeRun(is_endless=True)
    display = run_display(run)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(display.show_until_finished())
        while len(display._output.shown) < 3:
            await asyncio.sleep(0.001)
        run.stop()
