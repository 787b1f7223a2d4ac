"""The pipeline: what is sent, when, how often, and what a cancelled caller leaves behind."""

import asyncio
import gc
import logging
import threading
from collections import Counter

import pytest
from fake_clock import settle

from pyannote_voiceprint_async import (
    ApiConnectionError,
    ApiTimeoutError,
    AsyncVoiceprintClient,
    ClientClosedError,
    QueueTooLongError,
    RateLimit,
    RateLimiter,
    RateLimitError,
    RateLimits,
    RetryPolicy,
    ServerError,
    Timeouts,
    UnexpectedResponseError,
    VoiceprintError,
)
from pyannote_voiceprint_async.sandbox import Sandbox
from pyannote_voiceprint_async.transport.request import SubmissionHooks

URL = "https://example.com/voice.wav"
QUICK = RetryPolicy(base=0.001, cap=0.002)


@pytest.fixture
async def limited(start, clock):
    """A sandbox with three submissions a minute, on the fake clock."""
    return await start(Sandbox(rate_limit=(3, 60.0), job_seconds=0.0, now=clock.wall, sleep=clock.sleep))


def submissions(sandbox: Sandbox) -> int:
    """Return the number of submissions that the sandbox has received."""
    return sandbox.state.operations["voiceprint"].requests


async def assert_idle(client: AsyncVoiceprintClient) -> None:
    """Wait for the submissions in the background, and check that nothing is in flight or waiting."""
    while client.engine._pipeline._submissions.tasks:
        await asyncio.sleep(0)
    await settle()
    assert (client.stats.in_flight, client.stats.queued, len(client.engine._waiters)) == (0, 0, 0)


@pytest.mark.parametrize(
    ("fault", "error", "retries", "unknown"),
    [
        ("rate-limited", None, 0, None),
        ("unavailable", None, 1, None),
        ("server-error", ServerError, 0, True),
        ("bad-gateway", ServerError, 0, True),
        ("drop-before-read", ApiConnectionError, 0, True),
        ("drop-after-accept", ApiConnectionError, 0, True),
        ("accept-late", ApiConnectionError, 0, True),
    ],
)
async def test_a_submission_is_only_retried_when_the_server_requested_that(
    start, sandbox, clock, fault, error, retries, unknown
):
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, clock=clock, retry=QUICK))
    sandbox.fail_next(fault, operation="voiceprint")
    async with clock.running(client):
        try:
            await client.submit(URL)
        except VoiceprintError as exc:
            outcome = (type(exc), exc.outcome_unknown, exc.retryable)
        else:
            outcome = (None, None, None)
    assert outcome == (error, unknown, None if error is None else False)
    assert client.stats.retries == retries


@pytest.mark.parametrize("fault", ["server-error", "bad-gateway", "drop-before-read", "unavailable"])
async def test_a_read_is_retried_after_every_fault(start, sandbox, clock, fault):
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, clock=clock, retry=QUICK))
    job = await client.submit(URL)
    sandbox.fail_next(fault, operation="job")
    async with clock.running(client):
        assert (await client.get_job(job.job_id)).job_id == job.job_id


async def test_a_response_cut_within_the_job_id_leaves_the_outcome_unknown(client, sandbox):
    sandbox.fail_next("truncated-json", operation="voiceprint")
    with pytest.raises(UnexpectedResponseError) as cut:
        await client.submit(URL)
    assert (cut.value.outcome_unknown, len(sandbox.accepted), submissions(sandbox)) == (True, 1, 1)


async def test_an_unknown_outcome_is_replayed_only_with_replay_unknown(start, sandbox):
    client = await start(
        AsyncVoiceprintClient(
            sandbox.api_key, base_url=sandbox.url, retry=RetryPolicy(base=0.001, cap=0.002, replay_unknown=True)
        )
    )
    sandbox.fail_next("drop-after-accept", operation="voiceprint")
    await client.submit(URL)
    assert len(sandbox.accepted) == 2


