"""The work behind a batch, without a client."""

import asyncio
import gc

import pytest
from fake_clock import settle

from pyannote_voiceprint_async import AuthenticationError, JobCreated, JobStatus, VoiceprintError
from pyannote_voiceprint_async.jobs.batch_results import Results


async def test_an_item_cancelled_before_its_first_step_is_finished():
    """Its task never runs: the batch must not wait for it for ever."""

    async def process(item):
        for _ in range(5 if item.index == 0 else 6):
            await asyncio.sleep(0)
        if item.index:
            raise AuthenticationError("no")

    results = Results(
        range(100), process, lambda index, item, value, error: (index, error), read_ahead=2, max_in_progress=2
    )
    seen = []
    with pytest.raises(AuthenticationError):
        async for result in results:
            seen.append(result)
    assert [index for index, _ in seen] == list(range(len(seen)))


@pytest.mark.parametrize("steps", range(0, 40, 3))
async def test_closing_at_any_moment_accounts_for_every_item(steps):
    """Each item that was read is either yielded or unfinished, exactly once, and no task is left."""
    read = []

    def items():
        for number in range(100):
            read.append(number)
            yield number

    async def process(item):
        await item.before_send() if item.index % 3 else None
        await asyncio.sleep(0)
        if item.index % 5 == 0:
            raise VoiceprintError("bad item")
        await asyncio.sleep(0)

    results = Results(items(), process, lambda index, *_: index, read_ahead=4, max_in_progress=7)
    before = asyncio.all_tasks()

    async def consume():
        return [index async for index in results]

    task = asyncio.create_task(consume())
    await settle(steps)
    await results.aclose()
    seen = await task
    assert sorted(seen + results.unfinished) == read
    assert asyncio.all_tasks() == before


def test_results_may_be_dropped_after_their_event_loop_is_closed():
    """Nothing is left to close, and no event loop to close it in."""

    async def process(item):
        await asyncio.sleep(0)

    async def begin():
        results = Results(range(3), process, lambda index, *_: index, read_ahead=2, max_in_progress=2)
        await anext(results)
        return results

    results = asyncio.run(begin())
    del results
    gc.collect()


async def test_items_that_are_accepted_at_once_start_no_faster_than_results_are_read():
    """The bound on unread results also holds where far more items may be in progress."""
    read = []

    async def process(item):
        await item.before_send()
        item.record_job(JobCreated("job", JobStatus.CREATED))

    items = (number for number in range(1000) if not read.append(number))
    results = Results(items, process, lambda index, *_: index, read_ahead=4, max_in_progress=500)
    for taken in range(1, 20):
        await anext(results)
        await settle(200)
        assert len(read) <= taken + 2 * 4
    await results.aclose()


async def test_a_rejected_account_stops_no_item_whose_job_is_accepted():
    """The job is paid, and its result can still be read."""
    may_finish = asyncio.Event()

    async def process(item):
        await item.before_send()
        if item.index:
            raise AuthenticationError("no")
        item.record_job(JobCreated("job-0"))
        await may_finish.wait()
        return "finished"

    results = Results(
        range(100), process, lambda index, item, value, error: (index, value), read_ahead=2, max_in_progress=10
    )
    seen = {}
    with pytest.raises(AuthenticationError):
        async for index, value in results:
            seen[index] = value
            may_finish.set()
    assert seen[0] == "finished"
