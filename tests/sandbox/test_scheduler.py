import asyncio
import random

import pytest

from pyannote_voiceprint_async.sandbox.scheduler import Scheduler


class Log:
    """Notes what was started when; an action ends when its event is set, or at once without one."""

    def __init__(self, time) -> None:
        self.time = time
        self.start = time.moment
        self.lines = []

    def action(self, name, end: asyncio.Event | None = None):
        async def act():
            self.lines.append((self.time.moment - self.start, name))
            if end is not None:
                await end.wait()

        return act


@pytest.fixture
def log(time):
    return Log(time)


@pytest.fixture
async def agenda(time):
    agenda = Scheduler(time.now, time.sleep, most=2)
    yield agenda
    await agenda.close()


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


async def test_what_is_due_starts_without_a_sleep(agenda, log, time):
    agenda.add(log.start, log.action("now"))
    await settle()
    assert (log.lines, time.slept) == ([(0.0, "now")], [])


async def test_actions_start_at_their_times_in_their_order(agenda, log, time):
    """Whatever the order in which they were noted; those of one time keep it."""
    for at, name in [(30.0, "c"), (10.0, "a"), (20.0, "b1"), (20.0, "b2")]:
        agenda.add(log.start + at, log.action(name))
    for _ in range(3):
        await time.until_sleepers(1)
        await time.advance(10.0)
        await settle()
    assert log.lines == [(10.0, "a"), (20.0, "b1"), (20.0, "b2"), (30.0, "c")]


async def test_one_sleep_serves_thousands(agenda, log, time):
    """The times come in any order: at no moment is more than one sleep under way."""
    delays = [float(1 + index) for index in range(2000)]
    random.Random(0).shuffle(delays)
    for delay in delays:
        agenda.add(log.start + delay, log.action(delay))
        await asyncio.sleep(0)
    await settle()
    assert (time.sleepers, log.lines) == (1, [])
    assert len(time.slept) < 20  # as often as a new minimum came


async def test_no_more_than_so_many_are_under_way(agenda, log, time):
    """The next one starts when one ends, though its time has come long before."""
    ends = [asyncio.Event() for _ in range(3)]
    for name, end in enumerate(ends):
        agenda.add(log.start, log.action(name, end))
    await settle()
    before = list(log.lines)
    await time.advance(5.0)
    ends[1].set()
    await settle()
    assert (before, log.lines) == ([(0.0, 0), (0.0, 1)], [(0.0, 0), (0.0, 1), (5.0, 2)])


async def test_a_sleep_that_ends_without_room_is_not_forgotten(agenda, log, time):
    ends = [asyncio.Event() for _ in range(2)]
    agenda.add(log.start + 10.0, log.action("later"))
    for name, end in enumerate(ends):
        agenda.add(log.start, log.action(name, end))
    await time.until_sleepers(1)
    await time.advance(10.0)
    await settle()
    assert [name for _, name in log.lines] == [0, 1]
    ends[0].set()
    await settle()
    assert log.lines[-1] == (10.0, "later")


async def test_closing_ends_everything(agenda, log, time):
    tasks = asyncio.all_tasks()
    agenda.add(log.start, log.action("hangs", asyncio.Event()))
    agenda.add(log.start + 20.0, log.action("later"))
    agenda.add(log.start + 10.0, log.action("sooner"))
    await time.until_sleepers(1)
    await agenda.close()
    assert (asyncio.all_tasks(), time.sleepers) == (tasks, 0)
    assert log.lines == [(0.0, "hangs")]


async def test_an_agenda_that_was_closed_starts_anew(agenda, log, time):
    agenda.add(log.start + 10.0, log.action("never"))
    await time.until_sleepers(1)
    await agenda.close()
    agenda.add(log.start + 20.0, log.action("again"))
    await time.until_sleepers(1)
    await time.advance(20.0)
    await settle()
    assert log.lines == [(20.0, "again")]
