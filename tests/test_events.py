"""The events of real operations."""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Any

import attrs
import pytest
from cancelled_calls import cancel_after_acceptance

from pyannote_voiceprint_async import (
    AsyncVoiceprintClient,
    ConfigurationError,
    JobFailedError,
    JobStatus,
    JobTimeoutError,
    QueueTooLongError,
    RateLimit,
    RateLimits,
    RetryPolicy,
    WebhookEvent,
)
from pyannote_voiceprint_async.events import (
    ClientEvent,
    JobAbandoned,
    JobAccepted,
    JobFinished,
    JobWaitStarted,
    OperationFinished,
    OperationStarted,
    RateLimited,
    RequestFinished,
    RequestRetried,
    UploadFinished,
    WebhookDelivered,
)
from pyannote_voiceprint_async.sandbox import Sandbox

URL = "https://example.com/a.wav?signature=not-to-be-shown"
SUBMISSION = "POST /v1/voiceprint"


@pytest.fixture
def seen() -> list[ClientEvent]:
    """The events of the client."""
    return []


@pytest.fixture
def make_client(start_client, seen) -> Callable[..., Any]:
    """Return a function that starts a client whose events are recorded."""
    return partial(start_client, on_event=seen.append)


def names(events: list[ClientEvent]) -> list[str]:
    return [type(event).__name__ for event in events]


