"""Webhooks over real sockets, on the fake clock."""

import asyncio
import base64
import gc
import hashlib
import hmac
import inspect
import json
import socket
from pathlib import Path

import aiohttp
import pytest

from pyannote_voiceprint_async.sandbox import Delivery, Sandbox, WebhookTally, voiceprint_of
from pyannote_voiceprint_async.sandbox.webhooks import MAX_IN_FLIGHT

URL = "https://example.com/voice.wav"
FAILED = "https://example.com/unreachable"
CANCELED = "https://example.com/canceled"
SECRET = b"sandbox-webhook-secret"
VOICEPRINT = {"voiceprint": voiceprint_of(URL)}
ERROR = {"error": "Could not load audio"}


@pytest.fixture
async def instant(open_sandbox):
    """A sandbox whose jobs finish at once."""
    return await open_sandbox(job_seconds=0)


async def deliveries(client, count: int) -> list[Delivery]:
    """Wait until at least `count` attempts are over."""
    while len(client.sandbox.deliveries) < count:
        await asyncio.sleep(0.001)
    return list(client.sandbox.deliveries)


def expected_digest(received, secret=SECRET) -> bytes:
    """Compute the HMAC as the API's documentation describes it."""
    message = b"v0:" + received.headers["X-Request-Timestamp"].encode() + b":" + received.body
    return hmac.new(secret, message, hashlib.sha256).digest()


def retry_headers(received) -> dict:
    return {name: value for name, value in received.headers.items() if name.lower().startswith("x-retry")}


async def test_a_webhook_is_sent_at_the_end_of_the_job(open_sandbox, receiver, clock):
    client = await open_sandbox(job_seconds=10)
    job_id = (await client.submit(URL, webhook=receiver.url)).json["jobId"]
    await clock.advance(9.9)
    await clock.wait_for_sleepers(1)
    assert receiver.received == []
    await clock.advance(0.1)
    (received,) = await receiver.wait_for(1)
    assert received.json == {"jobId": job_id, "status": "succeeded", "output": VOICEPRINT}
    assert received.headers["Content-Type"] == "application/json"
    assert retry_headers(received) == {}
    assert await deliveries(client, 1) == [Delivery(job_id, receiver.url, 1, 200, None)]


@pytest.mark.parametrize(
    ("url", "settings", "body"),
    [
        (URL, {}, {"status": "succeeded", "output": VOICEPRINT}),
        (FAILED, {}, {"status": "failed", "output": ERROR}),
        (FAILED, {"failed_output": "null"}, {"status": "failed", "output": None}),
        (FAILED, {"failed_output": "missing"}, {"status": "failed"}),
        (FAILED, {"webhook_failed_as": "canceled"}, {"status": "canceled", "output": ERROR}),
        (CANCELED, {}, {"status": "canceled"}),
        (URL, {"webhook_failed_as": "canceled"}, {"status": "succeeded", "output": VOICEPRINT}),
    ],
)
@pytest.mark.parametrize("status_only", [False, True])
async def test_the_body_has_the_status_and_the_output(open_sandbox, receiver, url, settings, body, status_only):
    client = await open_sandbox(job_seconds=0, **settings)
    job_id = (await client.submit(url, webhook=receiver.url, webhookStatusOnly=status_only)).json["jobId"]
    (received,) = await receiver.wait_for(1)
    expected = {"status": body["status"]} if status_only else body
    assert received.json == {"jobId": job_id, **expected}


async def test_a_failed_job_that_is_reported_as_canceled_reads_as_failed(open_sandbox, receiver):
    """A client must therefore read a job before it treats the job as canceled."""
    client = await open_sandbox(job_seconds=0, webhook_failed_as="canceled")
    await client.submit(FAILED, webhook=receiver.url)
    (received,) = await receiver.wait_for(1)
    assert received.json["status"] == "canceled"
    assert (await client.job(received.json["jobId"]))["status"] == "failed"


