"""Webhooks that reach the client: what they spare, and what happens when they are late, lost, doubled or forged."""

import asyncio
import logging

import pytest
from aiohttp import web
from fake_clock import settle

from pyannote_voiceprint_async import (
    AsyncVoiceprintClient,
    JobCanceledError,
    JobFailedError,
    JobStatus,
    JobTimeoutError,
    Polling,
    RetryPolicy,
    VoiceprintOutput,
    VoiceprintRequest,
    WebhookError,
    WebhookEvent,
    aiohttp_webhook_handler,
    verify_webhook,
)
from pyannote_voiceprint_async.sandbox import Sandbox, voiceprint_of

URL = "https://example.com/voice.wav"
FAILED = "https://example.com/unreachable.wav"
CANCELED = "https://example.com/canceled.wav"
HOOK = "https://example.com/hook"
SUCCESS = VoiceprintOutput("dm9pY2U=")
FAILURE = VoiceprintOutput(error="Could not load audio")


def told(job, status=JobStatus.SUCCEEDED, output=None):
    return WebhookEvent(getattr(job, "job_id", job), JobStatus(status), output)


def reads(sandbox):
    """How often the sandbox was asked about jobs, in whatever way."""
    operations = sandbox.state.operations
    return operations["job"].requests + operations["jobs"].requests


@pytest.fixture
async def open_client(start, clock):
    """A client whose clock stands still: what it does, it was not made to do by time."""

    async def opening(sandbox, **settings):
        return await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, clock=clock, **settings))

    return opening


@pytest.fixture
async def lossy(start, clock):
    """A sandbox on the fake clock whose jobs take five seconds, and whose webhooks never come."""
    return await start(
        Sandbox(window="none", job_seconds=5.0, webhook_faults={"lost": 1.0}, now=clock.wall, sleep=clock.sleep)
    )


async def waiting(client, job, **options):
    """Begin to wait, and give the task when it waits."""
    task = asyncio.create_task(client.wait(job, **options))
    await settle()
    assert not task.done()
    return task


# What a delivery says


async def test_a_delivery_with_an_output_is_the_answer_itself(sandbox, open_client):
    client = await open_client(sandbox)
    job = await client.submit(URL)
    task = await waiting(client, job)
    client.deliver(told(job, output=SUCCESS))
    assert (await task).voiceprint == "dm9pY2U="
    assert reads(sandbox) == 0


async def test_a_failure_that_is_told_is_the_answer_itself(sandbox, open_client):
    client = await open_client(sandbox)
    job = await client.submit(FAILED)
    task = await waiting(client, job)
    client.deliver(told(job, "failed", FAILURE))
    with pytest.raises(JobFailedError, match="Could not load audio") as failed:
        await task
    assert (failed.value.job_id, failed.value.message) == (job.job_id, "Could not load audio")
    assert reads(sandbox) == 0


@pytest.mark.parametrize(
    ("url", "status", "output", "error"),
    [
        (URL, "succeeded", None, None),
        (URL, "succeeded", VoiceprintOutput(warning="short"), None),
        (URL, "failed", None, None),  # what the API itself says when it is asked decides
        (FAILED, "failed", None, JobFailedError),
        (FAILED, "failed", VoiceprintOutput(), JobFailedError),
        (FAILED, "canceled", None, JobFailedError),  # one source says that failed jobs are told like this
        (FAILED, "canceled", FAILURE, JobFailedError),
        (CANCELED, "canceled", None, JobCanceledError),
        (CANCELED, "cancelled", None, JobCanceledError),
    ],
)
async def test_a_delivery_that_is_no_answer_is_read_exactly_once(sandbox, open_client, url, status, output, error):
    client = await open_client(sandbox)
    job = await client.submit(url)
    task = await waiting(client, job)
    client.deliver(told(job, status, output))
    if error is None:
        assert (await task).voiceprint == voiceprint_of(url)
    else:
        with pytest.raises(error):
            await task
    assert reads(sandbox) == 1