async def test_a_429_does_not_count_as_a_try(start, clock, limited):
    """Another program has used up the limit, and this client waits for the next window."""
    other = await start(AsyncVoiceprintClient(limited.api_key, base_url=limited.url, clock=clock))
    client = await start(
        AsyncVoiceprintClient(limited.api_key, base_url=limited.url, clock=clock, retry=RetryPolicy(max_tries=1))
    )
    for _ in range(3):
        await other.submit(URL)
    async with clock.running(client):
        await client.submit(URL)
    assert (client.stats.rate_limited, client.stats.retries, len(limited.accepted)) == (1, 0, 4)


async def test_a_client_alone_on_its_key_gets_no_429(start, clock, limited):
    client = await start(AsyncVoiceprintClient(limited.api_key, base_url=limited.url, clock=clock))
    async with clock.running(client):
        await asyncio.gather(*(client.submit(URL) for _ in range(10)))
    assert (client.stats.rate_limited, len(limited.accepted)) == (0, 10)


async def test_a_restarted_program_does_not_exceed_the_limit(start, clock, limited):
    """The first response shows how many requests the previous program has made."""
    before = await start(AsyncVoiceprintClient(limited.api_key, base_url=limited.url, clock=clock))
    await asyncio.gather(before.submit(URL), before.submit(URL))
    after = await start(AsyncVoiceprintClient(limited.api_key, base_url=limited.url, clock=clock))
    async with clock.running(after):
        await asyncio.gather(*(after.submit(URL) for _ in range(5)))
    assert (after.stats.rate_limited, len(limited.accepted)) == (0, 7)


async def test_clients_of_one_key_can_share_a_rate_limiter(start, clock, limited):
    settings = {"base_url": limited.url, "clock": clock, "rate_limiter": RateLimiter(max_concurrency=2)}
    clients = [await start(AsyncVoiceprintClient(limited.api_key, **settings)) for _ in range(2)]
    async with clock.running(*clients):
        await asyncio.gather(*(clients[i % 2].submit(URL) for i in range(10)))
    assert [client.stats.rate_limited for client in clients] == [0, 0]
    assert limited.state.operations["voiceprint"].highest_in_flight <= 2


async def test_a_wait_above_max_retry_after_is_raised_to_the_whole_queue(start, clock, limited):
    other = await start(AsyncVoiceprintClient(limited.api_key, base_url=limited.url, clock=clock))
    for _ in range(3):
        await other.submit(URL)
    client = await start(
        AsyncVoiceprintClient(
            limited.api_key, base_url=limited.url, clock=clock, retry=RetryPolicy(max_retry_after=5.0)
        )
    )
    errors = await asyncio.gather(*(client.submit(URL) for _ in range(4)), return_exceptions=True)
    assert [type(error) for error in errors] == [RateLimitError] * 4
    with pytest.raises(RateLimitError) as later:
        await client.submit(URL)
    assert later.value.retry_after == pytest.approx(60.0, abs=1.0)
    assert submissions(limited) == 4
    await assert_idle(client)


async def test_a_queue_that_is_too_long_is_refused_at_once(start, clock, limited):
    client = await start(AsyncVoiceprintClient(limited.api_key, base_url=limited.url, clock=clock, max_queue_wait=30.0))
    for _ in range(3):
        await client.submit(URL)
    with pytest.raises(QueueTooLongError) as refused:
        await client.submit(URL)
    assert refused.value.expected_wait == pytest.approx(60.0, abs=1.0)
    await clock.advance(40.0)
    async with clock.running(client):
        await client.submit(URL)
    assert len(limited.accepted) == 4


async def test_a_deadline_ends_the_wait_for_a_permit_but_never_a_submission(start, clock, limited):
    client = await start(AsyncVoiceprintClient(limited.api_key, base_url=limited.url, clock=clock))
    for _ in range(3):
        await client.submit(URL)
    async with clock.running(client):
        with pytest.raises(ApiTimeoutError) as late:
            await client.voiceprint(URL, timeout=10.0)
    assert (late.value.retryable, late.value.outcome_unknown) == (True, False)
    assert len(limited.accepted) == 3
    await assert_idle(client)


