"""The response of a model: from which objects it can be read, and what it never shows."""

import asyncio
import json
import pickle

import attrs
import pytest

from pyannote_voiceprint_async import (
    AsyncVoiceprintClient,
    Job,
    JobCreated,
    JobStatus,
    JobSummary,
    KeyStatus,
    ResponseInfo,
    Voiceprint,
    VoiceprintOutput,
    WebhookEvent,
)
from pyannote_voiceprint_async.identification_result.identification import Identification
from pyannote_voiceprint_async.sandbox import Sandbox

URL = "https://example.com/voice.wav"
KEY = "sk-1234567890abcdef"
HEADERS = {"X-Request-Id": f"id of {KEY}", "X-RateLimit-Remaining": "99", "Location": f"https://h.example/?sig={KEY}"}


@pytest.fixture
def info() -> ResponseInfo:
    return ResponseInfo(200, HEADERS, 0.25, KEY)


# The client


async def test_every_model_of_a_response_has_it(client):
    job = await client.submit(URL)
    listed = [summary async for summary in client.list_jobs()]
    voiceprint = await client.voiceprint(URL)
    identification = await client.identify(URL, {"Ann": voiceprint})
    read = await client.get_job(job.job_id)
    for model in (job, listed[0], await client.wait(job), voiceprint, identification, read, await client.check_key()):
        assert model.response.status == 200
        assert int(model.response.headers["x-ratelimit-remaining"]) > 0
        assert model.response.elapsed > 0


async def test_elapsed_are_the_seconds_of_the_request_without_the_wait_for_its_permit(start, clock):
    sandbox = await start(Sandbox(rate_limit=(1, 60.0), latency=3.0, now=clock.wall, sleep=clock.sleep))
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, clock=clock))
    for wait in (0.0, 61.0):
        submission = asyncio.create_task(client.submit(URL))
        await clock.advance(wait)
        while not submission.done():
            if sandbox.state.total.in_flight:
                await clock.advance(1.0)
            await asyncio.sleep(0.001)
        elapsed = (await submission).response.elapsed
        assert 3.0 <= elapsed < 60.0


async def test_the_result_of_a_webhook_has_no_response(client, sandbox):
    sandbox.on_next(seconds=1000.0)
    job = await client.submit(URL)
    wait = asyncio.create_task(client.wait(job))
    while not wait.done():
        client.deliver(WebhookEvent(job.job_id, JobStatus.SUCCEEDED, VoiceprintOutput("abc")))
        await asyncio.sleep(0.001)
    assert (wait.result().voiceprint, wait.result().response) == ("abc", None)


# Models


def test_a_model_of_the_program_has_no_response():
    models = (JobCreated("job-1"), Job("job-1", "failed"), JobSummary("job-1"), KeyStatus())
    models += (Voiceprint("abc", "precision-2", "job-1"), Identification("job-1", "precision-2"))
    assert [model.response for model in models] == [None] * 6


def test_the_response_belongs_neither_to_comparison_nor_to_repr_json_and_pickles(info):
    plain, made = (Voiceprint("abc", "precision-2", "job-1") for _ in range(2))
    made.set_response(info)
    assert (made, hash(made), repr(made)) == (plain, hash(plain), repr(plain))
    assert (attrs.asdict(made), made.to_dict()) == (attrs.asdict(plain), plain.to_dict())
    unpickled = pickle.loads(pickle.dumps(made))  # noqa: S301
    assert (unpickled, unpickled.response) == (plain, None)


def test_a_response_cannot_be_replaced(info):
    with pytest.raises(AttributeError):
        JobCreated("job-1").response = info
    with pytest.raises(AttributeError):
        info.status = 500


# What is shown


def test_headers_are_redacted(info):
    assert info.headers == {
        "x-request-id": "id of …",
        "x-ratelimit-remaining": "99",
        "location": "https://h.example/?…",
    }
    assert (info.status, info.elapsed, info.request_id) == (200, 0.25, "id of …")
    assert repr(info) == "<ResponseInfo status=200 elapsed=0.250>"


def test_a_pickle_contains_no_secret(info):
    pickled = pickle.dumps(info)
    assert KEY.encode() not in pickled
    unpickled = pickle.loads(pickled)  # noqa: S301
    assert (unpickled.status, unpickled.headers, unpickled.elapsed) == (200, info.headers, 0.25)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"X-Request-Id": ""}, None),
        ({"request-id": "b"}, "b"),
        ({"Request-Id": "b", "x-request-id": "a"}, "a"),
    ],
)
def test_the_request_id_is_that_of_the_first_known_header(headers, expected):
    assert ResponseInfo(200, headers, 0.0).request_id == expected


def test_headers_are_json(info):
    assert json.loads(json.dumps(info.headers)) == info.headers
