"""Batches whose tasks, callbacks or input are cancelled: no id of an accepted job is lost, and no end is silent."""

import asyncio
import os
import signal
import threading

import pytest
from fake_clock import settle

from pyannote_voiceprint_async import AsyncVoiceprintClient, JobTimeoutError, Polling, VoiceprintError
from pyannote_voiceprint_async.jobs.batch_results import Results
from pyannote_voiceprint_async.sandbox import Sandbox

URL = "https://example.com/{}.wav"


def urls(count):
    return [URL.format(number) for number in range(count)]


def accepted_ids(sandbox):
    return sorted(job.id for job in sandbox.accepted)


def abandoned_ids(client):
    return sorted(job.job_id for job in client.abandoned)


def tasks_of_batches():
    names = {"BatchRun._read", "BatchRun._run_item"}
    return [task for task in asyncio.all_tasks() if task.get_coro().__qualname__ in names]


async def connect_to_slow_jobs(start, **settings):
    """Return a sandbox whose jobs do not finish, and its client."""
    sandbox = await start(Sandbox(rate_limit=(100_000, 1.0), job_seconds=1000.0))
    return sandbox, await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, **settings))


async def until_accepted(sandbox, count):
    while len(sandbox.accepted) < count:
        await asyncio.sleep(0.001)


# Cancelled by other code


@pytest.mark.parametrize("is_in_async_with", [True, False])
async def test_cancelling_all_tasks_keeps_every_accepted_job(start, is_in_async_with):
    """The end of `asyncio.run` cancels the consumer and all tasks of the batch at once."""
    sandbox, client = await connect_to_slow_jobs(start)
    submitted = []
    results = client.voiceprint_many(urls(5), on_submitted=lambda index, job: submitted.append(job.job_id))

    async def consume():
        if is_in_async_with:
            async with results:
                await anext(results)
        else:
            await anext(results)

    consumer = asyncio.create_task(consume())
    while len(submitted) < 5:
        await asyncio.sleep(0.001)
    tasks = [consumer, *tasks_of_batches()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await settle()
    assert sorted(one.error.job_id for one in results.unfinished) == accepted_ids(sandbox)
    assert {type(one.error) for one in results.unfinished} == {JobTimeoutError}
    assert (len(submitted), abandoned_ids(client), tasks_of_batches()) == (5, accepted_ids(sandbox), [])


def test_ctrl_c_without_async_with_keeps_every_accepted_job():
    """A real SIGINT in a real `asyncio.run`, and nothing closes the batch or the client."""
    kept = {}

    async def main():
        async with Sandbox(rate_limit=(100_000, 1.0), job_seconds=1000.0) as sandbox:
            client = AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url)

            def interrupt_at_last(index, job):
                kept.setdefault("ids", []).append(job.job_id)
                if len(kept["ids"]) == 5:
                    os.kill(os.getpid(), signal.SIGINT)

            results = client.voiceprint_many(urls(5), on_submitted=interrupt_at_last)
            kept.update(client=client, results=results, sandbox=sandbox)
            async for _ in results:
                pass

    assert threading.current_thread() is threading.main_thread()
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    accepted = accepted_ids(kept["sandbox"])
    assert (len(accepted), abandoned_ids(kept["client"])) == (5, accepted)
    assert sorted(one.error.job_id for one in kept["results"].unfinished) == accepted
    asyncio.run(kept["client"].aclose())


async def test_unread_results_are_kept_when_all_tasks_are_cancelled(start):
    """The consumer holds the last result that was yielded; the others of the batch were not read by then."""
    sandbox = await start(Sandbox(rate_limit=(100_000, 1.0), job_seconds=0.0))
    polling = Polling(first=0.01, longest=0.02)
    client = await start(
        AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, max_concurrency=4, polling=polling)
    )
    results = client.voiceprint_many(urls(100))
    first = await anext(results)
    while len(results.batch.unread) < 4:
        await asyncio.sleep(0.001)
    tasks = tasks_of_batches()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await settle()
    assert sorted([first.voiceprint.job_id, *abandoned_ids(client)]) == accepted_ids(sandbox)
    assert results.batch.unread == type(results.batch.unread)()
    with pytest.raises(VoiceprintError, match="closed, because other code cancelled"):
        await anext(results)
    with pytest.raises(StopAsyncIteration):
        await anext(results)


@pytest.mark.parametrize("name", ["BatchRun._read", "BatchRun._run_item"])
@pytest.mark.parametrize("steps", range(4))
async def test_a_task_cancelled_at_any_step_loses_no_item(name, steps):
    """Also before its first step: each item is yielded or kept, and the end is not silent."""
    read = []

    async def process(item):
        await asyncio.sleep(0)
        await item.before_send()
        await asyncio.sleep(0)

    items = (number for number in range(20) if not read.append(number))
    results = Results(items, process, lambda index, *_: index, read_ahead=4, max_in_progress=7)
    seen = []

    async def consume():
        async for index in results:
            seen.append(index)

    consumer = asyncio.create_task(consume())
    await settle(1)
    while not (tasks := [task for task in tasks_of_batches() if task.get_coro().__qualname__ == name]):
        await asyncio.sleep(0)
    await settle(steps)
    for task in tasks:
        task.cancel()
    done = await asyncio.gather(consumer, return_exceptions=True)
    was_cancelled = any(task.cancelled() for task in tasks)
    assert sorted(seen + results.unfinished) == read
    assert type(done[0]) is (VoiceprintError if was_cancelled else type(None))
    assert tasks_of_batches() == []