async def test_before_send_is_awaited_with_permit_and_slot_before_the_first_byte(start, clock, limited):
    client = await start(AsyncVoiceprintClient(limited.api_key, base_url=limited.url, clock=clock))
    seen = []

    async def before_send():
        seen.append((submissions(limited), client.stats.in_flight))

    for _ in range(2):
        await client.engine.submit(_request(), hooks=SubmissionHooks(before_send, lambda: None))
    assert seen == [(0, 1), (1, 1)]


async def test_an_error_of_before_send_sends_nothing_and_leaks_nothing(start, clock, limited):
    client = await start(AsyncVoiceprintClient(limited.api_key, base_url=limited.url, clock=clock))

    async def before_send():
        raise OSError("disk full")

    for _ in range(5):
        with pytest.raises(OSError, match="disk full"):
            await client.engine.submit(_request(), hooks=SubmissionHooks(before_send, lambda: None))
    assert submissions(limited) == 0
    await assert_idle(client)
    await client.submit(URL)


# Cancellation: a caller may be cancelled at any moment, and no job id may be lost.


@pytest.mark.parametrize("latency", [0.0, 0.02])
async def test_a_caller_cancelled_in_any_loop_iteration_loses_no_job(start, latency):
    """Cancel after 0, 1, 2 … loop iterations: every accepted job is returned, or kept in `abandoned`."""
    sandbox = await start(Sandbox(window="none", latency=latency))
    kept = Counter()
    for turns in range(40):
        async with AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url) as client:
            accepted_before = len(sandbox.accepted)
            task = asyncio.create_task(client.submit(URL))
            await settle(turns)
            task.cancel()
            returned = (await asyncio.gather(task, return_exceptions=True))[0]
            await assert_idle(client)
            known = [job.job_id for job in client.abandoned]
            if not isinstance(returned, BaseException):
                known.append(returned.job_id)
            accepted = [job.id for job in sandbox.accepted[accepted_before:]]
            assert known == accepted
            kept[len(client.abandoned)] += 1
    assert kept[0]
    assert kept[1] or latency == 0.0


async def test_cancellation_is_raised_at_once_during_a_submission(start, clock):
    sandbox = await start(Sandbox(window="none", latency=3.0, now=clock.wall, sleep=clock.sleep))
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, clock=clock))
    task = asyncio.create_task(client.submit(URL))
    while not submissions(sandbox):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert client.abandoned == ()
    async with clock.running():
        await assert_idle(client)
    assert [job.job_id for job in client.abandoned] == [job.id for job in sandbox.accepted]


async def test_a_caller_cancelled_in_the_wait_queue_uses_no_permit(start, clock, limited):
    client = await start(AsyncVoiceprintClient(limited.api_key, base_url=limited.url, clock=clock))
    for _ in range(3):
        await client.submit(URL)
    waiting = [asyncio.create_task(client.submit(URL)) for _ in range(6)]
    await settle()
    for task in waiting[:3]:
        task.cancel()
    async with clock.running(client):
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [isinstance(outcome, asyncio.CancelledError) for outcome in outcomes] == [True] * 3 + [False] * 3
    assert clock.time() < 61.0


async def test_a_caller_cancelled_with_a_permit_but_no_slot_returns_the_permit(start, clock):
    sandbox = await start(Sandbox(rate_limit=(3, 60.0), latency=1.0, now=clock.wall, sleep=clock.sleep))
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, clock=clock, max_concurrency=1))
    async with clock.running():
        await client.submit(URL)
    first, placed = (asyncio.create_task(client.submit(URL)) for _ in range(2))
    await settle()
    placed.cancel()
    await settle()
    last = asyncio.create_task(client.submit(URL))
    async with clock.running():
        await asyncio.gather(first, last)
    assert (clock.time() < 10.0, len(sandbox.accepted)) == (True, 3)
    assert placed.cancelled()


