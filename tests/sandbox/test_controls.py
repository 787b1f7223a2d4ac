"""Scripts and recorded requests of a sandbox, over real sockets."""

import asyncio

import aiohttp
import pytest

from pyannote_voiceprint_async import InvalidSignatureError, verify_webhook
from pyannote_voiceprint_async.sandbox import FAULTS, WEBHOOK_FAULTS, Sandbox, voiceprint_of
from pyannote_voiceprint_async.sandbox.webhook_faults import WEBHOOK_FAULTS as TABLE

URL = "https://example.com/voice.wav"


async def finished(client, clock, response, seconds=1.0) -> dict:
    await clock.advance(seconds)
    job = await client.job(response.json["jobId"])
    return {name: value for name, value in job.items() if name in {"status", "output"}}


async def test_the_next_job_fails_as_scripted(open_sandbox, clock):
    """A scripted error is shown even if failed jobs have no output, and in the list of jobs."""
    client = await open_sandbox(failed_output="missing")
    client.sandbox.on_next(job="failed", error="Audio is too noisy")
    failed = await finished(client, clock, await client.submit(URL))
    assert failed == {"status": "failed", "output": {"error": "Audio is too noisy"}}
    assert (await client.get("/v2/jobs")).json["items"][0]["reason"] == "Audio is too noisy"
    again = await finished(client, clock, await client.submit(URL))
    assert again == {"status": "succeeded", "output": {"voiceprint": voiceprint_of(URL)}}


@pytest.mark.parametrize("operation", ["voiceprint", "identify"])
async def test_the_output_of_a_job_can_be_scripted(client, clock, operation):
    output = {"diarization": [], "identification": [], "voiceprints": [], "new": {"field": 1}}
    client.sandbox.on_next(output=output, operation=operation)
    responses = {"identify": await client.identify(), "voiceprint": await client.submit(URL)}
    assert await finished(client, clock, responses[operation]) == {"status": "succeeded", "output": output}


async def test_a_url_has_its_own_duration_and_outcome(client, clock):
    client.sandbox.on_url("https://example.com/slow/*", seconds=10.0)
    client.sandbox.on_url("https://example.com/none.wav", job="canceled")
    slow, canceled, other = [await client.submit(f"https://example.com/{path}") for path in ("slow/a", "none.wav", "b")]
    assert [(await finished(client, clock, one, 0.5))["status"] for one in (slow, canceled, other)] == [
        "pending", "canceled", "succeeded",
    ]  # fmt: skip
    assert (await finished(client, clock, slow, 9.0))["status"] == "succeeded"


async def test_refused_submissions_use_no_script(client):
    client.sandbox.on_next(error="scripted")
    await client.submit("nonsense")
    client.sandbox.fail_next("server-error")
    await client.submit(URL)
    await client.submit(URL)
    assert [job.error for job in client.sandbox.accepted] == ["scripted"]


async def test_the_length_and_the_turns_of_a_recording_can_be_scripted(client, clock):
    client.sandbox.on_next(audio_seconds=3600.0, turns=5)
    job = await finished(client, clock, await client.identify())
    assert [turn["end"] for turn in job["output"]["diarization"]] == [720.0, 1440.0, 2160.0, 2880.0, 3600.0]
    assert (await client.get("/v2/jobs")).json["items"][0]["quantity"] == 3600


async def test_webhooks_have_scripted_outputs(client, receiver, clock):
    client.sandbox.on_next(error="scripted")
    await client.submit(URL, webhook=receiver.url)
    await clock.wait_for_sleepers(1)
    await clock.advance(1.0)
    [received] = await receiver.wait_for(1)
    assert (received.json["status"], received.json["output"]) == ("failed", {"error": "scripted"})


async def test_requests_are_recorded_with_their_bodies_and_responses(client):
    client.sandbox.fail_next("bad-gateway", operation="jobs")
    created = await client.identify("https://example.com/a.wav", ["anna"], exclusive=True)
    await client.get("/v2/jobs?status=failed")
    await client.get("/v1/jobs/none")
    await client.get("/nothing")
    submission, listing, read, unknown = client.sandbox.requests
    assert (submission.operation, submission.status, submission.job_id) == ("identify", 200, created.json["jobId"])
    assert submission.json["exclusive"] is True
    assert [voiceprint["label"] for voiceprint in submission.json["voiceprints"]] == ["anna"]
    assert submission.headers["content-type"] == "application/json"
    assert (listing.fault, listing.status, listing.query) == ("bad-gateway", 502, {"status": "failed"})
    assert (read.method, read.path, read.operation, read.status) == ("GET", "/v1/jobs/none", "job", 404)
    assert (unknown.path, unknown.operation, unknown.status) == ("/nothing", None, 404)