def of(events: list[ClientEvent], kind: type[ClientEvent]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


async def test_a_voiceprint_of_local_audio_is_one_operation(make_client, seen, speech):
    client = await make_client()
    voiceprint = await client.voiceprint(speech / "june-fr.wav")
    own = [event for event in seen if event.operation != "poll"]
    assert names(own) == [
        "OperationStarted", "RequestFinished", "UploadFinished", "RequestFinished", "JobAccepted", "JobWaitStarted",
        "JobFinished", "OperationFinished",
    ]  # fmt: skip
    assert {(event.operation_id, event.operation) for event in own} == {(1, "voiceprint")}
    assert [event.endpoint for event in of(own, RequestFinished)] == ["POST /v1/media/input", SUBMISSION]
    assert of(own, UploadFinished)[0].size == (speech / "june-fr.wav").stat().st_size
    assert {event.job_id for event in of(own, JobAccepted) + of(own, JobFinished)} == {voiceprint.job_id}
    assert (own[-1].job_id, own[-1].error) == (voiceprint.job_id, None)


async def test_polls_belong_to_no_operation(make_client, seen):
    client = await make_client()
    await client.voiceprint(URL)
    polls = [event for event in seen if event.operation == "poll"]
    assert {event.operation_id for event in polls} == {0}
    assert {event.endpoint for event in of(polls, RequestFinished)} == {"GET /v1/jobs/…"}


async def test_polls_come_in_no_context_of_a_caller(make_client):
    """The poller serves all callers, and lives longer than the first one."""
    request: ContextVar[str] = ContextVar("request", default="none")
    found = []
    client = await make_client(on_event=lambda event: found.append((event.operation, request.get())))
    request.set("the first")
    job = await client.submit(URL)
    waiting = asyncio.create_task(client.wait(job))
    await asyncio.sleep(0)
    request.set("a webhook")
    client.deliver(WebhookEvent(job.job_id, JobStatus.SUCCEEDED))
    await waiting
    assert {context for operation, context in found if operation == "poll"} == {"none"}
    assert ("deliver", "a webhook") in found


async def test_a_webhook_is_reported(make_client, seen):
    client = await make_client()
    client.deliver(WebhookEvent("job-1", JobStatus.FAILED))
    assert seen == [WebhookDelivered(0, "deliver", "job-1", "failed")]


async def test_requests_report_the_permits_in_use(make_client, seen, clock):
    client = await make_client(rate_limits=RateLimits(submissions=RateLimit(3, per=30.0)), clock=clock)
    for _ in range(3):
        await client.submit(URL)
    await clock.advance(31.0)
    await client.submit(URL)
    assert [event.permits_in_use for event in of(seen, RequestFinished)] == [1, 2, 3, 1]
    assert {event.permit_limit for event in of(seen, RequestFinished)} == {3}


async def test_a_wait_that_ends_without_its_job_has_begun(make_client, seen, sandbox):
    sandbox.on_next(seconds=1000.0)
    client = await make_client()
    with pytest.raises(JobTimeoutError):
        await client.wait(await client.submit(URL), timeout=0.001)
    assert names(seen)[-3:] == ["OperationStarted", "JobWaitStarted", "OperationFinished"]
    assert (seen[-2].job_id, seen[-1].error) == (sandbox.accepted[0].id, "JobTimeoutError")


async def test_each_item_of_a_batch_is_an_operation(make_client, seen):
    client = await make_client()
    async with client.submit_many([URL] * 3) as results:
        assert len([result async for result in results]) == 3
    assert {event.operation_id for event in of(seen, JobAccepted)} == {1, 2, 3}
    assert {event.operation for event in seen} == {"submit"}


@pytest.mark.parametrize(
    ("call", "operation"),
    [
        (lambda client, _: client.submit(URL), "submit"),
        (lambda client, _: client.submit_identification(URL, {"June": "dm9pY2U="}), "submit_identification"),
        (lambda client, _: client.check_key(), "check_key"),
        (lambda client, _: anext(client.list_jobs(), None), "list_jobs"),
        (lambda client, speech: client.upload(speech / "june-fr.wav"), "upload"),
    ],
)
async def test_each_method_has_the_operation_of_its_name(make_client, seen, speech, call, operation):
    await call(await make_client(), speech)
    assert seen[0] == OperationStarted(1, operation)
    assert isinstance(seen[-1], OperationFinished)
    assert {event.operation for event in seen} == {operation}


async def test_the_time_in_the_queue_is_apart_from_the_time_of_the_request(make_client, seen, clock):
    """The second submission waits for the first one's permit."""
    client = await make_client(rate_limits=RateLimits(submissions=RateLimit(1, per=30.0)), clock=clock)
    async with clock.running(client):
        await client.submit(URL)
        await client.submit(URL)
    first, second = of(seen, RequestFinished)
    assert (first.queue_seconds, second.queue_seconds) == (0.0, pytest.approx(30.0, abs=1.0))
    assert second.request_seconds < 1.0
    assert [event.queue_seconds for event in of(seen, JobAccepted)] == [first.queue_seconds, second.queue_seconds]


async def test_a_failed_job_is_reported_with_its_status(make_client, seen, sandbox):
    sandbox.on_next(job="failed", error="Could not load audio")
    client = await make_client()
    with pytest.raises(JobFailedError):
        await client.voiceprint(URL)
    (finished,) = of(seen, JobFinished)
    assert (finished.status, seen[-1].error, client.stats.failed) == ("failed", "JobFailedError", 1)


async def test_a_retry_is_reported(make_client, seen, sandbox, clock):
    sandbox.fail_next("unavailable")
    client = await make_client(clock=clock, retry=RetryPolicy(base=1.0))
    async with clock.running(client):
        await client.submit(URL)
    (retried,) = of(seen, RequestRetried)
    assert (retried.endpoint, retried.tries, retried.error, retried.status) == (SUBMISSION, 1, "ServerError", 503)
    assert [event.status for event in of(seen, RequestFinished)] == [503, 200]


async def test_a_429_is_reported(make_client, seen, sandbox, clock):
    sandbox.fail_next("rate-limited")
    client = await make_client(clock=clock)
    async with clock.running(client):
        await client.submit(URL)
    (limited,) = of(seen, RateLimited)
    assert (limited.endpoint, limited.wait_seconds > 0.0) == (SUBMISSION, True)
    assert [event.error for event in of(seen, RequestFinished)] == ["RateLimitError", None]


async def test_a_request_that_was_not_sent_is_no_request(make_client, seen):
    client = await make_client(rate_limits=RateLimits(submissions=RateLimit(1, per=1000.0)))
    await client.submit(URL)
    seen.clear()
    with pytest.raises(QueueTooLongError):
        await client.submit(URL, max_queue_wait=1.0)
    assert names(seen) == ["OperationStarted", "OperationFinished"]
    assert seen[-1].error == "QueueTooLongError"


async def test_a_job_whose_caller_is_cancelled_is_reported_in_the_operation_of_the_caller(make_client, seen, start):
    sandbox = await start(Sandbox(latency=0.05))
    client = await make_client(base_url=sandbox.url)
    await cancel_after_acceptance(client.submit(URL), sandbox)
    await client.aclose()
    (abandoned,) = of(seen, JobAbandoned)
    assert (abandoned.operation_id, abandoned.job_id) == (1, client.abandoned[0].job_id)
    assert (client.stats.submitted, client.stats.abandoned) == (1, 1)


CALLS: dict[str, Callable[[AsyncVoiceprintClient], Any]] = {
    "submit": lambda client: client.submit(URL),
    "submit with a key": lambda client: client.submit(URL, key="a"),
    "submit_identification": lambda client: client.submit_identification(URL, {"Anna": "dm9pY2U="}),
    "voiceprint": lambda client: client.voiceprint(URL),
    "voiceprint with a key": lambda client: client.voiceprint(URL, key="a"),
    "identify": lambda client: client.identify(URL, {"Anna": "dm9pY2U="}),
}
KINDS = [OperationStarted, RequestFinished, JobAccepted, JobWaitStarted, JobFinished, OperationFinished]


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_hook_that_cancels_the_caller_loses_no_job(start_client, sandbox, tmp_path, call):
    """Whenever it does so: the job is either returned or in `abandoned`."""
    for kind in KINDS:
        accepted = len(sandbox.accepted)

        def cancel(event: ClientEvent) -> None:
            if isinstance(event, kind):  # noqa: B023 - used in this iteration only
                calling.cancel()  # noqa: B023 - the same

        client = await start_client(on_event=cancel, shared=tmp_path / f"{kind.__name__}.db")
        calling = asyncio.create_task(call(client))
        (returned,) = await asyncio.gather(calling, return_exceptions=True)
        await client.aclose()
        known = [job.job_id for job in client.abandoned]
        if not isinstance(returned, asyncio.CancelledError):
            known.append(returned.job_id)
        assert known == [job.id for job in sandbox.accepted][accepted:]
        if kind is OperationFinished:
            assert len(known) == 1


async def test_events_come_in_the_context_of_the_caller(make_client):
    """A hook that continues a trace finds it, also in the task that finishes a submission."""
    trace: ContextVar[str] = ContextVar("trace", default="none")
    found = []
    client = await make_client(on_event=lambda event: found.append((event.operation, trace.get())))
    trace.set("mine")
    await client.voiceprint(URL)
    assert {context for operation, context in found if operation == "voiceprint"} == {"mine"}


async def test_no_event_holds_a_secret(make_client, seen, sandbox, speech):
    client = await make_client()
    await client.voiceprint(URL)
    await client.voiceprint(speech / "june-fr.wav")
    text = repr([attrs.asdict(event) for event in seen])
    assert not any(secret in text for secret in ("not-to-be-shown", sandbox.api_key, "june", "example.com"))


@pytest.mark.parametrize("kind", [ValueError, asyncio.CancelledError])
async def test_a_hook_that_fails_at_every_event_changes_nothing(make_client, sandbox, kind, caplog):
    def fail(_: ClientEvent) -> None:
        raise kind

    client = await make_client(on_event=fail)
    assert (await client.voiceprint(URL)).job_id in {job.job_id async for job in client.list_jobs()}
    assert len(sandbox.accepted) == 1
    assert "on_event raised" in caplog.text


async def coroutine(_: ClientEvent) -> None:
    """Return nothing."""


@pytest.mark.parametrize("hook", [1, "print", coroutine])
def test_a_hook_must_be_a_plain_function(hook):
    with pytest.raises(ConfigurationError, match="on_event must"):
        AsyncVoiceprintClient("key", on_event=hook)
