"""Identifications: the client against the sandbox, and against servers that vary the API."""

import asyncio
import json
from contextlib import nullcontext

import pytest
from aiohttp import web
from cancelled_calls import CancelledCall, cancel_at_every_await
from hostile_server import HostileServer, answer

from pyannote_voiceprint_async import (
    AsyncVoiceprintClient,
    IdentificationOutput,
    IdentificationRequest,
    IdentificationResult,
    IdentifiedTurn,
    InvalidRequestError,
    JobCreated,
    JobError,
    JobExpiredError,
    JobFailedError,
    JobTimeoutError,
    Matching,
    MediaError,
    Polling,
    QueueTooLongError,
    RateLimit,
    RateLimits,
    RetryPolicy,
    VoiceprintError,
    VoiceprintOutput,
    aiohttp_webhook_handler,
)
from pyannote_voiceprint_async.sandbox import Sandbox

URL = "https://example.com/talk.wav"
NO_AUDIO = b"RIFF" * 100
SPEAKERS = {"Ann": "value of Ann", "Bob": "value of Bob"}
ACCEPTED = answer(b'{"jobId":"job-1","status":"created"}')
QUICK = Polling(first=0.01, longest=0.05)


def serving(*responses: bytes | dict) -> list[bytes]:
    """Return the play of a server: the acceptance of a submission, then these job outputs."""
    return [
        answer(json.dumps({"jobId": "job-1", "status": "succeeded", "output": output}).encode()) for output in responses
    ]


class Server:
    """Accepts each submission, and returns the same job for each read."""

    def __init__(self, output: object, **changes: object) -> None:
        self.bodies: list[dict] = []
        self.job = {"jobId": "job-1", "status": "succeeded", "output": output} | changes

    async def __call__(self, wire) -> None:
        body = await wire.body()
        if wire.asked.method == "POST":
            self.bodies.append(json.loads(body))
            await wire.send(ACCEPTED)
        else:
            await wire.send(answer(json.dumps(self.job).encode()))


async def identify(output: object, **changes: object):
    """Return the identification with this output."""
    async with (
        HostileServer(Server(output, **changes)) as server,
        AsyncVoiceprintClient("k", base_url=server.url, polling=QUICK) as client,
    ):
        return await client.identify(URL, SPEAKERS)


# The sandbox


async def test_a_local_recording_is_uploaded_submitted_and_awaited(client, sandbox, speech):
    submitted = []
    found = await client.identify(speech / "allison-en.wav", SPEAKERS, on_submitted=submitted.append)
    assert [job.job_id for job in submitted] == [found.job_id] == [job.id for job in sandbox.accepted]
    assert sandbox.accepted[0].url.startswith("media://")
    assert found.model == "precision-2"
    assert found.turns
    assert found.created_at is not None


async def test_a_submission_is_read_by_wait_and_get_job_as_an_identification(client):
    job = await client.submit_identification(URL, SPEAKERS)
    assert isinstance(job, JobCreated)
    done = await client.wait(job)
    assert isinstance(done.output, IdentificationOutput)
    assert (await client.get_job(job.job_id)).output == done.output
    voiceprint = await client.wait(await client.submit(URL))
    assert isinstance(voiceprint.output, VoiceprintOutput)


async def test_many_recordings(client, sandbox, speech):
    submitted = {}
    sources = [URL, speech / "carlo-it.wav", "ftp://example.com/x", URL]
    async with client.identify_many(sources, SPEAKERS, on_submitted=submitted.__setitem__, num_speakers=2) as results:
        found = {result.index: result async for result in results}
    assert sorted(found) == [0, 1, 2, 3]
    assert isinstance(found[2].error, InvalidRequestError)
    assert {index: found[index].identification.job_id for index in (0, 1, 3)} == {
        index: job.job_id for index, job in submitted.items()
    }
    assert len(sandbox.accepted) == 3


async def test_a_webhook_ends_the_wait(start):
    """Its output is the result: the job is not read."""
    sandbox = await start(Sandbox(window="none", job_seconds=0.1))
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url))
    app = web.Application()
    app.router.add_post("/hook", aiohttp_webhook_handler(client.deliver, sandbox.webhook_secret))
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        hook = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        found = await client.identify(URL, SPEAKERS, webhook=hook)
    finally:
        await runner.cleanup()
    assert found.turns
    assert client.stats.requests == 1


async def test_identifications_have_a_rate_limit_of_their_own(start, clock):
    sandbox = await start(Sandbox(window="none", job_seconds=0.0, now=clock.wall, sleep=clock.sleep))
    limits = RateLimits(submissions=RateLimit(1), identify=RateLimit(1))
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, rate_limits=limits, clock=clock))
    await client.submit(URL)
    await client.submit_identification(URL, SPEAKERS)
    with pytest.raises(QueueTooLongError):
        await client.submit_identification(URL, SPEAKERS, max_queue_wait=5)
    assert len(sandbox.accepted) == 2


# Requests