@pytest.mark.parametrize("status", ["pending", "created", "running", "archived", "SUCCEEDED"])
@pytest.mark.parametrize("output", [None, SUCCESS], ids=["status", "output"])
async def test_a_status_that_is_no_end_ends_nothing(sandbox, open_client, status, output):
    client = await open_client(sandbox)
    job = await client.submit(URL)
    client.deliver(told(job, status, output))
    task = await waiting(client, job)
    client.deliver(told(job, status, output))
    await settle()
    assert (task.done(), reads(sandbox)) == (False, 0)
    client.deliver(told(job, output=SUCCESS))
    assert (await task).voiceprint == "dm9pY2U="


async def test_all_who_wait_for_a_job_are_told_at_once(sandbox, open_client):
    client = await open_client(sandbox)
    job = await client.submit(URL)
    tasks = [await waiting(client, job) for _ in range(3)]
    client.deliver(told(job, output=SUCCESS))
    assert {(await task).voiceprint for task in tasks} == {"dm9pY2U="}
    assert reads(sandbox) == 0


async def test_deliveries_that_come_again_are_harmless(sandbox, open_client):
    """Before the wait is over, after it, and with another word than the first time."""
    client = await open_client(sandbox)
    job = await client.submit(URL)
    task = await waiting(client, job)
    for _ in range(3):
        client.deliver(told(job, output=SUCCESS))
    client.deliver(told(job, "failed", FAILURE))
    assert (await task).voiceprint == "dm9pY2U="
    client.deliver(told(job, output=SUCCESS))
    await settle()
    assert (reads(sandbox), client.stats.in_flight) == (0, 0)


async def test_status_only_deliveries_that_come_again_cost_one_read(sandbox, open_client):
    client = await open_client(sandbox)
    job = await client.submit(URL)
    task = await waiting(client, job)
    for _ in range(3):
        client.deliver(told(job))
    assert (await task).voiceprint == voiceprint_of(URL)
    client.deliver(told(job))
    await settle()
    assert reads(sandbox) == 1


async def test_deliveries_for_jobs_that_nobody_waits_for_are_harmless(sandbox, open_client):
    """Another worker's, another program's, made up: they are told to nobody, and read by nobody."""
    client = await open_client(sandbox)
    for number in range(3000):
        client.deliver(told(f"job-{number}", "failed", FAILURE))
    job = await client.submit(URL)
    task = await waiting(client, job)
    client.deliver(told("another", output=SUCCESS))
    await settle()
    assert not task.done()
    client.deliver(told(job, output=SUCCESS))
    assert (await task).voiceprint == "dm9pY2U="
    assert reads(sandbox) == 0


# Deliveries that overtake the answer to their own submission


async def test_a_delivery_that_comes_before_the_wait_ends_it(sandbox, open_client):
    client = await open_client(sandbox)
    job = await client.submit(URL, webhook=HOOK)
    client.deliver(told(job, output=SUCCESS))
    assert (await client.wait(job)).voiceprint == "dm9pY2U="
    assert reads(sandbox) == 0


async def test_an_early_delivery_of_the_status_costs_one_read(sandbox, open_client):
    client = await open_client(sandbox)
    job = await client.submit(URL)
    client.deliver(told(job))
    assert (await client.wait(job)).voiceprint == voiceprint_of(URL)
    assert reads(sandbox) == 1


async def test_an_early_delivery_is_kept_for_a_minute_of_the_clients_clock(sandbox, open_client, clock):
    client = await open_client(sandbox)
    for job_id in ("in-time", "too-late"):
        client.deliver(told(job_id, output=SUCCESS))
    await clock.advance(60.0)
    assert (await client.wait("in-time")).voiceprint == "dm9pY2U="
    await clock.advance(0.5)
    too_late = await waiting(client, "too-late")
    too_late.cancel()


async def test_only_the_last_thousand_early_deliveries_are_kept(sandbox, open_client):
    client = await open_client(sandbox)
    for number in range(1001):
        client.deliver(told(f"job-{number}", output=VoiceprintOutput(f"voice-{number}")))
    forgotten = await waiting(client, "job-0")
    assert (await client.wait("job-1")).voiceprint == "voice-1"
    assert (await client.wait("job-1000")).voiceprint == "voice-1000"
    assert not forgotten.done()
    forgotten.cancel()


# A job that asked for a webhook is left to it for a while


