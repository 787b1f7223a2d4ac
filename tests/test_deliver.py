"""`client.deliver`: the reads that webhooks save, and webhooks that are late, lost, duplicated or forged."""

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


def event(job, status=JobStatus.SUCCEEDED, output=None):
    return WebhookEvent(getattr(job, "job_id", job), JobStatus(status), output)


def count_reads(sandbox):
    """Return how many requests for jobs or lists of jobs the sandbox received."""
    operations = sandbox.state.operations
    return operations["job"].requests + operations["jobs"].requests


@pytest.fixture
async def open_client(start, clock):
    """A client whose clock stands still, so that no timer causes what it does."""

    async def opening(sandbox, **settings):
        return await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, clock=clock, **settings))

    return opening


@pytest.fixture
async def lossy(start, clock):
    """A sandbox on the fake clock whose jobs take five seconds, and whose webhooks are lost."""
    return await start(
        Sandbox(window="none", job_seconds=5.0, webhook_faults={"lost": 1.0}, now=clock.wall, sleep=clock.sleep)
    )


async def start_wait(client, job, **options):
    """Start a wait, and return its task when it is waiting."""
    task = asyncio.create_task(client.wait(job, **options))
    await settle()
    assert not task.done()
    return task


# Contents of a webhook


async def test_a_webhook_with_an_output_is_the_result(sandbox, open_client):
    client = await open_client(sandbox)
    job = await client.submit(URL)
    task = await start_wait(client, job)
    client.deliver(event(job, output=SUCCESS))
    assert (await task).voiceprint == "dm9pY2U="
    assert count_reads(sandbox) == 0


async def test_a_webhook_with_an_error_is_the_result(sandbox, open_client):
    client = await open_client(sandbox)
    job = await client.submit(FAILED)
    task = await start_wait(client, job)
    client.deliver(event(job, "failed", FAILURE))
    with pytest.raises(JobFailedError, match="Could not load audio") as failed:
        await task
    assert (failed.value.job_id, failed.value.message) == (job.job_id, "Could not load audio")
    assert count_reads(sandbox) == 0


@pytest.mark.parametrize(
    ("url", "status", "output", "error"),
    [
        (URL, "succeeded", None, None),
        (URL, "succeeded", VoiceprintOutput(warning="short"), None),
        (URL, "failed", None, None),  # the response to the read decides
        (FAILED, "failed", None, JobFailedError),
        (FAILED, "failed", VoiceprintOutput(), JobFailedError),
        (FAILED, "canceled", None, JobFailedError),  # according to one source, failed jobs are reported like this
        (FAILED, "canceled", FAILURE, JobFailedError),
        (CANCELED, "canceled", None, JobCanceledError),
        (CANCELED, "cancelled", None, JobCanceledError),
    ],
)
async def test_a_webhook_without_result_costs_exactly_one_read(sandbox, open_client, url, status, output, error):
    client = await open_client(sandbox)
    job = await client.submit(url)
    task = await start_wait(client, job)
    client.deliver(event(job, status, output))
    if error is None:
        assert (await task).voiceprint == voiceprint_of(url)
    else:
        with pytest.raises(error):
            await task
    assert count_reads(sandbox) == 1


@pytest.mark.parametrize("status", ["pending", "created", "running", "archived", "SUCCEEDED"])
@pytest.mark.parametrize("output", [None, SUCCESS], ids=["status", "output"])
async def test_a_status_that_is_not_terminal_ends_no_wait(sandbox, open_client, status, output):
    client = await open_client(sandbox)
    job = await client.submit(URL)
    client.deliver(event(job, status, output))
    task = await start_wait(client, job)
    client.deliver(event(job, status, output))
    await settle()
    assert (task.done(), count_reads(sandbox)) == (False, 0)
    client.deliver(event(job, output=SUCCESS))
    assert (await task).voiceprint == "dm9pY2U="


async def test_a_webhook_ends_all_waits_for_its_job(sandbox, open_client):
    client = await open_client(sandbox)
    job = await client.submit(URL)
    tasks = [await start_wait(client, job) for _ in range(3)]
    client.deliver(event(job, output=SUCCESS))
    assert {(await task).voiceprint for task in tasks} == {"dm9pY2U="}
    assert count_reads(sandbox) == 0