async def test_every_field_of_the_request_is_sent():
    server = Server({"identification": []})
    async with (
        HostileServer(server) as hostile,
        AsyncVoiceprintClient("k", base_url=hostile.url, polling=Polling(first=0.01, webhook_grace=0.01)) as client,
    ):
        await client.identify(URL, SPEAKERS)
        await client.identify(
            URL,
            {"Ann": "a"},
            model="precision-3",
            matching=Matching(threshold=40, exclusive=False),
            num_speakers=3,
            min_speakers=2,
            max_speakers=4,
            exclusive=True,
            confidence=True,
            turn_level_confidence=True,
            vad_sensitivity=-1.5,
            crosstalk_sensitivity=2,
            webhook="https://example.com/hook",
            webhook_status_only=True,
        )
        await client.submit_identification(IdentificationRequest(URL, {"Ann": "a"}, num_speakers=2))
    assert server.bodies == [
        {
            "url": URL,
            "voiceprints": [
                {"label": "Ann", "voiceprint": "value of Ann"},
                {"label": "Bob", "voiceprint": "value of Bob"},
            ],
            "model": "precision-2",
        },
        {
            "url": URL,
            "voiceprints": [{"label": "Ann", "voiceprint": "a"}],
            "model": "precision-3",
            "matching": {"threshold": 40, "exclusive": False},
            "numSpeakers": 3,
            "minSpeakers": 2,
            "maxSpeakers": 4,
            "exclusive": True,
            "confidence": True,
            "turnLevelConfidence": True,
            "vadSensitivity": -1.5,
            "crosstalkSensitivity": 2,
            "webhook": "https://example.com/hook",
            "webhookStatusOnly": True,
        },
        {"url": URL, "voiceprints": [{"label": "Ann", "voiceprint": "a"}], "model": "precision-2", "numSpeakers": 2},
    ]


async def test_arguments_are_checked_before_the_recording_is_uploaded(client, sandbox, speech):
    path = speech / "allison-en.wav"
    with pytest.raises(InvalidRequestError) as caught:
        await client.identify(path, {"speaker_1": "v"}, num_speakers=0)
    assert [error.field for error in caught.value.errors] == ["voiceprints[0].label", "numSpeakers"]
    with pytest.raises(InvalidRequestError):
        client.identify_many([path], {})
    with pytest.raises(InvalidRequestError):
        await client.submit_identification(URL)
    with pytest.raises(TypeError):
        client.identify_many([path], SPEAKERS, speakers_count=2)
    with pytest.raises(InvalidRequestError, match="must be a URL as str"):
        await client.identify(IdentificationRequest(URL, SPEAKERS), SPEAKERS)
    assert client.stats.requests == 0
    assert list(sandbox.accepted) == []


async def test_a_recording_that_is_too_large_is_refused_before_anything_is_sent(client, tmp_path):
    path = tmp_path / "long.wav"
    with path.open("wb") as file:
        file.truncate(2**30 + 1)
    with pytest.raises(MediaError, match="1 GiB and 24 hours"):
        await client.identify(path, SPEAKERS)
    assert client.stats.requests == 0


async def test_the_webhook_of_the_client_is_used():
    server = Server({"identification": []})
    async with (
        HostileServer(server) as hostile,
        AsyncVoiceprintClient("k", base_url=hostile.url, webhook="https://example.com/hook") as client,
    ):
        await client.submit_identification(URL, SPEAKERS)
    assert server.bodies[0]["webhook"] == "https://example.com/hook"


# Outputs


async def test_an_output_with_empty_lists_is_a_recording_without_speech():
    found = await identify({"warning": "no speech", "identification": []})
    assert (found.turns, found.speakers, found.warnings) == ((), (), ("no speech",))


async def test_an_output_with_a_diarization_alone():
    found = await identify({"diarization": [{"speaker": "S", "start": 0, "end": 1}]})
    assert found.turns == (IdentifiedTurn("S", 0, 1, "S"),)
    assert found.diarization[0].speaker == "S"


async def test_the_warning_of_the_submission_is_kept():
    play = [answer(b'{"jobId":"job-1","status":"created","warning":"short"}'), *serving({"identification": []})]
    async with (
        HostileServer(*play) as server,
        AsyncVoiceprintClient("k", base_url=server.url, polling=QUICK) as client,
    ):
        assert (await client.identify(URL, SPEAKERS)).warnings == ("short",)


@pytest.mark.parametrize(
    ("output", "changes", "error"),
    [
        ({"error": "Could not load audio"}, {"status": "failed"}, JobFailedError),
        (None, {"status": "failed"}, JobFailedError),
        ({"voiceprint": "v"}, {}, JobError),
        (None, {}, JobExpiredError),
    ],
)
async def test_a_job_without_an_identification(output, changes, error):
    with pytest.raises(error) as caught:
        await identify(output, **changes)
    assert (type(caught.value), caught.value.job_id) == (error, "job-1")


async def test_a_large_output_is_read_in_a_thread():
    turns = [
        {"speaker": "Ann", "start": n, "end": n + 0.5, "diarizationSpeaker": "S", "match": "Ann"} for n in range(20_000)
    ]
    found = await identify({"identification": turns})
    assert len(found.turns) == 20_000
    assert found.turns[-1] == IdentifiedTurn("Ann", 19_999, 19_999.5, "S", "Ann")
    assert found.speakers[0].seconds == 10_000


