import asyncio
import random

import pytest

from pyannote_voiceprint_async.sandbox.scheduler import Scheduler


class Log:
    """Records when each action started. An action ends when its event is set, or at once without an event."""

    def __init__(self, clock) -> None:
        self.clock = clock
        self.start = clock.moment
        self.lines = []

    def action(self, name, end: asyncio.Event | None = None):
        async def act():
            self.lines.append((self.clock.moment - self.start, name))
            if end is not None:
                await end.wait()

        return act


@pytest.fixture
def log(clock):
    return Log(clock)


@pytest.fixture
async def scheduler(clock):
    scheduler = Scheduler(clock.now, clock.sleep, max_running=2)
    yield scheduler
    await scheduler.close()


async def run_ready_tasks():
    for _ in range(10):
        await asyncio.sleep(0)


async def test_an_action_that_is_due_starts_without_a_sleep(scheduler, log, clock):
    scheduler.add(log.start, log.action("now"))
    await run_ready_tasks()
    assert (log.lines, clock.slept) == ([(0.0, "now")], [])


async def test_actions_start_at_their_times(scheduler, log, clock):
    """The order in which they were added decides only between actions of the same time."""
    for at, name in [(30.0, "c"), (10.0, "a"), (20.0, "b1"), (20.0, "b2")]:
        scheduler.add(log.start + at, log.action(name))
    for _ in range(3):
        await clock.wait_for_sleepers(1)
        await clock.advance(10.0)
        await run_ready_tasks()
    assert log.lines == [(10.0, "a"), (20.0, "b1"), (20.0, "b2"), (30.0, "c")]


async def test_one_sleep_serves_thousands_of_actions(scheduler, log, clock):
    """Actions are added in random order, and there is never more than one sleep at a time."""
    delays = [float(1 + index) for index in range(2000)]
    random.Random(0).shuffle(delays)
    for delay in delays:
        scheduler.add(log.start + delay, log.action(delay))
        await asyncio.sleep(0)
    await run_ready_tasks()
    assert (clock.sleepers, log.lines) == (1, [])
    assert len(clock.slept) < 20  # one sleep for each action that was earlier than all others


async def test_no_more_than_max_running_actions_run_at_once(scheduler, log, clock):
    """An action that is due starts when another one ends."""
    ends = [asyncio.Event() for _ in range(3)]
    for name, end in enumerate(ends):
        scheduler.add(log.start, log.action(name, end))
    await run_ready_tasks()
    before = list(log.lines)
    await clock.advance(5.0)
    ends[1].set()
    await run_ready_tasks()
    assert (before, log.lines) == ([(0.0, 0), (0.0, 1)], [(0.0, 0), (0.0, 1), (5.0, 2)])


async def test_an_action_that_becomes_due_without_room_starts_later(scheduler, log, clock):
    ends = [asyncio.Event() for _ in range(2)]
    scheduler.add(log.start + 10.0, log.action("later"))
    for name, end in enumerate(ends):
        scheduler.add(log.start, log.action(name, end))
    await clock.wait_for_sleepers(1)
    await clock.advance(10.0)
    await run_ready_tasks()
    assert [name for _, name in log.lines] == [0, 1]
    ends[0].set()
    await run_ready_tasks()
    assert log.lines[-1] == (10.0, "later")


async def test_closing_cancels_running_and_scheduled_actions(scheduler, log, clock):
    tasks = asyncio.all_tasks()
    scheduler.add(log.start, log.action("hangs", asyncio.Event()))
    scheduler.add(log.start + 20.0, log.action("later"))
    scheduler.add(log.start + 10.0, log.action("sooner"))
    await clock.wait_for_sleepers(1)
    await scheduler.close()
    assert (asyncio.all_tasks(), clock.sleepers) == (tasks, 0)
    assert log.lines == [(0.0, "hangs")]


async def test_a_closed_scheduler_can_be_used_again(scheduler, log, clock):
    scheduler.add(log.start + 10.0, log.action("never"))
    await clock.wait_for_sleepers(1)
    await scheduler.close()
    scheduler.add(log.start + 20.0, log.action("again"))
    await clock.wait_for_sleepers(1)
    await clock.advance(20.0)
    await run_ready_tasks()
    assert log.lines == [(20.0, "again")]
