"""WebhookDispatcher over real sockets, on the sandbox's clock."""

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
from pyannote_voiceprint_async.sandbox.webhooks import MOST_AT_ONCE

URL = "https://example.com/voice.wav"
FAILED = "https://example.com/unreachable"
CANCELED = "https://example.com/canceled"
SECRET = b"sandbox-webhook-secret"
VOICEPRINT = {"voiceprint": voiceprint_of(URL)}
ERROR = {"error": "Could not load audio"}


@pytest.fixture
async def at_once(open_sandbox):
    """A sandbox whose jobs end as soon as they are accepted."""
    return await open_sandbox(job_seconds=0)


async def deliveries(caller, count: int) -> list[Delivery]:
    """Wait until so many tries are over."""
    while len(caller.sandbox.deliveries) < count:
        await asyncio.sleep(0.001)
    return list(caller.sandbox.deliveries)


def expected_digest(received, secret=SECRET) -> bytes:
    """The HMAC as a receiver computes it from the documentation."""
    message = b"v0:" + received.headers["X-Request-Timestamp"].encode() + b":" + received.body
    return hmac.new(secret, message, hashlib.sha256).digest()


def retry_headers(received) -> dict:
    return {name: value for name, value in received.headers.items() if name.lower().startswith("x-retry")}


async def test_the_end_of_a_job_is_told_and_not_before(open_sandbox, receiver, time):
    caller = await open_sandbox(job_seconds=10)
    job_id = (await caller.submit(URL, webhook=receiver.url)).json["jobId"]
    await time.advance(9.9)
    await time.until_sleepers(1)
    assert receiver.received == []
    await time.advance(0.1)
    (received,) = await receiver.until(1)
    assert received.json == {"jobId": job_id, "status": "succeeded", "output": VOICEPRINT}
    assert received.headers["Content-Type"] == "application/json"
    assert retry_headers(received) == {}
    assert await deliveries(caller, 1) == [Delivery(job_id, receiver.url, 1, 200, None)]


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
async def test_what_is_told(open_sandbox, receiver, url, settings, body, status_only):
    caller = await open_sandbox(job_seconds=0, **settings)
    job_id = (await caller.submit(url, webhook=receiver.url, webhookStatusOnly=status_only)).json["jobId"]
    (received,) = await receiver.until(1)
    shown = {"status": body["status"]} if status_only else body
    assert received.json == {"jobId": job_id, **shown}


async def test_a_failed_job_that_is_told_as_canceled_reads_as_failed(open_sandbox, receiver):
    """The reason to read a job again before calling it canceled."""
    caller = await open_sandbox(job_seconds=0, webhook_failed_as="canceled")
    await caller.submit(FAILED, webhook=receiver.url)
    (received,) = await receiver.until(1)
    assert received.json["status"] == "canceled"
    assert (await caller.job(received.json["jobId"]))["status"] == "failed"


@pytest.mark.parametrize(
    ("form", "read"),
    [
        ("hex", bytes.fromhex),
        ("base64", base64.b64decode),
        ("v0", lambda text: bytes.fromhex(text.removeprefix("v0="))),
    ],
)
@pytest.mark.parametrize("secret", ["sandbox-webhook-secret", "geheim-ü"])
async def test_signatures(open_sandbox, receiver, time, form, read, secret):
    caller = await open_sandbox(job_seconds=5, webhook_signature=form, webhook_secret=secret)
    await caller.submit(URL, webhook=receiver.url)
    await time.until_sleepers(1)
    await time.advance(5.75)
    (received,) = await receiver.until(1)
    assert caller.sandbox.webhook_secret == secret
    assert received.headers["X-Request-Timestamp"] == "1800000005"
    assert received.headers["X-Signature"].startswith("v0=") is (form == "v0")
    assert read(received.headers["X-Signature"]) == expected_digest(received, secret.encode())


@pytest.mark.parametrize("scale", [1.0, 0.5])
async def test_retries_come_at_once_after_a_minute_and_after_five(open_sandbox, receiver, time, scale):
    """Then it is given up."""
    caller = await open_sandbox(job_seconds=0, webhook_time_scale=scale)
    receiver.behaviour = [500]
    job_id = (await caller.submit(URL, webhook=receiver.url)).json["jobId"]
    await deliveries(caller, 2)
    await time.until_sleepers(1)
    await time.advance(60.0 * scale)
    await deliveries(caller, 3)
    await time.until_sleepers(1)
    await time.advance(300.0 * scale)
    tries = await deliveries(caller, 4)
    assert tries == [Delivery(job_id, receiver.url, attempt, 500, "http_error") for attempt in (1, 2, 3, 4)]
    assert time.slept == [60.0 * scale, 300.0 * scale]
    assert [retry_headers(received) for received in receiver.received] == [
        {},
        {"x-retry-num": "1", "x-retry-reason": "http_error"},
        {"x-retry-num": "2", "x-retry-reason": "http_error"},
        {"x-retry-num": "3", "x-retry-reason": "http_error"},
    ]
    assert caller.sandbox.state.webhooks == WebhookTally(attempts=4, delivered=0, waiting=0)


