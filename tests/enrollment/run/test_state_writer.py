"""The state of a run in its ledger stays up to date while the run only waits."""

import asyncio

import pytest

from pyannote_voiceprint_async.enrollment import Progress
from pyannote_voiceprint_async.enrollment.run import state_writer
from pyannote_voiceprint_async.enrollment.run.state_writer import StateWriter


class FakeLedger:
    """Keeps the states that were written."""

    is_open = True

    def __init__(self) -> None:
        self.states = []
        self.written = asyncio.Event()

    def write_run_state(self, state) -> None:
        self.states.append(state)
        self.written.set()

    async def wait(self):
        """Return the next state."""
        await asyncio.wait_for(self.written.wait(), 30)
        self.written.clear()
        return self.states[-1]


@pytest.fixture
async def ledger(monkeypatch):
    monkeypatch.setattr(state_writer, "_INTERVAL", 0.001)
    return FakeLedger()


async def test_a_pause_that_the_api_requested_is_written_although_the_run_writes_nothing_else(ledger, clock):
    progress = Progress(total=3)
    writer = StateWriter(ledger, clock, lambda: progress)
    writer.start()
    writer.write()
    assert (await ledger.wait()).paused_for is None
    progress.paused_for, progress.pause_seconds = "The rate limit is exhausted.", 40.0
    state = await ledger.wait()
    assert (state.paused_for, state.next_attempt_at) == ("The rate limit is exhausted.", clock.wall() + 40.0)
    progress.paused_for, progress.pause_seconds = None, 0.0
    assert (await ledger.wait()).paused_for is None
    writer.end(None)
    assert len(ledger.states) == 4
    assert ledger.states[-1].ended_at == clock.wall()


async def test_the_rate_and_the_time_left_are_at_most_ten_seconds_old(ledger, clock):
    progress = Progress(total=3)
    writer = StateWriter(ledger, clock, lambda: progress)
    writer.start()
    writer.write()
    await ledger.wait()
    progress.rows_per_minute, progress.seconds_left = 12.0, 300.0
    clock.jump(10.0)
    state = await ledger.wait()
    assert (state.rows_per_minute, state.ends_at) == (12.0, clock.wall() + 300.0)
    writer.end(None)


async def test_nothing_is_written_before_the_ledger_belongs_to_the_run(ledger, clock):
    writer = StateWriter(ledger, clock, lambda: Progress(paused_for="The API failed."))
    writer.start()
    for _ in range(5):
        await asyncio.sleep(0.002)
    writer.end(None)
    assert ledger.states == []