async def test_recorded_requests_have_no_secrets(client, wav):
    await client.put(await client.presign("media://voice.wav"), wav(0.1))
    await client.submit("media://voice.wav")
    recorded = client.sandbox.requests
    assert [request.operation for request in recorded] == ["media", "upload", "voiceprint"]
    shown = "".join(f"{request!r} {request} {request.headers} {request.query}" for request in recorded)
    assert "sandbox-key" not in shown
    assert "Signature" not in shown
    assert (recorded[1].body, recorded[1].media_url) == (b"", "media://voice.wav")
    assert str(recorded[1]) == "PUT media://voice.wav → 200"


async def test_a_job_whose_connection_was_cut_is_recorded(client):
    client.sandbox.fail_next("drop-after-accept")
    with pytest.raises(aiohttp.ClientError):
        await client.submit(URL)
    [request] = client.sandbox.requests
    assert (request.status, request.fault, request.job_id) == (None, "drop-after-accept", client.sandbox.accepted[0].id)


async def test_introspection_is_not_recorded(client):
    await client.get("/_sandbox/state")
    assert client.sandbox.requests == []


async def test_each_request_is_reported_before_its_response_arrives(open_sandbox):
    heard = []
    client = await open_sandbox(on_request=heard.append)
    await asyncio.gather(*(client.submit(f"{URL}?{index}") for index in range(3)))
    assert heard == list(client.sandbox.requests)
    assert sorted(request.json["url"][-1] for request in heard) == ["0", "1", "2"]


@pytest.mark.parametrize("name", FAULTS)
async def test_every_fault_of_requests_can_be_scripted_by_its_name(client, name):
    client.sandbox.fail_next(name, operation="identify")
    response = None
    try:
        response = await client.identify()
    except aiohttp.ClientError:
        assert name in {"drop-before-read", "drop-after-accept", "accept-late"}
    assert [request.fault for request in client.sandbox.requests] == [name]
    assert response is None or response.status != 200 or name == "truncated-json"


@pytest.mark.parametrize("name", WEBHOOK_FAULTS)
async def test_every_fault_of_webhooks_can_be_scripted_by_its_name(open_sandbox, name):
    client = await open_sandbox(webhook_faults={})
    client.sandbox.fail_next(["bad-gateway", name])
    assert (await client.submit(URL)).status == 502
    await client.submit(URL, webhook="http://127.0.0.1:9/hook")
    assert [job.webhook_fault for job in client.sandbox.accepted] == [TABLE[name]]


def test_an_unknown_fault_lists_all_names():
    with pytest.raises(ValueError) as caught:
        Sandbox().fail_next("gremlins")
    names = ", ".join([*FAULTS, *WEBHOOK_FAULTS])
    assert str(caught.value) == f"There is no fault 'gremlins'. The faults are {names}."


def test_a_fault_of_webhooks_has_no_operation():
    with pytest.raises(ValueError, match="The fault 'lost' affects webhooks"):
        Sandbox().fail_next("lost", operation="voiceprint")


async def test_only_jobs_that_succeed_are_billed(client, wav):
    await client.put(await client.presign("media://long.wav"), wav(25.5))
    for url in ("https://x/a", "https://x/b", "https://x/unreachable"):
        await client.submit(url)
    for url in ("https://x/a", "media://long.wav", "https://x/canceled", "media://none"):
        await client.identify(url)
    assert client.sandbox.billed == {"voiceprint": 2, "identify": 60 + 26}


@pytest.mark.parametrize("form", ["hex", "base64", "v0"])
async def test_a_webhook_of_a_test_is_signed_as_those_of_jobs(open_sandbox, clock, form):
    sandbox = (await open_sandbox(webhook_secret="of the team", webhook_signature=form)).sandbox
    body = b'{"jobId": "of the test", "status": "succeeded"}'
    headers = sandbox.sign_webhook(body)
    event = verify_webhook(body, headers, "of the team", now=clock.now())
    assert (event.job_id, event.status) == ("of the test", "succeeded")
    with pytest.raises(InvalidSignatureError):
        verify_webhook(body + b" ", headers, "of the team", now=clock.now())
