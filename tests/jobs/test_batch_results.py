"""Batches: every item that is read is yielded or kept, and one failed item never stops the others."""

import asyncio
import gc

import pytest
from fake_clock import settle

from pyannote_voiceprint_async import (
    AsyncVoiceprintClient,
    AuthenticationError,
    ClientClosedError,
    InvalidRequestError,
    JobFailedError,
    JobTimeoutError,
    MediaError,
    Polling,
    SubscriptionRequiredError,
    VoiceprintRequest,
)
from pyannote_voiceprint_async.sandbox import Sandbox, voiceprint_of

URL = "https://example.com/{}.wav"


def urls(count):
    return [URL.format(number) for number in range(count)]


def ids_of_jobs(jobs):
    return [job.job_id for job in jobs]


async def all_of(results):
    async with results:
        return sorted([result async for result in results], key=lambda result: result.index)


@pytest.mark.parametrize("kind", ["list", "generator", "async generator", "requests"])
async def test_every_kind_of_input(client, sandbox, kind):
    async def trickle():
        for url in urls(20):
            await asyncio.sleep(0)
            yield url

    items = {
        "list": urls(20),
        "generator": (url for url in urls(20)),
        "async generator": trickle(),
        "requests": [VoiceprintRequest(url) for url in urls(20)],
    }[kind]
    submissions = await all_of(client.submit_many(items))
    assert [submission.index for submission in submissions] == list(range(20))
    assert [submission.error for submission in submissions] == [None] * 20
    accepted = {job.id: job.url for job in sandbox.accepted}
    assert [accepted[submission.job.job_id] for submission in submissions] == urls(20)


async def test_no_items_give_no_results(client):
    assert await all_of(client.submit_many([])) == []


async def test_one_bad_item_never_stops_the_rest(client, sandbox, speech, tmp_path):
    sources = [
        speech / "june-fr.wav",
        "voice.wav",
        tmp_path / "missing.wav",
        URL.format("unreachable"),
        URL.format(1),
        7,
    ]
    results = await all_of(client.voiceprint_many(sources))
    assert [type(one.error) for one in results] == [
        type(None),
        InvalidRequestError,
        MediaError,
        JobFailedError,
        type(None),
        InvalidRequestError,
    ]
    assert results[4].voiceprint.value == voiceprint_of(URL.format(1))


async def test_results_come_as_they_finish(start, clock):
    sandbox = await start(Sandbox(job_seconds=(1.0, 30.0), seed=4, now=clock.wall, sleep=clock.sleep))
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, clock=clock))
    async with clock.running(client), client.voiceprint_many(urls(20)) as results:
        order = [result.index async for result in results]
    assert sorted(order) == list(range(20))
    assert order != sorted(order)


async def test_the_input_is_read_no_further_ahead_than_max_concurrency(start, sandbox):
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, max_concurrency=5))
    read = yielded = ahead = 0

    def items():
        nonlocal read, ahead
        for url in urls(60):
            read += 1
            ahead = max(ahead, read - yielded)
            yield url

    async with client.submit_many(items()) as submissions:
        async for _ in submissions:
            yielded += 1
            await asyncio.sleep(0.001)
    assert (yielded, ahead) == (60, 5)


async def test_an_account_error_stops_the_batch_and_is_raised_once(start):
    """Each item that was read is yielded with its job or error; then the error is raised; then the iteration ends."""
    sandbox = await start(Sandbox(rate_limit=(1000, 60.0), credit=30))
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, max_concurrency=8))
    seen = []
    async with client.submit_many(urls(1000)) as submissions:
        with pytest.raises(SubscriptionRequiredError):
            async for submission in submissions:
                seen.append(submission)
        assert [submission async for submission in submissions] == []
    jobs = [submission.job for submission in seen if submission.job]
    errors = {type(submission.error) for submission in seen if submission.error}
    assert ({job.job_id for job in jobs}, errors) == ({job.id for job in sandbox.accepted}, {SubscriptionRequiredError})
    assert (len(jobs), len(seen) <= 30 + 2 * 8) == (30, True)
    assert sorted(submission.index for submission in seen) == list(range(len(seen)))


async def test_items_in_the_wait_queue_are_not_sent_after_an_account_error(start, clock):
    """97 items wait for a permit when the error arrives."""
    sandbox = await start(Sandbox(rate_limit=(3, 60.0), credit=1, now=clock.wall, sleep=clock.sleep))
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, clock=clock))
    seen = []
    async with client.submit_many(urls(100)) as submissions:
        with pytest.raises(SubscriptionRequiredError):
            async for submission in submissions:
                seen.append(submission)
    assert (sandbox.state.operations["voiceprint"].requests <= 3, clock.time()) == (True, 0.0)
    assert len([submission for submission in seen if submission.job]) == 1


async def test_an_error_of_the_input_is_raised_after_all_results(client):
    def items():
        yield from urls(10)
        raise KeyError("row 11")

    seen = []
    async with client.submit_many(items()) as submissions:
        with pytest.raises(KeyError, match="row 11"):
            async for submission in submissions:
                seen.append(submission)
    assert [submission.error for submission in seen] == [None] * 10