@pytest.mark.parametrize(
    ("behaviour", "reason", "requests"),
    [
        (404, "http_error", 1),
        ("drop", "connection_failed", 1),
        ("loop", "too_many_redirects", 4),
        ("hang", "http_timeout", 1),
    ],
)
async def test_a_retry_says_why(open_sandbox, receiver, behaviour, reason, requests):
    """And it is the last one, when it is taken."""
    caller = await open_sandbox(job_seconds=0, webhook_timeout=0.5 if behaviour == "hang" else 60.0)
    receiver.behaviour = [behaviour] * requests + [200]
    await caller.submit(URL, webhook=receiver.url)
    outcomes = [(delivery.attempt, delivery.reason) for delivery in await deliveries(caller, 2)]
    assert outcomes == [(1, reason), (2, None)]
    assert retry_headers(receiver.received[-1]) == {"x-retry-num": "1", "x-retry-reason": reason}
    assert caller.sandbox.state.webhooks == WebhookTally(attempts=2, delivered=1, waiting=0)


async def test_a_receiver_that_is_not_there_does_not_stop_the_others(at_once, receiver):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        nowhere = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        await at_once.submit(URL, webhook=nowhere)
        assert [delivery.reason for delivery in await deliveries(at_once, 2)] == ["connection_failed"] * 2
    await at_once.submit(URL, webhook=receiver.url)
    assert (await deliveries(at_once, 3))[-1].status == 200


@pytest.mark.parametrize(("anew", "timestamps"), [(True, [0, 0, 7]), (False, [0, 0, 0])])
async def test_a_retry_is_signed_anew_or_not(open_sandbox, receiver, time, anew, timestamps):
    """Its signature is a good one in either case; its body is the same."""
    caller = await open_sandbox(job_seconds=0, webhook_sign_anew=anew, webhook_retry_delays=(0, 7))
    receiver.behaviour = [503, 503, 200]
    await caller.submit(URL, webhook=receiver.url)
    await deliveries(caller, 2)
    await time.until_sleepers(1)
    await time.advance(7.0)
    tries = await receiver.until(3)
    assert [int(received.headers["X-Request-Timestamp"]) - 1_800_000_000 for received in tries] == timestamps
    assert [received.headers["X-Signature"] for received in tries] == [
        expected_digest(received).hex() for received in tries
    ]
    assert len({received.body for received in tries}) == 1


async def test_no_delays_are_no_retries(open_sandbox, receiver):
    caller = await open_sandbox(job_seconds=0, webhook_retry_delays=())
    receiver.behaviour = [500]
    await caller.submit(URL, webhook=receiver.url)
    await deliveries(caller, 1)
    assert caller.sandbox.state.webhooks.waiting == 0


async def test_a_duplicate_is_the_same_to_the_letter(at_once, receiver):
    at_once.sandbox.fail_next_webhook("duplicate")
    await at_once.submit(URL, webhook=receiver.url)
    first, second = await receiver.until(2)
    assert (first.body, dict(first.headers)) == (second.body, dict(second.headers))
    assert [delivery.attempt for delivery in await deliveries(at_once, 2)] == [1, 1]
    assert at_once.sandbox.state.webhooks.waiting == 0


async def test_an_early_webhook_is_there_before_the_answer(open_sandbox, receiver):
    """The job that it tells of has ended indeed, however long others take."""
    caller = await open_sandbox(job_seconds=3600)
    caller.sandbox.fail_next_webhook("early")
    receiver.behaviour = ["hang"]
    submission = asyncio.ensure_future(caller.submit(URL, webhook=receiver.url))
    (received,) = await receiver.until(1)
    assert (await caller.job(received.json["jobId"]))["output"] == received.json["output"] == VOICEPRINT
    assert not submission.done()
    receiver.release.set()
    assert (await submission).json == {"jobId": received.json["jobId"], "status": "succeeded"}


async def test_an_early_webhook_that_fails_lets_the_answer_go(open_sandbox, receiver, time):
    """After its first try; the others come as ever."""
    caller = await open_sandbox(webhook_retry_delays=(60.0,))
    caller.sandbox.fail_next_webhook("early")
    receiver.behaviour = [500]
    assert (await caller.submit(URL, webhook=receiver.url)).status == 200
    assert len(caller.sandbox.deliveries) == 1
    await time.until_sleepers(1)
    await time.advance(60.0)
    assert [delivery.attempt for delivery in await deliveries(caller, 2)] == [1, 2]