async def test_a_caller_cancelled_in_before_send_sends_nothing(client, sandbox):
    writing = asyncio.Event()

    async def before_send():
        writing.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(client.engine.submit(_request(), hooks=SubmissionHooks(before_send, lambda: None)))
    await writing.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await assert_idle(client)
    assert submissions(sandbox) == 0


async def test_a_caller_cancelled_before_a_429_arrives_leaves_the_wait_queue_empty(start, clock):
    sandbox = await start(Sandbox(rate_limit=(1, 60.0), latency=1.0, now=clock.wall, sleep=clock.sleep))
    other = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, clock=clock))
    async with clock.running():
        await other.submit(URL)
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, clock=clock))
    task = asyncio.create_task(client.submit(URL))
    while submissions(sandbox) < 2:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with clock.running():
        await assert_idle(client)
    assert client.stats.rate_limited == 1


async def test_an_abandoned_job_is_logged_as_a_warning(start, caplog):
    sandbox = await start(Sandbox(window="none", latency=0.05))
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url))
    task = asyncio.create_task(client.submit(URL))
    while not submissions(sandbox):
        await asyncio.sleep(0)
    task.cancel()
    with caplog.at_level(logging.INFO, "pyannote_voiceprint_async"):
        await assert_idle(client)
    job_id = sandbox.accepted[0].id
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [job_id in warning for warning in warnings] == [True]


# Closing


async def test_closing_finishes_a_submission_in_flight(start):
    sandbox = await start(Sandbox(window="none", latency=0.05))
    client = AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url)
    task = asyncio.create_task(client.submit(URL))
    while not submissions(sandbox):
        await asyncio.sleep(0)
    await client.aclose()
    assert (await task).job_id == sandbox.accepted[0].id


async def test_closing_fails_all_waits_with_a_clear_error(start, clock, limited):
    client = AsyncVoiceprintClient(limited.api_key, base_url=limited.url, clock=clock)
    job, *_ = [await client.submit(URL) for _ in range(3)]
    queued = asyncio.create_task(client.submit(URL))
    waiting = asyncio.create_task(client.wait(job))
    await settle()
    await client.aclose()
    errors = await asyncio.gather(queued, waiting, return_exceptions=True)
    assert [type(error) for error in errors] == [ClientClosedError, ClientClosedError]
    assert errors[1].job_id == job.job_id
    await client.aclose()


async def test_closing_ends_the_wait_before_a_retry(start, clock, sandbox):
    client = AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, clock=clock)
    sandbox.fail_next("server-error", operation="test")
    task = asyncio.create_task(client.check_key())
    while not client.stats.requests or client.stats.in_flight:
        await asyncio.sleep(0)
    await settle()
    await client.aclose()
    with pytest.raises(ClientClosedError):
        await task


async def test_use_after_closing_raises_a_helpful_error(client):
    await client.aclose()
    with pytest.raises(ClientClosedError, match="lifespan"):
        await client.submit(URL)


def test_use_from_another_event_loop_raises_a_helpful_error():
    client = AsyncVoiceprintClient("key", base_url="http://127.0.0.1:9", retry=RetryPolicy(max_tries=1))

    async def use():
        await client.check_key()

    with pytest.raises(ApiConnectionError):
        asyncio.run(use())
    with pytest.raises(ClientClosedError, match="notebook"):
        asyncio.run(use())
    asyncio.run(client.engine._pipeline.http._sessions._own.pop().close())


async def test_a_client_that_is_not_closed_warns(sandbox):
    client = AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url)
    await client.check_key()
    session = client.engine._pipeline.http._sessions._own[0]
    with pytest.warns(ResourceWarning, match="aclose"):
        client.__del__()
    await session.close()
    client.engine._pipeline.http._sessions._own.clear()