async def test_50_long_voiceprints_are_sent():
    server = Server({"identification": []})
    speakers = {f"{number:02}" + "\u4e9c" * 98: f"{number:02}" * 10_000 for number in range(50)}
    async with HostileServer(server) as hostile, AsyncVoiceprintClient("k", base_url=hostile.url) as client:
        await client.submit_identification(URL, speakers)
    assert {one["label"]: one["voiceprint"] for one in server.bodies[0]["voiceprints"]} == speakers


# Money


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.identify(URL, SPEAKERS),
        lambda client: client.identify(NO_AUDIO, SPEAKERS),
        lambda client: client.submit_identification(URL, SPEAKERS),
    ],
    ids=["identify a URL", "identify bytes", "submit"],
)
async def test_a_call_cancelled_at_any_await_loses_no_job(sandbox, call):
    """The id of an accepted job is returned, in the error, or in `abandoned`; nothing is submitted twice."""

    def check(left: CancelledCall) -> None:
        assert left.known == [*left.accepted]

    counts = await cancel_at_every_await(sandbox, call, check)
    assert {*counts} == {0, 1}


async def test_a_call_with_a_key_cancelled_at_any_await_is_paid_once(start, sandbox, tmp_path):
    """Calls with the same keys return the jobs of the cancelled calls, and submit only what was not submitted."""
    keys: list[str] = []

    async def call(client: AsyncVoiceprintClient) -> JobCreated:
        keys.append(f"key-{len(keys)}")
        return await client.submit_identification(URL, SPEAKERS, key=keys[-1])

    def check(left: CancelledCall) -> None:
        assert len(left.accepted) <= 1

    shared = tmp_path / "shared.db"
    counts = await cancel_at_every_await(sandbox, call, check, uses_threads=True, shared=shared)
    assert counts[0] >= 3
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, shared=shared))
    jobs = await asyncio.gather(*(client.submit_identification(URL, SPEAKERS, key=key) for key in keys))
    assert {job.job_id for job in jobs} == {job.id for job in sandbox.accepted}
    assert len(sandbox.accepted) == len(keys)


@pytest.mark.parametrize("is_in_async_with", [True, False])
async def test_a_batch_cancelled_at_any_await_loses_no_job(sandbox, is_in_async_with):
    """The id of an accepted job was yielded, or is in `abandoned`; nothing is submitted twice."""
    sources = [URL, NO_AUDIO, URL]
    yielded: list[str] = []
    batches = []

    def job_id_of(result: IdentificationResult) -> str | None:
        return (result.identification or result.error).job_id

    async def call(client: AsyncVoiceprintClient) -> None:
        yielded.clear()
        batches[:] = [results := client.identify_many(sources, SPEAKERS)]
        async with results if is_in_async_with else nullcontext():
            async for result in results:
                yielded.append(job_id_of(result))

    def check(left: CancelledCall) -> None:
        assert sorted([*yielded, *left.known]) == sorted(left.accepted)
        for results in batches:
            assert {*filter(None, map(job_id_of, results.unfinished))} <= {*left.abandoned}

    counts = await cancel_at_every_await(sandbox, call, check)
    assert {*counts} >= {0, 3}


async def test_a_submission_that_may_have_been_accepted_is_not_repeated(start):
    sandbox = await start(Sandbox(window="none"))
    sandbox.fail_next("drop-after-accept", operation="identify")
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, retry=RetryPolicy(base=0.001)))
    with pytest.raises(VoiceprintError) as caught:
        await client.identify(URL, SPEAKERS)
    assert (caught.value.outcome_unknown, caught.value.retryable) == (True, False)
    assert len(sandbox.accepted) == 1


async def test_a_refusal_for_now_is_repeated():
    refusals = [answer(b"", status, Retry_After="0.01") for status in (503, 429)]
    async with (
        HostileServer(*refusals, ACCEPTED, *serving({"identification": []})) as server,
        AsyncVoiceprintClient("k", base_url=server.url, polling=QUICK) as client,
    ):
        await client.identify(URL, SPEAKERS)
        assert client.stats.requests == 4


async def test_the_timeout_leaves_the_job_running(start):
    sandbox = await start(Sandbox(window="none", job_seconds=1000.0))
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, polling=QUICK))
    with pytest.raises(JobTimeoutError) as caught:
        await client.identify(URL, SPEAKERS, timeout=0.1)
    assert caught.value.job_id == sandbox.accepted[0].id


async def test_leaving_a_batch_early_keeps_the_jobs_in_flight(start):
    sandbox = await start(Sandbox(window="none", job_seconds=1000.0, latency=0.01))
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, polling=QUICK))
    accepted = asyncio.Event()
    results = client.identify_many([URL] * 3, SPEAKERS, on_submitted=lambda *_: accepted.set())
    reading = asyncio.create_task(anext(results))
    await accepted.wait()
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await results.aclose()
    known = {result.error.job_id for result in results.unfinished if result.error.job_id}
    known |= {job.job_id for job in client.abandoned}
    assert known == {job.id for job in sandbox.accepted}