async def looks_while(client, clock, seconds):
    """How many requests the client makes while so many seconds go by, one by one."""
    before = client.stats.requests
    for _ in range(seconds):
        await clock.advance(1.0)
    return client.stats.requests - before


@pytest.mark.parametrize("asked_by", ["the client", "the submission", "the request"])
async def test_a_job_that_asked_for_a_webhook_is_first_looked_at_after_the_grace(lossy, open_client, clock, asked_by):
    client = await open_client(lossy, webhook=HOOK if asked_by == "the client" else None)
    source = VoiceprintRequest(URL, webhook=HOOK) if asked_by == "the request" else URL
    job = await client.submit(source, webhook=HOOK if asked_by == "the submission" else None)
    task = await waiting(client, job)
    assert await looks_while(client, clock, 59) == 0
    await clock.advance(1.0)
    assert (await task).voiceprint == voiceprint_of(URL)
    assert reads(lossy) == 1


async def test_a_job_that_asked_for_none_is_looked_at_soon(lossy, open_client, clock):
    """Though another one, which did ask, is waited for at the same time."""
    client = await open_client(lossy)
    left_alone = await waiting(client, await client.submit(URL, webhook=HOOK))
    job = await client.submit(URL)
    async with clock.running(client):
        assert (await client.wait(job, timeout=20.0)).voiceprint == voiceprint_of(URL)
        assert clock.time() < 20.0
    assert not left_alone.done()
    left_alone.cancel()


async def test_polling_is_the_safety_net(lossy, open_client, clock):
    """The webhook never comes: the voiceprint does, and the only price is the grace."""
    client = await open_client(lossy, webhook=HOOK, polling=Polling(webhook_grace=30.0))
    async with clock.running(client):
        assert (await client.voiceprint(URL)).value == voiceprint_of(URL)
    assert 30.0 <= clock.time() <= 31.0


async def test_many_lost_webhooks_are_looked_up_in_pages(lossy, open_client, clock):
    client = await open_client(lossy, webhook=HOOK)
    async with clock.running(client), client.voiceprint_many([URL] * 50) as results:
        assert [result.error async for result in results] == [None] * 50
    assert lossy.state.operations["jobs"].requests <= 2
    assert lossy.state.operations["job"].requests == 50


async def test_the_grace_counts_from_the_submission(lossy, open_client, clock):
    """A service that was busy elsewhere, or an id that was kept: the webhook has had its time."""
    client = await open_client(lossy)
    job = await client.submit(URL, webhook=HOOK)
    await clock.advance(300.0)
    async with clock.running(client):
        assert (await client.wait(job)).voiceprint == voiceprint_of(URL)
    assert clock.time() - 300.0 <= Polling().longest


async def test_waits_that_are_shorter_than_the_grace_find_the_job_in_the_end(lossy, open_client, clock):
    """A grace that began anew with each wait would keep the safety net away for ever."""
    client = await open_client(lossy)
    job = await client.submit(URL, webhook=HOOK)
    async with clock.running(client):
        for _ in range(2):
            with pytest.raises(JobTimeoutError):
                await client.wait(job, timeout=29.0)
        assert (await client.wait(job, timeout=29.0)).voiceprint == voiceprint_of(URL)
    assert clock.time() < 75.0


async def test_a_job_whose_webhook_came_is_not_left_to_it_again(lossy, open_client, clock):
    client = await open_client(lossy)
    job = await client.submit(URL, webhook=HOOK)
    await clock.advance(5.0)
    client.deliver(told(job, output=SUCCESS))
    assert (await client.wait(job)).voiceprint == "dm9pY2U="
    async with clock.running(client):
        assert (await client.wait(job)).voiceprint == voiceprint_of(URL)
    assert clock.time() - 5.0 <= Polling().longest


async def test_a_webhook_that_comes_before_its_job_has_ended_everywhere(lossy, open_client, clock):
    """The read still says `running`: there will be no second webhook, so polling takes over at once."""
    client = await open_client(lossy)
    job = await client.submit(URL, webhook=HOOK)
    task = await waiting(client, job)
    client.deliver(told(job))
    async with clock.running(client):
        assert (await task).voiceprint == voiceprint_of(URL)
    assert clock.time() <= 5.0 + Polling().longest