async def test_the_constructor_touches_neither_network_nor_loop():
    async def make():
        return await asyncio.to_thread(AsyncVoiceprintClient, "key", base_url="http://127.0.0.1:9")

    assert (await make()).stats.requests == 0


async def test_requests_in_flight_stay_below_max_concurrency(start):
    sandbox = await start(Sandbox(window="none", latency=0.005))
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, max_concurrency=3))
    await asyncio.gather(*(client.submit(URL) for _ in range(30)))
    assert sandbox.state.operations["voiceprint"].highest_in_flight == 3


async def test_a_rate_limit_shared_by_all_operations_is_respected(start, clock):
    """A server may count all operations together; then reads use up the limit of submissions."""
    sandbox = await start(Sandbox(rate_limit=(10, 60.0), shared_limit=True, now=clock.wall, sleep=clock.sleep))
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, clock=clock))
    async with clock.running(client):
        for _ in range(8):
            await client.check_key()
        await asyncio.gather(*(client.submit(URL) for _ in range(8)))
    assert (len(sandbox.accepted), client.stats.rate_limited <= 2) == (8, True)


async def test_a_limit_that_the_user_sets_is_a_ceiling(start, clock):
    sandbox = await start(Sandbox(rate_limit=(50, 60.0), now=clock.wall, sleep=clock.sleep))
    client = await start(
        AsyncVoiceprintClient(
            sandbox.api_key,
            base_url=sandbox.url,
            clock=clock,
            rate_limits=RateLimits(submissions=RateLimit(2, 10.0)),
        )
    )
    async with clock.running(client):
        await asyncio.gather(*(client.submit(URL) for _ in range(6)))
    assert clock.time() >= 20.0


async def test_a_timeout_of_a_read_is_retried_and_then_raised(start):
    sandbox = await start(Sandbox(window="none", latency=5.0))
    client = await start(
        AsyncVoiceprintClient(
            sandbox.api_key,
            base_url=sandbox.url,
            timeouts=Timeouts(total=0.05),
            retry=RetryPolicy(max_tries=3, base=0.001),
        )
    )
    with pytest.raises(ApiTimeoutError):
        await client.check_key()
    assert (client.stats.requests, client.stats.retries) == (3, 2)


def _request():
    from pyannote_voiceprint_async import VoiceprintRequest

    return VoiceprintRequest(URL)


async def test_a_deadline_within_the_pause_of_a_429_sends_nothing_more(start, clock):
    sandbox = await start(Sandbox(rate_limit=(100, 60.0), now=clock.wall, sleep=clock.sleep))
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, clock=clock))
    sandbox.fail_next("rate-limited", operation="voiceprint")
    async with clock.running(client):
        with pytest.raises(ApiTimeoutError):
            await client.voiceprint(URL, timeout=0.5)
        await clock.sleep(30.0)
    assert (list(sandbox.accepted), submissions(sandbox), clock.time() < 40.0) == ([], 1, True)


async def test_a_wait_that_would_end_after_the_deadline_is_not_started(start, clock, sandbox):
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, clock=clock))
    sandbox.fail_next("unavailable", operation="voiceprint")
    with pytest.raises(ServerError):
        await client.voiceprint(URL, timeout=0.5)
    assert (clock.time(), submissions(sandbox)) == (0.0, 1)


async def test_closing_one_client_wakes_the_others_of_its_rate_limiter(start, clock, limited):
    """The other client may have relied on the timer of the closed client."""
    rate_limiter = RateLimiter()
    leaving = AsyncVoiceprintClient(limited.api_key, base_url=limited.url, clock=clock, rate_limiter=rate_limiter)
    staying = await start(
        AsyncVoiceprintClient(limited.api_key, base_url=limited.url, clock=clock, rate_limiter=rate_limiter)
    )
    await staying.check_key()
    first = asyncio.create_task(leaving.submit(URL))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(staying.submit(URL))
    await first
    await leaving.submit(URL)
    last = asyncio.create_task(staying.submit(URL))
    await settle()
    await leaving.aclose()
    async with clock.running(staying):
        await asyncio.wait_for(asyncio.gather(waiting, last), 20)
    assert len(limited.accepted) == 4


