"""Closing a batch or its client from inside the batch: it ends, without waiting for itself."""

import asyncio
import gc
import weakref

import pytest
from fake_clock import settle

from pyannote_voiceprint_async import AsyncVoiceprintClient, ClientClosedError
from pyannote_voiceprint_async.jobs.batch_results import Results
from pyannote_voiceprint_async.jobs.batch_scope import BatchScope, is_inside_batch, may_wait_for
from pyannote_voiceprint_async.sandbox import Sandbox

URL = "https://example.com/{}.wav"


def urls(count):
    return [URL.format(number) for number in range(count)]


async def directly(close):
    await close()


async def in_a_task(close):
    await asyncio.create_task(close())


async def with_a_timeout(close):
    await asyncio.wait_for(close(), 60)


async def twice(close):
    await asyncio.gather(close(), close())


WAYS = pytest.mark.parametrize("way", [directly, in_a_task, with_a_timeout, twice])


async def consume(results):
    """Return what was yielded, whether or not the client was closed meanwhile."""
    seen = []
    try:
        async with asyncio.timeout(60), results:
            async for result in results:
                seen.append(result)
    except ClientClosedError:
        pass
    return seen


def ids_of(results):
    jobs = [getattr(one, "job", None) for one in results]
    return [job.job_id for job in jobs if job] + [one.error.job_id for one in results if one.error and one.error.job_id]


@WAYS
@pytest.mark.parametrize("closed", ["client", "results"])
@pytest.mark.parametrize("method", ["submit_many", "voiceprint_many"])
async def test_closing_from_the_input_ends_the_batch(start, sandbox, method, closed, way):
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url))

    async def items():
        yield URL.format(1)
        await way(client.aclose if closed == "client" else results.aclose)
        yield URL.format(2)

    results = getattr(client, method)(items())
    everything = await consume(results) + results.unfinished
    assert sorted(one.index for one in everything) in ([0], [0, 1])
    assert (results.batch.running, client.engine.is_closed) == (set(), closed == "client")


@WAYS
@pytest.mark.parametrize("closed", ["client", "results"])
async def test_closing_from_on_submitted_ends_the_batch_and_loses_no_job(start, closed, way):
    sandbox = await start(Sandbox(rate_limit=(100_000, 1.0), latency=(0.0, 0.01), job_seconds=1000.0))
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url))

    async def on_submitted(index, job):
        await way(client.aclose if closed == "client" else results.aclose)

    results = client.voiceprint_many(urls(5), on_submitted=on_submitted)
    seen = await consume(results)
    everything = sorted(seen + results.unfinished, key=lambda one: one.index)
    assert [one.index for one in everything] == [0, 1, 2, 3, 4]
    accepted = {job.id for job in sandbox.accepted}
    assert set(ids_of(everything)) == accepted
    assert {job.job_id for job in client.abandoned} >= set(ids_of(results.unfinished))
    assert len(accepted) >= 1


async def test_after_closing_inside_closing_outside_waits_for_the_end(start, sandbox):
    client = AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url)
    inside = asyncio.Event()

    async def on_submitted(index, job):
        await client.aclose()
        inside.set()

    results = client.voiceprint_many(urls(3), on_submitted=on_submitted)
    consumer = asyncio.create_task(consume(results))
    await inside.wait()
    await client.aclose()
    assert (client.engine.has_open_connections, results.batch.running) == (False, set())
    await consumer


@pytest.mark.parametrize("is_in_finally", [False, True])
@pytest.mark.parametrize("closed", ["client", "results"])
async def test_two_batches_that_close_each_other_end(start, sandbox, closed, is_in_finally):
    clients = [await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url)) for _ in range(2)]
    both = asyncio.Barrier(2)
    results = []

    def closing(other):
        async def on_submitted(index, job):
            try:
                await both.wait()
            finally:
                if is_in_finally:
                    await asyncio.sleep(0)
                await (clients[other] if closed == "client" else results[other]).aclose()

        return on_submitted

    results += [clients[one].voiceprint_many(urls(1), on_submitted=closing(1 - one)) for one in range(2)]
    await asyncio.gather(*map(consume, results))
    assert [one.batch.running for one in results] == [set(), set()]


async def test_a_batch_inside_another_waits_for_its_own_submissions(start):
    """An input that leaves a batch of its own early finds all of that batch's jobs."""
    sandbox = await start(Sandbox(rate_limit=(100_000, 1.0), latency=(0.0, 0.02)))
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, max_concurrency=8))
    found = []

    async def items():
        async with client.submit_many(urls(100)) as inner:
            found.append(await anext(inner))
        found.extend(inner.unfinished)
        found.append(inner.batch.running)
        yield URL.format("last")

    async with client.submit_many(items()) as outer:
        last = [one async for one in outer]
    running = found.pop()
    assert (running, sorted(ids_of([*found, *last]))) == (set(), sorted(job.id for job in sandbox.accepted))


async def test_code_outside_of_a_batch_may_wait():
    scope = BatchScope()
    assert (is_inside_batch(), may_wait_for(scope)) == (False, True)


async def test_a_task_that_outlives_its_batch_may_wait():
    """A program may start a task in a callback that closes the client much later."""
    scope, other = BatchScope(), BatchScope()
    seen = []

    async def inside():
        scope.enter()
        seen.append((is_inside_batch(), may_wait_for(scope), may_wait_for(other)))
        scope.is_closed = True
        seen.append((is_inside_batch(), may_wait_for(scope), may_wait_for(other)))
        scope.is_done = True
        seen.append((is_inside_batch(), may_wait_for(scope), may_wait_for(other)))

    await asyncio.create_task(inside())
    assert seen == [(True, False, True), (True, False, False), (False, True, True)]


async def test_a_context_does_not_keep_the_input_alive():
    """Connections keep the context in which they were opened alive."""

    class Items(list):
        pass

    contexts = []

    async def process(item):
        contexts.append(asyncio.create_task(asyncio.Event().wait()))

    items = Items([1])
    reference = weakref.ref(items)
    results = Results(items, process, lambda index, *_: index, read_ahead=2, max_in_progress=2)
    assert [index async for index in results] == [0]
    del items, results
    await settle()
    gc.collect()
    assert reference() is None
    for task in contexts:
        task.cancel()