async def test_an_item_cancelled_while_its_submission_is_in_flight_has_an_unknown_outcome(start):
    """Its job is kept in `client.abandoned` when the response arrives."""
    may_respond = asyncio.Event()

    async def sleep_after_acceptance(seconds):
        if sandbox.accepted:
            await may_respond.wait()

    sandbox = await start(Sandbox(rate_limit=(100_000, 1.0), latency=0.05, sleep=sleep_after_acceptance))
    client = AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url)
    results = client.submit_many(urls(1))
    consumer = asyncio.ensure_future(anext(results))
    await until_accepted(sandbox, 1)
    for task in [consumer, *tasks_of_batches()]:
        task.cancel()
    await asyncio.gather(consumer, return_exceptions=True)
    may_respond.set()
    await results.aclose()
    await client.aclose()
    flags = [(one.job, one.error.outcome_unknown, one.error.retryable) for one in results.unfinished]
    assert (flags, len(sandbox.accepted)) == ([(None, True, False)], 1)
    assert abandoned_ids(client) == accepted_ids(sandbox)


# Cancelled by the program's own code


async def raise_cancelled():
    raise asyncio.CancelledError


async def await_a_cancelled_task():
    task = asyncio.create_task(asyncio.Event().wait())
    task.cancel()
    await task


OWN_CANCELLATIONS = pytest.mark.parametrize("cancel", [raise_cancelled, await_a_cancelled_task])


@OWN_CANCELLATIONS
async def test_a_cancellation_inside_on_submitted_fails_only_its_item(client, sandbox, cancel):
    async def on_submitted(index, job):
        if index != 1:
            await cancel()

    async with client.voiceprint_many(urls(3), on_submitted=on_submitted) as results:
        seen = sorted([one async for one in results], key=lambda one: one.index)
    ids = {job.url: job.id for job in sandbox.accepted}
    failed = [ids[URL.format(0)], ids[URL.format(2)]]
    assert [type(one.error) for one in seen] == [JobTimeoutError, type(None), JobTimeoutError]
    assert [one.error.job_id for one in seen if one.error] == failed
    assert (abandoned_ids(client), results.unfinished) == (sorted(failed), [])


@pytest.mark.parametrize("error", [GeneratorExit, type("Interruption", (BaseException,), {})])
async def test_an_on_submitted_that_raises_no_exception_loses_no_job(start, error):
    """Such an item never ended: the consumer waited for ever."""
    sandbox, client = await connect_to_slow_jobs(start)

    def on_submitted(index, job):
        raise error

    results, seen = client.voiceprint_many(urls(3), on_submitted=on_submitted), []
    with pytest.raises(VoiceprintError, match="closed, because"):
        async with asyncio.timeout(60):
            async for one in results:
                seen.append(one)
    known = [one.error.job_id for one in seen + results.unfinished if one.error.job_id]
    assert sorted(known) == accepted_ids(sandbox)
    assert [one.index for one in sorted(seen + results.unfinished, key=lambda one: one.index)] == [0, 1, 2]


@OWN_CANCELLATIONS
@pytest.mark.parametrize("kind", ["generator", "async generator", "iterator"])
async def test_an_input_that_is_cancelled_ends_the_iteration_with_an_error(client, sandbox, cancel, kind):
    """All results of what was sent come first. A silent end would pass for the end of the list."""

    def generator():
        yield from urls(3)
        raise asyncio.CancelledError

    async def async_generator():
        for url in urls(3):
            yield url
        await cancel()

    class Iterator:
        def __init__(self):
            self.urls = iter(urls(3))

        def __aiter__(self):
            return self

        async def __anext__(self):
            for url in self.urls:
                return url
            return await cancel()

    items = {"generator": generator, "async generator": async_generator, "iterator": Iterator}[kind]()
    seen = []
    async with client.submit_many(items) as submissions:
        with pytest.raises(VoiceprintError, match="input of the batch was cancelled"):
            async for submission in submissions:
                seen.append(submission.job.job_id)
        assert [one async for one in submissions] == []
    assert (sorted(seen), len(seen)) == (accepted_ids(sandbox), 3)


async def test_an_input_that_raises_no_exception_ends_the_iteration_with_an_error(client):
    def items():
        yield from urls(2)
        raise GeneratorExit

    seen = []
    with pytest.raises(VoiceprintError, match="GeneratorExit"):
        async for submission in client.submit_many(items()):
            seen.append(submission.index)
    assert sorted(seen) == [0, 1]


# The end of the input


async def test_closing_early_closes_an_async_generator_before_it_returns(start, sandbox):
    """Otherwise the garbage collector and the end of the event loop would both close the generator, at once."""
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, max_concurrency=2))
    closed = []

    async def trickle():
        try:
            for url in urls(100):
                yield url
        finally:
            await asyncio.sleep(0)
            closed.append(True)

    items = trickle()
    async with client.submit_many(items) as submissions:
        await anext(submissions)
        assert closed == []
    assert closed == [True]
    with pytest.raises(StopAsyncIteration):
        await anext(items)