@pytest.mark.parametrize(
    ("form", "read"),
    [
        ("hex", bytes.fromhex),
        ("base64", base64.b64decode),
        ("v0", lambda text: bytes.fromhex(text.removeprefix("v0="))),
    ],
)
@pytest.mark.parametrize("secret", ["sandbox-webhook-secret", "geheim-ü"])
async def test_a_signature_has_the_configured_encoding(open_sandbox, receiver, clock, form, read, secret):
    client = await open_sandbox(job_seconds=5, webhook_signature=form, webhook_secret=secret)
    await client.submit(URL, webhook=receiver.url)
    await clock.wait_for_sleepers(1)
    await clock.advance(5.75)
    (received,) = await receiver.wait_for(1)
    assert client.sandbox.webhook_secret == secret
    assert received.headers["X-Request-Timestamp"] == "1800000005"
    assert received.headers["X-Signature"].startswith("v0=") is (form == "v0")
    assert read(received.headers["X-Signature"]) == expected_digest(received, secret.encode())


@pytest.mark.parametrize("scale", [1.0, 0.5])
async def test_three_retries_follow_after_0_60_and_300_seconds(open_sandbox, receiver, clock, scale):
    """After the third retry, no more attempts are made."""
    client = await open_sandbox(job_seconds=0, webhook_time_scale=scale)
    receiver.behavior = [500]
    job_id = (await client.submit(URL, webhook=receiver.url)).json["jobId"]
    await deliveries(client, 2)
    await clock.wait_for_sleepers(1)
    await clock.advance(60.0 * scale)
    await deliveries(client, 3)
    await clock.wait_for_sleepers(1)
    await clock.advance(300.0 * scale)
    attempts = await deliveries(client, 4)
    assert attempts == [Delivery(job_id, receiver.url, attempt, 500, "http_error") for attempt in (1, 2, 3, 4)]
    assert clock.slept == [60.0 * scale, 300.0 * scale]
    assert [retry_headers(received) for received in receiver.received] == [
        {},
        {"x-retry-num": "1", "x-retry-reason": "http_error"},
        {"x-retry-num": "2", "x-retry-reason": "http_error"},
        {"x-retry-num": "3", "x-retry-reason": "http_error"},
    ]
    assert client.sandbox.state.webhooks == WebhookTally(attempts=4, delivered=0, waiting=0)


@pytest.mark.parametrize(
    ("behavior", "reason", "requests"),
    [
        (404, "http_error", 1),
        ("drop", "connection_failed", 1),
        ("loop", "too_many_redirects", 4),
        ("hang", "http_timeout", 1),
    ],
)
async def test_a_retry_reports_the_reason(open_sandbox, receiver, behavior, reason, requests):
    """After a delivered retry, no more attempts are made."""
    client = await open_sandbox(job_seconds=0, webhook_timeout=0.5 if behavior == "hang" else 60.0)
    receiver.behavior = [behavior] * requests + [200]
    await client.submit(URL, webhook=receiver.url)
    outcomes = [(delivery.attempt, delivery.reason) for delivery in await deliveries(client, 2)]
    assert outcomes == [(1, reason), (2, None)]
    assert retry_headers(receiver.received[-1]) == {"x-retry-num": "1", "x-retry-reason": reason}
    assert client.sandbox.state.webhooks == WebhookTally(attempts=2, delivered=1, waiting=0)


async def test_an_unreachable_receiver_does_not_stop_other_webhooks(instant, receiver):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # but does not listen
        unreachable = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        await instant.submit(URL, webhook=unreachable)
        assert [delivery.reason for delivery in await deliveries(instant, 2)] == ["connection_failed"] * 2
    await instant.submit(URL, webhook=receiver.url)
    assert (await deliveries(instant, 3))[-1].status == 200