async def test_closing_early_finishes_and_keeps_the_submissions_in_flight(start):
    sandbox = await start(Sandbox(rate_limit=(1000, 60.0), latency=(0.0, 0.02)))
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, max_concurrency=16))
    seen = []
    async with client.submit_many(urls(500)) as submissions:
        async for submission in submissions:
            seen.append(submission)
            if len(seen) == 20:
                break
    everything = seen + submissions.unfinished
    known = {submission.job.job_id for submission in everything if submission.job}
    assert known == {job.id for job in sandbox.accepted}
    assert sorted(submission.index for submission in everything) == list(range(len(everything)))
    assert {submission.error.retryable for submission in everything if submission.error} <= {True}
    assert sorted(ids_of_jobs(client.abandoned)) == sorted(
        submission.job.job_id for submission in submissions.unfinished if submission.job
    )


async def test_closing_early_keeps_the_ids_of_unfinished_jobs(start):
    sandbox = await start(Sandbox(rate_limit=(1000, 60.0), job_seconds=1000.0))
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url))
    async with client.voiceprint_many(urls(10)) as results:
        waiting = asyncio.ensure_future(anext(results))
        while len(sandbox.accepted) < 10:
            await asyncio.sleep(0.001)
        await settle()
    known = [await waiting, *results.unfinished]
    assert {type(one.error) for one in known} == {JobTimeoutError}
    assert {one.error.job_id for one in known} == {job.id for job in sandbox.accepted}


async def test_a_cancelled_consumer_loses_no_job(start):
    sandbox = await start(Sandbox(rate_limit=(1000, 60.0), latency=(0.0, 0.02)))
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, max_concurrency=8))
    seen, submissions = [], client.submit_many(urls(500))

    async def consume():
        async with submissions:
            async for submission in submissions:
                seen.append(submission)

    task = asyncio.create_task(consume())
    while len(seen) < 10:
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    known = {submission.job.job_id for submission in seen + submissions.unfinished if submission.job}
    assert known == {job.id for job in sandbox.accepted}


async def test_closing_the_client_closes_its_batches(start):
    sandbox = await start(Sandbox(rate_limit=(1000, 60.0), latency=0.02))
    client = AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, max_concurrency=4)
    submissions = client.submit_many(urls(100))
    first = await anext(submissions)
    await client.aclose()
    known = [first, *submissions.unfinished]
    assert {one.job.job_id for one in known if one.job} == {job.id for job in sandbox.accepted}
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == sandbox_tasks(sandbox)


def sandbox_tasks(sandbox):
    """Return the tasks of the sandbox itself: one for each open connection."""
    return [task for task in asyncio.all_tasks() if task.get_coro().__qualname__.startswith("RequestHandler")]


async def test_a_batch_of_a_closed_client_raises_an_error(start, sandbox):
    client = AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url)
    await client.aclose()
    with pytest.raises(ClientClosedError):
        await all_of(client.submit_many(urls(10)))


async def test_a_wrong_key_is_raised_after_few_requests(start, sandbox):
    client = await start(AsyncVoiceprintClient("wrong", base_url=sandbox.url, max_concurrency=8))
    with pytest.raises(AuthenticationError):
        await all_of(client.submit_many(urls(1000)))
    assert sandbox.state.operations["voiceprint"].requests <= 8


async def test_the_repr_shows_live_counts(client):
    submissions = client.submit_many(urls(3))
    assert repr(submissions) == "<Results running=0 unread=0>"
    await all_of(submissions)


async def test_more_jobs_are_awaited_than_requests_are_in_flight(start, clock):
    """Long jobs do not delay submissions: only unsent items count as read ahead."""
    sandbox = await start(Sandbox(rate_limit=(1000, 60.0), job_seconds=50.0, now=clock.wall, sleep=clock.sleep))
    client = await start(
        AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, clock=clock, max_concurrency=4, polling=Polling())
    )
    async with clock.running(client):
        results = await all_of(client.voiceprint_many(urls(40)))
    assert [one.error for one in results] == [None] * 40
    assert clock.time() < 2 * 50.0


async def test_closing_during_a_pause_sends_nothing_more(start, clock):
    """A refused submission is not in flight: the batch stops it instead of finishing it."""
    sandbox = await start(Sandbox(rate_limit=(3, 60.0), window="fixed", now=clock.wall, sleep=clock.sleep))
    other = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, clock=clock))
    for _ in range(3):
        await other.submit(URL)
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, clock=clock))
    async with client.submit_many(urls(10)) as submissions:
        first = asyncio.ensure_future(anext(submissions))
        while not client.stats.rate_limited:
            await asyncio.sleep(0)
    await asyncio.gather(first, return_exceptions=True)
    assert (len(sandbox.accepted), clock.time()) == (3, 0.0)


# Closing without `async with`