async def test_a_read_that_failed_after_a_webhook_is_soon_repeated(lossy, open_client, clock):
    client = await open_client(lossy, retry=RetryPolicy(max_tries=1))
    job = await client.submit(URL, webhook=HOOK)
    await clock.advance(5.0)
    task = await waiting(client, job)
    lossy.fail_next("server-error", operation="job")
    client.deliver(told(job))
    async with clock.running(client):
        assert (await task).voiceprint == voiceprint_of(URL)
    assert clock.time() - 5.0 <= Polling().longest


# End to end: the sandbox posts to a real server, which hands its webhooks to the client


class Receiver:
    """A server with one route that may be told to refuse."""

    def __init__(self):
        self.handle = None
        self.refuse = 0
        self.runner = web.AppRunner(web.Application())
        self.runner.app.router.add_post("/hook", self.receive)

    async def __aenter__(self):
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self.runner.addresses[0][1]}/hook"
        return self

    async def __aexit__(self, *error):
        await self.runner.cleanup()

    async def receive(self, request):
        if self.refuse:
            self.refuse -= 1
            return web.Response(status=503)
        return await self.handle(request)


@pytest.fixture
async def receiver(start):
    return await start(Receiver())


@pytest.fixture
async def connect(start, receiver):
    """Give a sandbox and a client that receives its webhooks, both in real time."""

    async def connecting(polling=None, **settings):
        plenty = (1_000_000, 60.0)
        sandbox = await start(Sandbox(**({"rate_limit": plenty, "read_limit": plenty, "job_seconds": 0.02} | settings)))
        client = await start(
            AsyncVoiceprintClient(
                sandbox.api_key, base_url=sandbox.url, webhook=receiver.url, polling=polling or Polling()
            )
        )
        receiver.handle = aiohttp_webhook_handler(client.deliver, sandbox.webhook_secret)
        return sandbox, client

    return connecting


SOON = Polling(first=0.01, longest=0.05, webhook_grace=0.2)


async def answers(sandbox, count):
    """What the receiver answered to the first deliveries, once they are over."""
    while len(sandbox.deliveries) < count:
        await asyncio.sleep(0.001)
    return [delivery.status for delivery in sandbox.deliveries]


@pytest.mark.parametrize("form", ["hex", "base64", "v0"])
async def test_every_form_of_signature_spares_the_reads(connect, form):
    sandbox, client = await connect(webhook_signature=form)
    assert (await client.voiceprint(URL)).value == voiceprint_of(URL)
    assert reads(sandbox) == 0
    assert await answers(sandbox, 1) == [204]


async def test_hundreds_of_jobs_need_no_read(connect):
    sandbox, client = await connect(job_seconds=(0.0, 0.1))
    async with client.voiceprint_many(f"{URL}?{number}" for number in range(200)) as results:
        found = {result.source: result.voiceprint.value async for result in results}
    assert found == {job.url: job.voiceprint for job in sandbox.accepted}
    assert (len(found), reads(sandbox)) == (200, 0)


@pytest.mark.parametrize("fault", ["duplicate", "early"])
async def test_webhooks_that_come_twice_or_early_spare_the_read_all_the_same(connect, fault):
    sandbox, client = await connect()
    sandbox.fail_next_webhook(fault)
    assert (await client.voiceprint(URL)).value == voiceprint_of(URL)
    assert (await client.voiceprint(URL)).value == voiceprint_of(URL)
    assert reads(sandbox) == 0


async def test_a_lost_webhook_is_made_good_by_polling(connect):
    sandbox, client = await connect(polling=SOON)
    sandbox.fail_next_webhook("lost")
    assert (await client.voiceprint(URL)).value == voiceprint_of(URL)
    assert (len(sandbox.deliveries), reads(sandbox)) == (0, 1)


async def test_a_webhook_that_was_changed_on_its_way_is_refused(connect):
    """It says that the job failed; the job did not."""
    sandbox, client = await connect(polling=SOON, webhook_retry_delays=())
    sandbox.fail_next_webhook("tampered")
    assert (await client.voiceprint(URL)).value == voiceprint_of(URL)
    assert await answers(sandbox, 1) == [401]