async def test_duplicate_webhooks_are_harmless(sandbox, open_client):
    """During the wait, after it, and with another status than the first webhook."""
    client = await open_client(sandbox)
    job = await client.submit(URL)
    task = await start_wait(client, job)
    for _ in range(3):
        client.deliver(event(job, output=SUCCESS))
    client.deliver(event(job, "failed", FAILURE))
    assert (await task).voiceprint == "dm9pY2U="
    client.deliver(event(job, output=SUCCESS))
    await settle()
    assert (count_reads(sandbox), client.stats.in_flight) == (0, 0)


async def test_duplicate_status_only_webhooks_cost_one_read(sandbox, open_client):
    client = await open_client(sandbox)
    job = await client.submit(URL)
    task = await start_wait(client, job)
    for _ in range(3):
        client.deliver(event(job))
    assert (await task).voiceprint == voiceprint_of(URL)
    client.deliver(event(job))
    await settle()
    assert count_reads(sandbox) == 1


async def test_webhooks_for_jobs_without_a_wait_are_harmless(sandbox, open_client):
    """They belong to another worker or program, or are made up: they cause no read."""
    client = await open_client(sandbox)
    for number in range(3000):
        client.deliver(event(f"job-{number}", "failed", FAILURE))
    job = await client.submit(URL)
    task = await start_wait(client, job)
    client.deliver(event("another", output=SUCCESS))
    await settle()
    assert not task.done()
    client.deliver(event(job, output=SUCCESS))
    assert (await task).voiceprint == "dm9pY2U="
    assert count_reads(sandbox) == 0


# Webhooks that arrive before the response to their own submission


async def test_a_webhook_that_arrives_before_the_wait_ends_it(sandbox, open_client):
    client = await open_client(sandbox)
    job = await client.submit(URL, webhook=HOOK)
    client.deliver(event(job, output=SUCCESS))
    assert (await client.wait(job)).voiceprint == "dm9pY2U="
    assert count_reads(sandbox) == 0


async def test_an_early_status_only_webhook_costs_one_read(sandbox, open_client):
    client = await open_client(sandbox)
    job = await client.submit(URL)
    client.deliver(event(job))
    assert (await client.wait(job)).voiceprint == voiceprint_of(URL)
    assert count_reads(sandbox) == 1


async def test_an_early_webhook_is_kept_for_a_minute_on_the_clock_of_the_client(sandbox, open_client, clock):
    client = await open_client(sandbox)
    for job_id in ("in-time", "too-late"):
        client.deliver(event(job_id, output=SUCCESS))
    await clock.advance(59.5)
    assert (await client.wait("in-time")).voiceprint == "dm9pY2U="
    await clock.advance(0.5)
    too_late = await start_wait(client, "too-late")
    too_late.cancel()


async def test_only_the_last_thousand_early_webhooks_are_kept(sandbox, open_client):
    client = await open_client(sandbox)
    for number in range(1001):
        client.deliver(event(f"job-{number}", output=VoiceprintOutput(f"voice-{number}")))
    forgotten = await start_wait(client, "job-0")
    assert (await client.wait("job-1")).voiceprint == "voice-1"
    assert (await client.wait("job-1000")).voiceprint == "voice-1000"
    assert not forgotten.done()
    forgotten.cancel()


# The grace period of a requested webhook


async def requests_during(client, clock, seconds):
    """Return how many requests the client makes while the clock advances, second by second."""
    before = client.stats.requests
    for _ in range(seconds):
        await clock.advance(1.0)
    return client.stats.requests - before


@pytest.mark.parametrize("asked_by", ["the client", "the submission", "the request"])
async def test_a_job_with_a_webhook_is_first_polled_after_the_grace_period(lossy, open_client, clock, asked_by):
    client = await open_client(lossy, webhook=HOOK if asked_by == "the client" else None)
    source = VoiceprintRequest(URL, webhook=HOOK) if asked_by == "the request" else URL
    job = await client.submit(source, webhook=HOOK if asked_by == "the submission" else None)
    task = await start_wait(client, job)
    assert await requests_during(client, clock, 59) == 0
    await clock.advance(1.0)
    assert (await task).voiceprint == voiceprint_of(URL)
    assert count_reads(lossy) == 1


async def test_a_job_without_a_webhook_is_polled_soon(lossy, open_client, clock):
    """Also while a job with a webhook is awaited."""
    client = await open_client(lossy)
    left_alone = await start_wait(client, await client.submit(URL, webhook=HOOK))
    job = await client.submit(URL)
    async with clock.running(client):
        assert (await client.wait(job, timeout=20.0)).voiceprint == voiceprint_of(URL)
        assert clock.time() < 20.0
    assert not left_alone.done()
    left_alone.cancel()


