"""How far a run is, why it waits, and what is told of its pauses."""

import asyncio
import contextlib
from types import SimpleNamespace

import pytest

from pyannote_voiceprint_async import Voiceprint
from pyannote_voiceprint_async.cli.formatting import format_cost, format_count, format_duration
from pyannote_voiceprint_async.cli.run_reporter import RunReporter
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
    """A run that tells what a test wants, and then waits until it is stopped."""

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
    """Takes what is told."""

    def __init__(self):
        self.lines, self.shown = [], []
        self.progress = SimpleNamespace(show=lambda *what: self.shown.append(what), close=lambda: None)

    async def write_status(self, line):
        self.lines.append(line)


def follower(run, *, queued=0, in_flight=0, now=lambda: 0.0, **options):
    client = SimpleNamespace(stats=SimpleNamespace(queued=queued, in_flight=in_flight))
    return RunReporter(run, client, FakeOutput(), now=now, **options)


@pytest.mark.parametrize(
    ("progress", "queued", "said"),
    [
        (Progress(read=500), 0, "Reading the list: 500 rows"),
        (Progress(read=500, listening_to="a.wav"), 0, "Reading the list: 500 rows, listening to a.wav"),
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
            "0 of 10 done, 1 in flight, waiting: The API failed.",
        ),
    ],
)
async def test_how_far_it_is_and_why_it_waits(progress, queued, said):
    run = FakeRun()
    run.progress = progress
    assert follower(run, queued=queued).text() == said


async def test_the_rate_and_the_time_that_is_left():
    """Three of ten were done before; two are done in a minute."""
    now = 0.0
    run = FakeRun()
    run.progress = Progress(total=10, succeeded=3)
    following = follower(run, now=lambda: now)
    following._show()
    now, run.progress.succeeded, run.progress.finished_now = 60.0, 5, 2
    assert following.text() == "5 of 10 done, 2 a minute, 2 min left"


async def test_a_pause_is_told_once_and_only_if_it_is_worth_it():
    short, long = Paused("The API failed.", 2.0), Paused("The API failed.", 8.0)
    run = FakeRun(short, Resumed(), short, long, long, Resumed(), Resumed(), short, Finished(Report()))
    following = follower(run)
    await following.report_run()
    assert following._output.lines == ["Waiting: The API failed. It is tried again in 8 s.", "It goes on."]
    assert following.report == Report()


async def test_the_error_that_ends_a_run_is_reported_before_the_run_has_ended():
    run = FakeRun(Stopping("The key is not accepted."), is_endless=True)
    following = follower(run)
    task = asyncio.create_task(following.report_run())
    while not following._output.lines:
        await asyncio.sleep(0)
    assert following._output.lines == ["Nothing new is sent any more. The key is not accepted."]
    run.stop()
    await task


@pytest.mark.parametrize(("total", "reports_rows", "lines"), [(20, False, 3), (21, False, 0), (21, True, 3)])
async def test_rows_are_told_of_short_lists_and_when_that_is_asked_for(total, reports_rows, lines):
    voiceprint = Voiceprint("secret", "precision-2", "job-1")
    run = FakeRun(RowFailed("Eve", "No voice."), RowUncertain("Bob"), RowSucceeded("Ada", voiceprint))
    run.progress = Progress(total=total)
    following = follower(run, reports_rows=reports_rows)
    await following.report_run()
    assert len(following._output.lines) == lines
    assert "secret" not in "".join(following._output.lines)


@pytest.mark.parametrize("in_flight", [0, 3])
async def test_a_cancelled_follower_takes_the_events_to_their_end(in_flight):
    run = FakeRun(is_endless=True)
    following = follower(run, in_flight=in_flight)
    task = asyncio.create_task(following.report_run())
    while not following._output.shown:
        await asyncio.sleep(0)
    run.stop = lambda: (run.events.append(Finished(Report(rows=7))), run.stopped.set())
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()
    assert following.report == Report(rows=7)
    assert [line.split(" ")[0] for line in following._output.lines] == ["Stopping"] * bool(in_flight)


async def test_waiting_is_shown_without_events(monkeypatch):
    monkeypatch.setattr("pyannote_voiceprint_async.cli.follower._TICK", 0.001)
    run = FakeRun(is_endless=True)
    following = follower(run)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(following.report_run())
        while len(following._output.shown) < 3:
            await asyncio.sleep(0.001)
        run.stop()


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (3599, "60 min"),
        (3600, "1 h 0 min"),
        (7500, "2 h 5 min"),
        (86400, "1 day 0 h"),
        (600_000, "6 days 23 h"),
    ],
)
def test_seconds_as_people_read_them(seconds, said):
    assert format_duration(seconds) == said


def test_numbers_as_people_read_them():
    assert [format_count(number, "job") for number in range(3)] == ["0 jobs", "1 job", "2 jobs"]
    assert format_cost(200) == "about 3.00 EUR"