async def test_a_secret_that_is_not_ours_is_refused(connect, receiver):
    sandbox, client = await connect(polling=SOON, webhook_retry_delays=())
    receiver.handle = aiohttp_webhook_handler(client.deliver, "another secret")
    assert (await client.voiceprint(URL)).value == voiceprint_of(URL)
    assert await answers(sandbox, 1) == [401]


async def test_a_secret_is_rotated_without_a_loss(connect, receiver):
    sandbox, client = await connect()
    receiver.handle = aiohttp_webhook_handler(client.deliver, ["the next secret", sandbox.webhook_secret])
    await client.voiceprint(URL)
    assert reads(sandbox) == 0


@pytest.mark.parametrize(("url", "error"), [(URL, None), (FAILED, JobFailedError), (CANCELED, JobCanceledError)])
async def test_a_webhook_without_output_costs_exactly_one_read(connect, url, error):
    sandbox, client = await connect()
    job = await client.submit(url, webhook_status_only=True)
    if error is None:
        assert (await client.wait(job)).voiceprint == voiceprint_of(url)
    else:
        with pytest.raises(error):
            await client.wait(job)
    assert reads(sandbox) == 1


@pytest.mark.parametrize(("told_as", "cost"), [("failed", 0), ("canceled", 1)])
async def test_a_failed_job_is_a_failed_job_however_it_is_told(connect, told_as, cost):
    sandbox, client = await connect(webhook_failed_as=told_as)
    with pytest.raises(JobFailedError, match="Could not load audio"):
        await client.voiceprint(FAILED)
    assert reads(sandbox) == cost


async def test_a_webhook_that_reaches_another_worker_is_made_good_by_polling(start, connect, receiver):
    """Two processes behind one address: the one that hears of the end is not the one that waits."""
    sandbox, client = await connect(polling=SOON)
    other = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url))
    receiver.handle = aiohttp_webhook_handler(other.deliver, sandbox.webhook_secret)
    assert (await client.voiceprint(URL)).value == voiceprint_of(URL)
    assert await answers(sandbox, 1) == [204]


@pytest.mark.parametrize("sign_anew", [True, False])
async def test_the_last_repeat_still_ends_the_wait(start, clock, receiver, open_client, sign_anew):
    """It comes six minutes after the first try; whether it is signed anew is not known."""
    events = []

    async def handle(request):
        try:
            events.append(
                verify_webhook(await request.read(), request.headers, sandbox.webhook_secret, now=clock.wall())
            )
        except WebhookError as error:
            return web.Response(status=401, text=str(error))
        client.deliver(events[-1])
        return web.Response(status=204)

    async def tried(times):
        while len(sandbox.deliveries) < times:
            await clock.advance(0.0)
            await asyncio.sleep(0.001)

    sandbox = await start(
        Sandbox(window="none", job_seconds=0.0, webhook_sign_anew=sign_anew, now=clock.wall, sleep=clock.sleep)
    )
    client = await open_client(sandbox, polling=Polling(webhook_grace=1000.0))
    receiver.handle, receiver.refuse = handle, 3
    task = await waiting(client, await client.submit(URL, webhook=receiver.url))
    for times, pause in ((2, 60.0), (3, 300.0)):
        await tried(times)
        await clock.advance(pause)
    assert (await task).voiceprint == voiceprint_of(URL)
    assert clock.time() == 360.0
    assert [(event.retry_num, event.retry_reason) for event in events] == [(3, "http_error")]
    assert [delivery.status for delivery in sandbox.deliveries[:3]] == [503] * 3
    assert reads(sandbox) == 0


async def test_nothing_of_a_webhook_is_logged(connect, caplog):
    caplog.set_level(logging.DEBUG, "pyannote_voiceprint_async")
    sandbox, client = await connect()
    voiceprint = await client.voiceprint(URL)
    logged = "\n".join(record.getMessage() for record in caplog.records)
    assert voiceprint.job_id in logged
    for secret in (voiceprint.value, sandbox.webhook_secret, sandbox.api_key):
        assert secret not in logged