@pytest.mark.parametrize(("anew", "timestamps"), [(True, [0, 0, 7]), (False, [0, 0, 0])])
async def test_a_retry_is_signed_anew_or_has_the_first_signature(open_sandbox, receiver, clock, anew, timestamps):
    """The signature is valid and the body unchanged in both cases."""
    client = await open_sandbox(job_seconds=0, webhook_sign_anew=anew, webhook_retry_delays=(0, 7))
    receiver.behavior = [503, 503, 200]
    await client.submit(URL, webhook=receiver.url)
    await deliveries(client, 2)
    await clock.wait_for_sleepers(1)
    await clock.advance(7.0)
    attempts = await receiver.wait_for(3)
    assert [int(received.headers["X-Request-Timestamp"]) - 1_800_000_000 for received in attempts] == timestamps
    assert [received.headers["X-Signature"] for received in attempts] == [
        expected_digest(received).hex() for received in attempts
    ]
    assert len({received.body for received in attempts}) == 1


async def test_without_delays_there_are_no_retries(open_sandbox, receiver):
    client = await open_sandbox(job_seconds=0, webhook_retry_delays=())
    receiver.behavior = [500]
    await client.submit(URL, webhook=receiver.url)
    await deliveries(client, 1)
    assert client.sandbox.state.webhooks.waiting == 0


async def test_a_duplicate_has_identical_body_and_headers(instant, receiver):
    instant.sandbox.fail_next_webhook("duplicate")
    await instant.submit(URL, webhook=receiver.url)
    first, second = await receiver.wait_for(2)
    assert (first.body, dict(first.headers)) == (second.body, dict(second.headers))
    assert [delivery.attempt for delivery in await deliveries(instant, 2)] == [1, 1]
    assert instant.sandbox.state.webhooks.waiting == 0


async def test_an_early_webhook_arrives_before_the_response_to_the_submission(open_sandbox, receiver):
    """The job has really finished, although other jobs take an hour."""
    client = await open_sandbox(job_seconds=3600)
    client.sandbox.fail_next_webhook("early")
    receiver.behavior = ["hang"]
    submission = asyncio.ensure_future(client.submit(URL, webhook=receiver.url))
    (received,) = await receiver.wait_for(1)
    assert (await client.job(received.json["jobId"]))["output"] == received.json["output"] == VOICEPRINT
    assert not submission.done()
    receiver.release.set()
    assert (await submission).json == {"jobId": received.json["jobId"], "status": "succeeded"}


async def test_a_failed_early_webhook_delays_the_response_by_one_attempt_only(open_sandbox, receiver, clock):
    """The response is sent after the first attempt. The retries follow as usual."""
    client = await open_sandbox(webhook_retry_delays=(60.0,))
    client.sandbox.fail_next_webhook("early")
    receiver.behavior = [500]
    assert (await client.submit(URL, webhook=receiver.url)).status == 200
    assert len(client.sandbox.deliveries) == 1
    await clock.wait_for_sleepers(1)
    await clock.advance(60.0)
    assert [delivery.attempt for delivery in await deliveries(client, 2)] == [1, 2]


async def test_an_early_webhook_may_be_the_only_source_of_the_job_id(open_sandbox, receiver):
    """The response to the submission is lost, so that only the webhook contains the job id."""
    client = await open_sandbox(job_seconds=3600)
    client.sandbox.fail_next_webhook("early")
    client.sandbox.fail_next("drop-after-accept")
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.submit(URL, webhook=receiver.url)
    assert [received.json["jobId"] for received in receiver.received] == [client.sandbox.accepted[0].id]


async def test_an_early_job_does_not_change_the_durations_of_other_jobs(open_sandbox, receiver):
    durations = []
    for faults in ([], ["early"]):
        client = await open_sandbox(job_seconds=(1.0, 9.0))
        client.sandbox.fail_next_webhook(faults)
        for _ in range(3):
            await client.submit(URL, webhook=receiver.url)
        durations.append([job.seconds for job in client.sandbox.accepted])
    plain, early = durations
    assert (early[0], early[1:]) == (0.0, plain[1:])