async def test_an_early_webhook_may_be_all_that_a_client_hears(open_sandbox, receiver):
    """The answer to the submission is lost: the webhook alone knows the job."""
    caller = await open_sandbox(job_seconds=3600)
    caller.sandbox.fail_next_webhook("early")
    caller.sandbox.fail_next("drop-after-accept")
    with pytest.raises(aiohttp.ClientConnectionError):
        await caller.submit(URL, webhook=receiver.url)
    assert [received.json["jobId"] for received in receiver.received] == [caller.sandbox.accepted[0].id]


async def test_an_early_job_does_not_change_what_others_draw(open_sandbox, receiver):
    durations = []
    for faults in ([], ["early"]):
        caller = await open_sandbox(job_seconds=(1.0, 9.0))
        caller.sandbox.fail_next_webhook(faults)
        for _ in range(3):
            await caller.submit(URL, webhook=receiver.url)
        durations.append([job.seconds for job in caller.sandbox.accepted])
    plain, early = durations
    assert (early[0], early[1:]) == (0.0, plain[1:])


async def test_a_lost_webhook_is_never_sent(open_sandbox, receiver, time):
    """Its job knows, for tests that roll; the next one is told again."""
    caller = await open_sandbox()
    caller.sandbox.fail_next_webhook("lost")
    ids = [(await caller.submit(URL, webhook=receiver.url)).json["jobId"] for _ in range(2)]
    assert caller.sandbox.state.webhooks.waiting == 1
    await time.until_sleepers(1)
    await time.advance(1000.0)
    assert [delivery.job_id for delivery in await deliveries(caller, 1)] == [ids[1]]
    assert [fault and fault.name for fault in (job.webhook_fault for job in caller.sandbox.accepted)] == ["lost", None]
    assert caller.sandbox.state.webhooks == WebhookTally(attempts=1, delivered=1, waiting=0)


@pytest.mark.parametrize(("url", "told"), [(URL, "failed"), (FAILED, "succeeded"), (CANCELED, "succeeded")])
async def test_a_tampered_webhook_reads_well_and_is_signed_for_something_else(at_once, receiver, url, told):
    """In its retries, too: a receiver that looks never gets a good one."""
    at_once.sandbox.fail_next_webhook("tampered")
    receiver.behaviour = [401, 200]
    await at_once.submit(url, webhook=receiver.url)
    job = await at_once.job(at_once.sandbox.accepted[0].id)
    for received in await receiver.until(2):
        assert (received.json["jobId"], received.json["status"]) == (job["jobId"], told)
        assert received.headers["X-Signature"] != expected_digest(received).hex()
        original = json.dumps({**received.json, "status": job["status"]}).encode()
        message = b"v0:" + received.headers["X-Request-Timestamp"].encode() + b":" + original
        assert received.headers["X-Signature"] == hmac.new(SECRET, message, hashlib.sha256).hexdigest()


async def test_faults_are_rolled_for_jobs_that_have_a_webhook(open_sandbox, receiver):
    """JobRegistry without one neither have a fault nor use a roll or a script up."""
    rolled = []
    for webhooks_only in (True, False):
        caller = await open_sandbox(window="none", webhook_faults={"lost": 0.3, "tampered": 0.3}, seed=5)
        caller.sandbox.fail_next_webhook("duplicate")
        for _ in range(40):
            if not webhooks_only:
                await caller.submit(URL)
            await caller.submit(URL, webhook=receiver.url)
        jobs = caller.sandbox.accepted
        assert {job.webhook_fault for job in jobs if job.webhook is None} <= {None}
        rolled.append([job.webhook_fault and job.webhook_fault.name for job in jobs if job.webhook])
    assert rolled[0] == rolled[1]
    assert rolled[0][0] == "duplicate"
    assert set(rolled[0][1:]) == {"lost", "tampered", None}


async def test_a_refused_submission_uses_no_fault_up(open_sandbox, receiver):
    caller = await open_sandbox(credit=1)
    caller.sandbox.fail_next_webhook("lost")
    statuses = [(await caller.submit(url, webhook=receiver.url)).status for url in ("nonsense", URL, URL)]
    assert statuses == [400, 200, 402]
    assert [job.webhook_fault.name for job in caller.sandbox.accepted] == ["lost"]


async def test_a_late_job_is_told_too(open_sandbox, receiver, time):
    caller = await open_sandbox(job_seconds=1, accept_late_seconds=2)
    caller.sandbox.fail_next("accept-late")
    with pytest.raises(aiohttp.ClientConnectionError):
        await caller.submit(URL, webhook=receiver.url)
    for pause in (2.0, 1.0):
        await time.until_sleepers(1)
        await time.advance(pause)
    assert (await receiver.until(1))[0].json["status"] == "succeeded"


