import asyncio
import json
from contextlib import suppress

import aiohttp
import pytest

from pyannote_voiceprint_async.sandbox.fault_plan import FaultPlan
from pyannote_voiceprint_async.sandbox.operations import OPERATIONS

URL = "https://example.com/voice.wav"


@pytest.mark.parametrize("name", ["drop-before-read", "drop-after-accept", "accept-late"])
async def test_a_cut_connection_has_no_response(client, name):
    client.sandbox.fail_next(name)
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.submit(URL)


@pytest.mark.parametrize(
    ("name", "accepted"),
    [
        ("drop-before-read", 0),
        ("drop-after-accept", 1),
        ("accept-late", 0),
        ("server-error", 0),
        ("bad-gateway", 0),
        ("unavailable", 0),
        ("rate-limited", 0),
        ("truncated-json", 1),
    ],
)
async def test_only_two_faults_leave_a_job_at_once(client, name, accepted):
    client.sandbox.fail_next(name, operation="voiceprint")
    with suppress(aiohttp.ClientConnectionError):
        await client.submit(URL)
    assert [job.url for job in client.sandbox.accepted] == [URL] * accepted


@pytest.mark.parametrize(
    ("name", "status", "content_type", "retry_after"),
    [
        ("server-error", 500, "application/json; charset=utf-8", None),
        ("bad-gateway", 502, "text/html; charset=utf-8", None),
        ("unavailable", 503, "application/json; charset=utf-8", "1"),
        ("rate-limited", 429, "application/json; charset=utf-8", "1"),
    ],
)
@pytest.mark.parametrize("operation", [("GET", "/v1/test"), ("POST", "/v1/voiceprint"), ("GET", "/v2/jobs")])
async def test_faults_with_a_response(client, operation, name, status, content_type, retry_after):
    method, path = operation
    client.sandbox.fail_next(name)
    async with client.session.request(method, client.sandbox.url + path) as response:
        assert response.status == status
        assert response.headers["Content-Type"] == content_type
        assert response.headers.get("Retry-After") == retry_after
        assert "X-RateLimit-Limit" in response.headers


async def test_an_injected_429_looks_like_a_real_one(client):
    client.sandbox.fail_next("rate-limited")
    headers = (await client.submit(URL)).headers
    assert {name: headers[f"X-RateLimit-{name}"] for name in ("Limit", "Remaining", "Reset")} == {
        "Limit": "100",
        "Remaining": "0",
        "Reset": "1",
    }


async def test_a_truncated_response_is_complete_http_and_broken_json(client):
    client.sandbox.fail_next("truncated-json")
    response = await client.submit(URL)
    assert (response.status, int(response.headers["Content-Length"])) == (200, len(response.body))
    with pytest.raises(json.JSONDecodeError):
        json.loads(response.body)


async def test_a_late_job_is_created_and_counted_late(open_sandbox, clock):
    client = await open_sandbox(accept_late_seconds=2.0, rate_limit=(1, 60.0))
    client.sandbox.fail_next("accept-late")
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.submit(URL)
    await clock.advance(1.9)
    assert client.sandbox.accepted == []
    await clock.advance(0.1)
    assert [job.created_at for job in client.sandbox.accepted] == [clock.moment]
    assert (await client.submit(URL)).status == 429


async def test_a_late_job_is_checked_when_it_is_created(open_sandbox, clock):
    client = await open_sandbox(credit=1)
    client.sandbox.fail_next("accept-late")
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.submit(URL)
    assert (await client.submit("https://example.com/faster")).status == 200
    await clock.advance(2.0)
    assert [job.url for job in client.sandbox.accepted] == ["https://example.com/faster"]


@pytest.mark.parametrize("name", ["drop-after-accept", "truncated-json"])
async def test_a_refused_submission_is_not_affected_by_faults_of_accepted_ones(client, name):
    client.sandbox.fail_next(name)
    response = await client.submit("nonsense")
    assert (response.status, response.json["message"]) == (400, "Invalid request")


async def test_scripted_faults_affect_one_request_each_in_their_order(client):
    client.sandbox.fail_next(["server-error", "bad-gateway"], operation="voiceprint")
    client.sandbox.fail_next("unavailable", operation="test")
    statuses = [(await client.submit(URL)).status for _ in range(3)]
    assert (statuses, (await client.get("/v1/test")).status) == ([500, 502, 200], 503)


async def test_a_scripted_rate_limit_has_no_burst(client):
    client.sandbox.fail_next("rate-limited")
    assert [(await client.submit(URL)).status for _ in range(2)] == [429, 200]


async def test_a_scripted_fault_of_submissions_waits_for_a_submission(client):
    client.sandbox.fail_next("truncated-json")
    assert (await client.get("/v1/test")).json["status"] == "OK"
    with pytest.raises(json.JSONDecodeError):
        json.loads((await client.submit(URL)).body)


async def test_faults_do_not_affect_introspection(open_sandbox):
    client = await open_sandbox(faults={"server-error": 1.0})
    paths = ("/v1/test", "/_sandbox/state", "/_sandbox/jobs")
    assert [(await client.get(path)).status for path in paths] == [500, 200, 200]


async def test_every_submission_has_its_fault_under_load(open_sandbox):
    """There is one job for each submission that was accepted, with or without a response."""
    client = await open_sandbox(window="none", faults={"drop-after-accept": 0.3, "drop-before-read": 0.3})
    results = await asyncio.gather(*(client.submit(f"{URL}?{index}") for index in range(100)), return_exceptions=True)
    answered = [response.json["jobId"] for response in results if not isinstance(response, Exception)]
    plan = FaultPlan({"drop-after-accept": 0.3, "drop-before-read": 0.3}, 0)
    faults = [plan.choose(OPERATIONS["voiceprint"]) for _ in range(100)]
    expected = [fault and fault.name for fault in faults]
    assert len(answered) == expected.count(None)
    assert len(client.sandbox.accepted) == expected.count(None) + expected.count("drop-after-accept")
    assert set(answered) <= {job.id for job in client.sandbox.accepted}