async def test_polling_replaces_a_lost_webhook(lossy, open_client, clock):
    """The voiceprint is only late by the grace period."""
    client = await open_client(lossy, webhook=HOOK, polling=Polling(webhook_grace=30.0))
    async with clock.running(client):
        assert (await client.voiceprint(URL)).value == voiceprint_of(URL)
    assert 30.0 <= clock.time() <= 31.0


async def test_many_lost_webhooks_are_replaced_by_pages(lossy, open_client, clock):
    client = await open_client(lossy, webhook=HOOK)
    async with clock.running(client), client.voiceprint_many([URL] * 50) as results:
        assert [result.error async for result in results] == [None] * 50
    assert lossy.state.operations["jobs"].requests <= 2
    assert lossy.state.operations["job"].requests == 50


async def test_the_grace_period_starts_at_the_submission(lossy, open_client, clock):
    """A wait that begins later, as after a restart, polls at once: the grace period is over."""
    client = await open_client(lossy)
    job = await client.submit(URL, webhook=HOOK)
    await clock.advance(300.0)
    async with clock.running(client):
        assert (await client.wait(job)).voiceprint == voiceprint_of(URL)
    assert clock.time() - 300.0 <= Polling().longest


async def test_waits_shorter_than_the_grace_period_find_the_job_in_the_end(lossy, open_client, clock):
    """With a grace period that started again with each wait, the job would never be polled."""
    client = await open_client(lossy)
    job = await client.submit(URL, webhook=HOOK)
    async with clock.running(client):
        for _ in range(2):
            with pytest.raises(JobTimeoutError):
                await client.wait(job, timeout=29.0)
        assert (await client.wait(job, timeout=29.0)).voiceprint == voiceprint_of(URL)
    assert clock.time() < 75.0


async def test_a_job_whose_webhook_arrived_has_no_second_grace_period(lossy, open_client, clock):
    client = await open_client(lossy)
    job = await client.submit(URL, webhook=HOOK)
    await clock.advance(5.0)
    client.deliver(event(job, output=SUCCESS))
    assert (await client.wait(job)).voiceprint == "dm9pY2U="
    async with clock.running(client):
        assert (await client.wait(job)).voiceprint == voiceprint_of(URL)
    assert clock.time() - 5.0 <= Polling().longest


async def test_a_webhook_that_is_ahead_of_the_reads(lossy, open_client, clock):
    """The read still shows `running`: no second webhook follows, so that polling starts at once."""
    client = await open_client(lossy)
    job = await client.submit(URL, webhook=HOOK)
    task = await start_wait(client, job)
    client.deliver(event(job))
    async with clock.running(client):
        assert (await task).voiceprint == voiceprint_of(URL)
    assert clock.time() <= 5.0 + Polling().longest


async def test_a_failed_read_after_a_webhook_is_repeated_soon(lossy, open_client, clock):
    client = await open_client(lossy, retry=RetryPolicy(max_tries=1))
    job = await client.submit(URL, webhook=HOOK)
    await clock.advance(5.0)
    task = await start_wait(client, job)
    lossy.fail_next("server-error", operation="job")
    client.deliver(event(job))
    async with clock.running(client):
        assert (await task).voiceprint == voiceprint_of(URL)
    assert clock.time() - 5.0 <= Polling().longest


# End to end: the sandbox posts to a real server, which passes the webhooks to the client


class Receiver:
    """A server with one route, which can be made to refuse."""

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
    """Start a sandbox and a client that receives its webhooks, both in real time."""

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


async def response_statuses(sandbox, count):
    """Return the statuses with which the receiver answered the first deliveries, once they have ended."""
    while len(sandbox.deliveries) < count:
        await asyncio.sleep(0.001)
    return [delivery.status for delivery in sandbox.deliveries]


@pytest.mark.parametrize("form", ["hex", "base64", "v0"])
async def test_webhooks_with_every_form_of_signature_save_the_reads(connect, form):
    sandbox, client = await connect(webhook_signature=form)
    assert (await client.voiceprint(URL)).value == voiceprint_of(URL)
    assert count_reads(sandbox) == 0
    assert await response_statuses(sandbox, 1) == [204]


async def test_hundreds_of_jobs_need_no_read(connect):
    sandbox, client = await connect(job_seconds=(0.0, 0.1))
    async with client.voiceprint_many(f"{URL}?{number}" for number in range(200)) as results:
        found = {result.source: result.voiceprint.value async for result in results}
    assert found == {job.url: job.voiceprint for job in sandbox.accepted}
    assert (len(found), count_reads(sandbox)) == (200, 0)


