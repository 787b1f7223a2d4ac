"""Lists of speakers that are cancelled while a run or a dry run reads them."""

import asyncio

import pytest
from enrollment_world import people

from pyannote_voiceprint_async import EnrollmentError
from pyannote_voiceprint_async.enrollment import Ledger, enroll
from pyannote_voiceprint_async.enrollment.options import Options
from pyannote_voiceprint_async.enrollment.run.dry_run import DryRun


def iterable(many):
    """Yield rows, then raise `CancelledError`, as a reader does whose own task was cancelled."""
    yield from people(many)
    raise asyncio.CancelledError


async def async_iterable(many):
    """Yield rows, then await a task that was cancelled."""
    for row in people(many):
        yield row
    task = asyncio.create_task(asyncio.Event().wait())
    task.cancel()
    await task


SOURCES = [iterable, async_iterable]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("many", [0, 5, 1200])
async def test_a_list_that_is_cancelled_ends_the_run_with_an_error(world, source, many):
    with pytest.raises(EnrollmentError, match="list of speakers was cancelled"):
        await world.enroll(source(many))
    assert world.events == []
    assert world.sandbox.state.total.requests == 0
    assert (await world.enroll(people(5))).succeeded == 5


@pytest.mark.parametrize("source", SOURCES)
async def test_a_list_that_is_cancelled_ends_a_dry_run_with_an_error(world, source):
    with pytest.raises(EnrollmentError, match="list of speakers was cancelled"):
        await DryRun(world.client, source(5), world.path, Options()).run()


async def test_a_run_that_is_left_while_it_reads_its_list_ends_without_an_error(world):
    is_reading = asyncio.Event()

    async def rows():
        for row in people(5):
            yield row
        is_reading.set()
        await asyncio.Event().wait()

    async with Ledger(world.path) as ledger, enroll(world.client, rows(), ledger) as run:
        first = asyncio.create_task(anext(run, None))
        await is_reading.wait()
        run.stop()
        assert await first is None
    assert world.sandbox.accepted == []


async def test_a_dry_run_that_is_cancelled_while_it_reads_its_list_is_cancelled(world):
    is_reading = asyncio.Event()

    async def rows():
        is_reading.set()
        await asyncio.Event().wait()
        yield people(1)[0]

    dry = asyncio.create_task(DryRun(world.client, rows(), world.path, Options()).run())
    await is_reading.wait()
    dry.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dry