async def test_jobs_without_a_webhook_cost_nothing(open_sandbox, time):
    caller = await open_sandbox()
    for _ in range(5):
        await caller.submit(URL)
    assert (time.slept, caller.sandbox.state.webhooks) == ([], WebhookTally(0, 0, 0))
    assert caller.sandbox._api.webhooks._sender._session is None


async def test_many_jobs_that_end_together_are_told_in_turns(open_sandbox, receiver, time):
    """One sleep waits for them all, and no more than a hundred are on the wire at once."""
    caller, count = await open_sandbox(window="none", job_seconds=30), MOST_AT_ONCE + 50
    for index in range(count):
        await caller.submit(f"{URL}?{index}", webhook=receiver.url)
    await time.until_sleepers(1)
    assert (len(time.slept), caller.sandbox.state.webhooks.waiting) == (1, count)
    receiver.behaviour = ["hang"]
    await time.advance(30.0)
    while receiver.in_flight < MOST_AT_ONCE:
        await asyncio.sleep(0.001)
    for _ in range(20):  # what is on its way would be there by now
        await asyncio.sleep(0.001)
    assert receiver.in_flight == MOST_AT_ONCE
    receiver.release.set()
    told = {received.json["jobId"] for received in await receiver.until(count)}
    assert told == {job.id for job in caller.sandbox.accepted}
    assert {delivery.status for delivery in await deliveries(caller, count)} == {200}


async def test_the_counts_are_shown(open_sandbox, receiver):
    caller = await open_sandbox(job_seconds=0)
    receiver.behaviour = [500, 500, 200]
    for _ in range(2):
        await caller.submit(URL, webhook=receiver.url)
        await deliveries(caller, 2)
    await deliveries(caller, 3)
    state = (await caller.get("/_sandbox/state")).json
    assert state["webhooks"] == {"attempts": 3, "delivered": 1, "waiting": 1}


def tasks_of_the_sandbox() -> list[asyncio.Task]:
    """What runs now of the sandbox's own coroutines; the receiver's and the client's are none of its business."""
    coroutines = {task: task.get_coro().cr_code.co_filename for task in asyncio.all_tasks()}
    return [task for task, file in coroutines.items() if Path(file).parent == Path(inspect.getfile(Sandbox)).parent]


@pytest.mark.parametrize("behaviour", [500, "hang", "drop"])
async def test_nothing_is_left_behind(receiver, time, behaviour):
    """Before the end of a job, on the wire, and between two tries."""
    receiver.behaviour = [behaviour]
    async with (
        aiohttp.ClientSession(headers={"Authorization": "Bearer sandbox-key"}) as session,
        Sandbox(now=time.now, sleep=time.sleep, job_seconds=10) as sandbox,
    ):
        for pause in (10.0, 0.0):
            payload = {"url": URL, "webhook": receiver.url}
            async with session.post(f"{sandbox.url}/v1/voiceprint", json=payload) as response:
                assert response.status == 200
            await time.until_sleepers(1)
            await time.advance(pause)
        await receiver.until(1 if behaviour == "hang" else 2)
        await time.until_sleepers(1)
        assert tasks_of_the_sandbox() != []
        assert sandbox.state.webhooks.waiting == 2
        await sandbox.__aexit__()
        assert tasks_of_the_sandbox() == []
        assert (time.sleepers, sandbox.state.webhooks.waiting) == (0, 0)
    gc.collect()  # a session or transport that was not closed warns here, and warnings are errors


async def test_an_early_webhook_does_not_hold_the_end_up(receiver):
    receiver.behaviour = ["hang"]
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer sandbox-key"}) as session, Sandbox() as sandbox:
        sandbox.fail_next_webhook("early")
        payload = {"url": URL, "webhook": receiver.url}
        submission = asyncio.ensure_future(session.post(f"{sandbox.url}/v1/voiceprint", json=payload))
        await receiver.until(1)
        await sandbox.__aexit__()
        with pytest.raises(aiohttp.ClientConnectionError):
            await submission
    assert sandbox.deliveries == []


async def test_the_real_clock_tells_too(receiver):
    """The defaults of `now` and `sleep`."""
    async with Sandbox(job_seconds=0.01) as sandbox, aiohttp.ClientSession() as session:
        headers, payload = {"Authorization": "Bearer sandbox-key"}, {"url": URL, "webhook": receiver.url}
        async with session.post(sandbox.url + "/v1/voiceprint", json=payload, headers=headers):
            pass
        (received,) = await receiver.until(1)
    assert received.json["status"] == "succeeded"