@pytest.mark.parametrize("fault", ["duplicate", "early"])
async def test_duplicate_and_early_webhooks_save_the_reads_too(connect, fault):
    sandbox, client = await connect()
    sandbox.fail_next_webhook(fault)
    assert (await client.voiceprint(URL)).value == voiceprint_of(URL)
    assert (await client.voiceprint(URL)).value == voiceprint_of(URL)
    assert count_reads(sandbox) == 0


async def test_polling_replaces_one_lost_webhook(connect):
    sandbox, client = await connect(polling=SOON)
    sandbox.fail_next_webhook("lost")
    assert (await client.voiceprint(URL)).value == voiceprint_of(URL)
    assert (len(sandbox.deliveries), count_reads(sandbox)) == (0, 1)


async def test_a_modified_webhook_is_rejected(connect):
    """It reports that the job failed, which is false."""
    sandbox, client = await connect(polling=SOON, webhook_retry_delays=())
    sandbox.fail_next_webhook("tampered")
    assert (await client.voiceprint(URL)).value == voiceprint_of(URL)
    assert await response_statuses(sandbox, 1) == [401]


async def test_a_webhook_signed_with_another_secret_is_rejected(connect, receiver):
    sandbox, client = await connect(polling=SOON, webhook_retry_delays=())
    receiver.handle = aiohttp_webhook_handler(client.deliver, "another secret")
    assert (await client.voiceprint(URL)).value == voiceprint_of(URL)
    assert await response_statuses(sandbox, 1) == [401]


async def test_a_secret_is_rotated_without_losing_a_webhook(connect, receiver):
    sandbox, client = await connect()
    receiver.handle = aiohttp_webhook_handler(client.deliver, ["the next secret", sandbox.webhook_secret])
    await client.voiceprint(URL)
    assert count_reads(sandbox) == 0


@pytest.mark.parametrize(("url", "error"), [(URL, None), (FAILED, JobFailedError), (CANCELED, JobCanceledError)])
async def test_a_webhook_without_output_costs_exactly_one_read(connect, url, error):
    sandbox, client = await connect()
    job = await client.submit(url, webhook_status_only=True)
    if error is None:
        assert (await client.wait(job)).voiceprint == voiceprint_of(url)
    else:
        with pytest.raises(error):
            await client.wait(job)
    assert count_reads(sandbox) == 1


@pytest.mark.parametrize(("told_as", "cost"), [("failed", 0), ("canceled", 1)])
async def test_a_failed_job_fails_its_wait_whatever_form_the_webhook_has(connect, told_as, cost):
    sandbox, client = await connect(webhook_failed_as=told_as)
    with pytest.raises(JobFailedError, match="Could not load audio"):
        await client.voiceprint(FAILED)
    assert count_reads(sandbox) == cost


async def test_polling_replaces_a_webhook_that_reached_another_worker(start, connect, receiver):
    """Two processes share one address, and the webhook reaches the one that does not wait."""
    sandbox, client = await connect(polling=SOON)
    other = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url))
    receiver.handle = aiohttp_webhook_handler(other.deliver, sandbox.webhook_secret)
    assert (await client.voiceprint(URL)).value == voiceprint_of(URL)
    assert await response_statuses(sandbox, 1) == [204]


@pytest.mark.parametrize("sign_anew", [True, False])
async def test_the_last_retry_of_a_webhook_still_ends_the_wait(start, clock, receiver, open_client, sign_anew):
    """It arrives six minutes after the first try. Whether the API signs it again is not documented."""
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
    task = await start_wait(client, await client.submit(URL, webhook=receiver.url))
    for times, pause in ((2, 60.0), (3, 300.0)):
        await tried(times)
        await clock.advance(pause)
    assert (await task).voiceprint == voiceprint_of(URL)
    assert clock.time() == 360.0
    assert [(event.retry_num, event.retry_reason) for event in events] == [(3, "http_error")]
    assert [delivery.status for delivery in sandbox.deliveries[:3]] == [503] * 3
    assert count_reads(sandbox) == 0


async def test_no_content_of_a_webhook_is_logged(connect, caplog):
    caplog.set_level(logging.DEBUG, "pyannote_voiceprint_async")
    sandbox, client = await connect()
    voiceprint = await client.voiceprint(URL)
    logged = "\n".join(record.getMessage() for record in caplog.records)
    assert voiceprint.job_id in logged
    for secret in (voiceprint.value, sandbox.webhook_secret, sandbox.api_key):
        assert secret not in logged