async def test_a_lost_webhook_is_never_sent(open_sandbox, receiver, clock):
    """The job has the fault as an attribute. The next job's webhook is sent."""
    client = await open_sandbox()
    client.sandbox.fail_next_webhook("lost")
    ids = [(await client.submit(URL, webhook=receiver.url)).json["jobId"] for _ in range(2)]
    assert client.sandbox.state.webhooks.waiting == 1
    await clock.wait_for_sleepers(1)
    await clock.advance(1000.0)
    assert [delivery.job_id for delivery in await deliveries(client, 1)] == [ids[1]]
    assert [fault and fault.name for fault in (job.webhook_fault for job in client.sandbox.accepted)] == ["lost", None]
    assert client.sandbox.state.webhooks == WebhookTally(attempts=1, delivered=1, waiting=0)


@pytest.mark.parametrize(("url", "reported"), [(URL, "failed"), (FAILED, "succeeded"), (CANCELED, "succeeded")])
async def test_a_tampered_webhook_is_well_formed_but_its_signature_is_wrong(instant, receiver, url, reported):
    """The signature is that of the original body, in retries, too."""
    instant.sandbox.fail_next_webhook("tampered")
    receiver.behavior = [401, 200]
    await instant.submit(url, webhook=receiver.url)
    job = await instant.job(instant.sandbox.accepted[0].id)
    for received in await receiver.wait_for(2):
        assert (received.json["jobId"], received.json["status"]) == (job["jobId"], reported)
        assert received.headers["X-Signature"] != expected_digest(received).hex()
        original = json.dumps({**received.json, "status": job["status"]}).encode()
        message = b"v0:" + received.headers["X-Request-Timestamp"].encode() + b":" + original
        assert received.headers["X-Signature"] == hmac.new(SECRET, message, hashlib.sha256).hexdigest()


async def test_only_jobs_with_a_webhook_have_faults(open_sandbox, receiver):
    """Jobs without a webhook use neither a scripted nor a random fault."""
    faults = []
    for webhooks_only in (True, False):
        client = await open_sandbox(window="none", webhook_faults={"lost": 0.3, "tampered": 0.3}, seed=5)
        client.sandbox.fail_next_webhook("duplicate")
        for _ in range(40):
            if not webhooks_only:
                await client.submit(URL)
            await client.submit(URL, webhook=receiver.url)
        jobs = client.sandbox.accepted
        assert {job.webhook_fault for job in jobs if job.webhook is None} <= {None}
        faults.append([job.webhook_fault and job.webhook_fault.name for job in jobs if job.webhook])
    assert faults[0] == faults[1]
    assert faults[0][0] == "duplicate"
    assert set(faults[0][1:]) == {"lost", "tampered", None}


async def test_a_refused_submission_uses_no_fault(open_sandbox, receiver):
    client = await open_sandbox(credit=1)
    client.sandbox.fail_next_webhook("lost")
    statuses = [(await client.submit(url, webhook=receiver.url)).status for url in ("nonsense", URL, URL)]
    assert statuses == [400, 200, 402]
    assert [job.webhook_fault.name for job in client.sandbox.accepted] == ["lost"]


async def test_a_late_job_has_a_webhook(open_sandbox, receiver, clock):
    client = await open_sandbox(job_seconds=1, accept_late_seconds=2)
    client.sandbox.fail_next("accept-late")
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.submit(URL, webhook=receiver.url)
    for pause in (2.0, 1.0):
        await clock.wait_for_sleepers(1)
        await clock.advance(pause)
    assert (await receiver.wait_for(1))[0].json["status"] == "succeeded"


async def test_jobs_without_a_webhook_need_no_timer_and_no_session(open_sandbox, clock):
    client = await open_sandbox()
    for _ in range(5):
        await client.submit(URL)
    assert (clock.slept, client.sandbox.state.webhooks) == ([], WebhookTally(0, 0, 0))
    assert client.sandbox._api.webhooks._sender._session is None