METHODS = pytest.mark.parametrize("method", ["submit_many", "voiceprint_many"])


async def until_batches_end(client):
    while client.engine._batches:
        gc.collect()
        await asyncio.sleep(0.001)


@METHODS
async def test_a_break_without_async_with_submits_nothing_more(start, method):
    """`break` drops the results: submissions in flight are finished and kept, and nothing else is sent."""
    sandbox = await start(Sandbox(rate_limit=(100_000, 1.0), latency=0.01, job_seconds=0.0))
    polling = Polling(first=0.01, longest=0.02)
    client = await start(
        AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, max_concurrency=4, polling=polling)
    )
    async for first in getattr(client, method)(urls(3000)):  # noqa: B007 - compared below
        break
    await settle()
    sent = sandbox.state.operations["voiceprint"].requests + 4
    await until_batches_end(client)
    accepted = {job.id for job in sandbox.accepted}
    assert len(accepted) <= sent
    abandoned = ids_of_jobs(client.abandoned)
    first_id = {first.job.job_id} if method == "submit_many" else accepted - set(abandoned)
    assert (set(abandoned) | first_id, len(first_id)) == (accepted, 1)
    assert len(abandoned) == len(accepted) - 1


@METHODS
async def test_garbage_collection_of_a_reference_cycle_closes_the_batch(start, method):
    sandbox = await start(Sandbox(rate_limit=(100_000, 1.0), latency=0.01, job_seconds=0.0))
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, max_concurrency=4))
    holder = {"results": getattr(client, method)(urls(3000))}
    holder["itself"] = holder
    await anext(holder["results"])
    del holder
    gc.collect()
    await until_batches_end(client)
    assert len(client.abandoned) == len(sandbox.accepted) - 1
    assert len(sandbox.accepted) < 3000


async def test_dropping_the_results_in_another_thread_closes_the_batch(start, sandbox):
    """The garbage collector runs in any thread."""
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, max_concurrency=4))
    holder = [client.submit_many(urls(3000))]
    await anext(holder[0])
    await asyncio.to_thread(holder.clear)
    await until_batches_end(client)
    assert len(client.abandoned) == len(sandbox.accepted) - 1


async def test_unread_results_are_forgotten_with_their_last_reference(client, sandbox):
    results = client.submit_many(urls(5))
    assert len(client.engine._batches) == 1
    del results
    gc.collect()
    assert (len(client.engine._batches), sandbox.accepted) == (0, [])


@METHODS
async def test_no_item_starts_while_max_concurrency_results_wait_unread(start, method):
    """A consumer that stops reading causes no further submissions."""
    sandbox = await start(Sandbox(rate_limit=(100_000, 1.0), job_seconds=0.0))
    polling = Polling(first=0.01, longest=0.02)
    client = await start(
        AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, max_concurrency=4, polling=polling)
    )
    read = []
    results = getattr(client, method)(url for url in urls(300) if not read.append(url))
    first = await anext(results)
    while results.batch.running:
        await asyncio.sleep(0.001)
    await settle()
    assert (first.error, len(results.batch.unread) >= 4) == (None, True)
    started = len(read)
    assert started <= 1 + len(results.batch.unread) + 1  # the reader may hold one more item
    await settle(500)
    assert (len(read), results.batch.running) == (started, set())
    rest = [one async for one in results]
    assert (len(rest), len(sandbox.accepted)) == (299, 300)


@pytest.mark.parametrize("cancellations", [1, 2, 3])
async def test_a_consumer_cancelled_again_during_closing_loses_no_job(start, cancellations):
    """The submissions in flight are finished, although the consumer is gone."""
    sandbox = await start(Sandbox(rate_limit=(1000, 60.0), latency=0.05))
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, max_concurrency=8))
    seen, submissions = [], client.submit_many(urls(500))

    async def consume():
        async with submissions:
            async for submission in submissions:
                seen.append(submission)

    task = asyncio.create_task(consume())
    while len(seen) < 10:
        await asyncio.sleep(0.001)
    for _ in range(cancellations):
        task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    await until_batches_end(client)
    unfinished = ids_of_jobs(one.job for one in submissions.unfinished if one.job)
    assert set(ids_of_jobs(one.job for one in seen) + unfinished) == {job.id for job in sandbox.accepted}
    assert sorted(ids_of_jobs(client.abandoned)) == sorted(unfinished)
    assert len(sandbox.accepted) <= len(seen) + 2 * 8


async def test_a_job_whose_on_submitted_failed_is_abandoned_once(start):
    """Both the failed callback and the unread result abandon it."""
    sandbox = await start(Sandbox(rate_limit=(1000, 60.0)))
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, max_concurrency=2))

    async def fail(index, job):
        raise ValueError("disk")

    async with client.voiceprint_many(urls(2), on_submitted=fail) as results:
        await anext(results)
        while results.batch.running:
            await asyncio.sleep(0.001)
    assert sorted(ids_of_jobs(client.abandoned)) == sorted(job.id for job in sandbox.accepted)