@pytest.mark.parametrize("turns", range(4))
async def test_cancelling_all_tasks_does_not_end_a_submission_in_flight(start, turns):
    """`asyncio.run()` cancels all tasks when it ends, and waits for them."""
    sandbox = await start(Sandbox(window="none", latency=0.2))
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url))
    caller = asyncio.create_task(client.submit(URL))
    while not submissions(sandbox):
        await asyncio.sleep(0)
    caller.cancel()
    await settle(turns)
    for task in client.engine._pipeline._submissions.tasks.values():
        assert not task.cancel()
    await assert_idle(client)
    assert [job.job_id for job in client.abandoned] == [job.id for job in sandbox.accepted]


async def test_cancelling_the_whole_program_keeps_the_jobs_in_flight(start):
    """Closing the client waits for the submissions although the program's tasks are cancelled."""
    sandbox = await start(Sandbox(window="none", latency=0.2))

    async def program():
        async with AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url) as client:
            clients.append(client)
            await client.submit(URL)
            await asyncio.gather(*(client.submit(URL) for _ in range(3)))

    clients: list[AsyncVoiceprintClient] = []
    others = asyncio.all_tasks()
    whole = asyncio.create_task(program())
    while submissions(sandbox) < 4:
        await asyncio.sleep(0)
    for task in asyncio.all_tasks() - others:
        if "program" in repr(task) or "submit" in repr(task):
            task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await whole
    assert {job.job_id for job in clients[0].abandoned} == {job.id for job in sandbox.accepted[1:]}


async def test_a_submission_whose_connection_was_closed_by_the_client_has_an_unknown_outcome(start):
    """The server may have accepted the submission before the client closed the connection."""
    sandbox = await start(Sandbox(window="none", latency=5.0))
    client = AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, retry=RetryPolicy(max_tries=1))
    task = asyncio.create_task(client.submit(URL))
    while not submissions(sandbox):
        await asyncio.sleep(0)
    client.engine._pipeline.close()
    await client.engine._pipeline.http.aclose()
    with pytest.raises(ApiConnectionError) as broken:
        await task
    assert broken.value.outcome_unknown
    await client.aclose()


# Cancelling and closing, with repeated cancellation


async def submit_in_flight(client: AsyncVoiceprintClient, sandbox: Sandbox, many: int) -> list[asyncio.Task]:
    """Start this number of submissions, and return their tasks when the server has received all requests."""
    before = submissions(sandbox)
    tasks = [asyncio.create_task(client.submit(URL)) for _ in range(many)]
    while submissions(sandbox) < before + many:
        await asyncio.sleep(0)
    return tasks


@pytest.mark.parametrize("times", [1, 2, 5])
async def test_a_cancelled_close_still_closes_the_client(start, times):
    sandbox = await start(Sandbox(window="none", latency=0.1))
    client = AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url)
    (caller,) = await submit_in_flight(client, sandbox, 1)
    caller.cancel()
    closing = asyncio.create_task(client.aclose())
    for _ in range(times):
        await settle(2)
        closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert [job.job_id for job in client.abandoned] == [job.id for job in sandbox.accepted]
    assert (client.stats.in_flight, client.engine._pipeline.http.has_open_sessions) == (0, False)


async def test_two_concurrent_closes_both_wait_for_the_submissions(start):
    sandbox = await start(Sandbox(window="none", latency=0.05))
    client = AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url)
    (caller,) = await submit_in_flight(client, sandbox, 1)
    await asyncio.gather(client.aclose(), client.aclose())
    assert (await caller).job_id == sandbox.accepted[0].id