async def test_many_jobs_that_finish_together_are_reported_in_turns(open_sandbox, receiver, clock):
    """One sleep waits for all jobs, and at most 100 webhooks are in flight at once."""
    client, count = await open_sandbox(window="none", job_seconds=30), MAX_IN_FLIGHT + 50
    for index in range(count):
        await client.submit(f"{URL}?{index}", webhook=receiver.url)
    await clock.wait_for_sleepers(1)
    assert (len(clock.slept), client.sandbox.state.webhooks.waiting) == (1, count)
    receiver.behavior = ["hang"]
    await clock.advance(30.0)
    while receiver.in_flight < MAX_IN_FLIGHT:
        await asyncio.sleep(0.001)
    for _ in range(20):  # further webhooks would arrive in this time
        await asyncio.sleep(0.001)
    assert receiver.in_flight == MAX_IN_FLIGHT
    receiver.release.set()
    reported = {received.json["jobId"] for received in await receiver.wait_for(count)}
    assert reported == {job.id for job in client.sandbox.accepted}
    assert {delivery.status for delivery in await deliveries(client, count)} == {200}


async def test_the_state_counts_webhooks(open_sandbox, receiver):
    client = await open_sandbox(job_seconds=0)
    receiver.behavior = [500, 500, 200]
    for _ in range(2):
        await client.submit(URL, webhook=receiver.url)
        await deliveries(client, 2)
    await deliveries(client, 3)
    state = (await client.get("/_sandbox/state")).json
    assert state["webhooks"] == {"attempts": 3, "delivered": 1, "waiting": 1}


def tasks_of_the_sandbox() -> list[asyncio.Task]:
    """Return the running tasks of the sandbox's own coroutines, without those of the receiver and the client."""
    coroutines = {task: task.get_coro().cr_code.co_filename for task in asyncio.all_tasks()}
    return [task for task, file in coroutines.items() if Path(file).parent == Path(inspect.getfile(Sandbox)).parent]


@pytest.mark.parametrize("behavior", [500, "hang", "drop"])
async def test_stopping_leaves_no_task_and_no_connection(receiver, clock, behavior):
    """One webhook waits for the end of its job, another is in flight or waits for a retry."""
    receiver.behavior = [behavior]
    async with (
        aiohttp.ClientSession(headers={"Authorization": "Bearer sandbox-key"}) as session,
        Sandbox(now=clock.now, sleep=clock.sleep, job_seconds=10) as sandbox,
    ):
        for pause in (10.0, 0.0):
            payload = {"url": URL, "webhook": receiver.url}
            async with session.post(f"{sandbox.url}/v1/voiceprint", json=payload) as response:
                assert response.status == 200
            await clock.wait_for_sleepers(1)
            await clock.advance(pause)
        await receiver.wait_for(1 if behavior == "hang" else 2)
        await clock.wait_for_sleepers(1)
        assert tasks_of_the_sandbox() != []
        assert sandbox.state.webhooks.waiting == 2
        await sandbox.__aexit__()
        assert tasks_of_the_sandbox() == []
        assert (clock.sleepers, sandbox.state.webhooks.waiting) == (0, 0)
    gc.collect()  # an unclosed session or transport emits a warning here, and warnings are errors


async def test_an_early_webhook_does_not_delay_the_end(receiver):
    receiver.behavior = ["hang"]
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer sandbox-key"}) as session, Sandbox() as sandbox:
        sandbox.fail_next_webhook("early")
        payload = {"url": URL, "webhook": receiver.url}
        submission = asyncio.ensure_future(session.post(f"{sandbox.url}/v1/voiceprint", json=payload))
        await receiver.wait_for(1)
        await sandbox.__aexit__()
        with pytest.raises(aiohttp.ClientConnectionError):
            await submission
    assert sandbox.deliveries == []


async def test_the_default_clock_works(receiver):
    """Webhooks are sent with the default `now` and `sleep`, too."""
    async with Sandbox(job_seconds=0.01) as sandbox, aiohttp.ClientSession() as session:
        headers, payload = {"Authorization": "Bearer sandbox-key"}, {"url": URL, "webhook": receiver.url}
        async with session.post(sandbox.url + "/v1/voiceprint", json=payload, headers=headers):
            pass
        (received,) = await receiver.wait_for(1)
    assert received.json["status"] == "succeeded"