async def test_nested_timeouts_lose_no_job(start):
    """The outer timeout ends during the clean-up of the inner one."""
    sandbox = await start(Sandbox(window="none", latency=0.3))
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url))
    await client.submit(URL)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.15):
            async with asyncio.timeout(0.1), client.submit_many([URL] * 10) as results:
                async for _ in results:
                    pass
    known = {submission.job.job_id for submission in results.unfinished if submission.job}
    assert known == {job.id for job in sandbox.accepted[1:]}
    assert len(results.unfinished) == 10


async def test_a_client_in_a_cancelled_scope_of_anyio_closes_and_keeps_its_job(start):
    """anyio cancels every await in a cancelled scope, again and again."""
    import anyio

    sandbox = await start(Sandbox(window="none", latency=0.2))
    with anyio.move_on_after(0.1):
        async with AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url) as client:
            await client.voiceprint(URL)
    assert [job.job_id for job in client.abandoned] == [job.id for job in sandbox.accepted]
    assert (len(client.abandoned), client.engine._pipeline.http.has_open_sessions) == (1, False)


async def test_a_result_that_arrives_with_the_cancellation_is_kept(start):
    """The caller is cancelled in the loop iteration in which it would get its result."""
    sandbox = await start(Sandbox(window="none", latency=0.05))
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url))
    (caller,) = await submit_in_flight(client, sandbox, 1)
    (task,) = client.engine._pipeline._submissions.tasks.values()
    task.add_done_callback(lambda _: caller.cancel())
    (ended,) = await asyncio.gather(caller, return_exceptions=True)
    known = [job.job_id for job in client.abandoned] + [getattr(ended, "job_id", None)]
    assert sandbox.accepted[0].id in known
    await assert_idle(client)


@pytest.fixture
def sandbox_elsewhere():
    """A sandbox in a thread with its own event loop, which keeps running when the loop of the test ends."""
    ready, stop = threading.Event(), threading.Event()
    found: list[Sandbox] = []

    async def serve() -> None:
        async with Sandbox(window="none", latency=0.3) as sandbox:
            found.append(sandbox)
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    ready.wait()
    yield found[0]
    stop.set()
    thread.join()
    # Without this, the transports of the closed event loop would be reported in a later test.
    gc.collect()


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_jobs_are_kept_when_the_loop_ends_while_they_are_submitted(sandbox_elsewhere):
    """`asyncio.run()` cancels every task when it ends, and waits for the submissions in flight."""

    async def main() -> tuple[AsyncVoiceprintClient, list[asyncio.Task]]:
        client = AsyncVoiceprintClient(sandbox_elsewhere.api_key, base_url=sandbox_elsewhere.url)
        await client.submit(URL)
        return client, await submit_in_flight(client, sandbox_elsewhere, 5)

    client, callers = asyncio.run(main())
    assert [task.cancelled() for task in callers] == [True] * 5
    assert {job.job_id for job in client.abandoned} == {job.id for job in sandbox_elsewhere.accepted[1:]}
    asyncio.run(client.aclose())


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_closing_after_the_event_loop_was_closed_reports_the_submissions_in_flight(sandbox_elsewhere, caplog):
    """Nothing can run in a closed event loop, so the warning says that a job may exist."""
    loop = asyncio.new_event_loop()

    async def begin() -> AsyncVoiceprintClient:
        client = AsyncVoiceprintClient(sandbox_elsewhere.api_key, base_url=sandbox_elsewhere.url)
        left.extend(await submit_in_flight(client, sandbox_elsewhere, 1))
        left.extend(client.engine._pipeline._submissions.tasks.values())
        return client

    left: list[asyncio.Task] = []
    client = loop.run_until_complete(begin())
    loop.close()
    asyncio.run(client.aclose())
    for task in left:
        task._log_destroy_pending = False  # else asyncio reports the task too
    assert "1 submission(s)" in caplog.text
    assert "list_jobs()" in caplog.text
    with pytest.raises(ClientClosedError):
        asyncio.run(client.submit(URL))
