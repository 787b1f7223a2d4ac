"""Identification jobs over real sockets: submission, limits, billing and output."""

import io
import json

import pytest


async def finished(client, clock, response) -> dict:
    """Return the job of an accepted submission after its end."""
    assert response.status == 200
    await clock.advance(1.0)
    return await client.job(response.json["jobId"])


async def upload(client, data, key="meeting.wav") -> str:
    url = f"media://{key}"
    assert (await client.put(await client.presign(url), io.BytesIO(data))).status == 200
    return url


async def test_a_job_names_the_submitted_speakers(client, clock):
    response = await client.identify()
    assert response.json == {"jobId": client.sandbox.accepted[0].id, "status": "pending"}
    job = await finished(client, clock, response)
    assert job["status"] == "succeeded"
    names = {turn["match"] for turn in job["output"]["identification"]}
    assert {"anna", "bert"} >= names - {None}
    assert names - {None}
    [best] = [voice["confidence"]["anna"] for voice in job["output"]["voiceprints"] if voice["match"] == "anna"]
    assert best > 60


async def test_the_same_submission_has_the_same_output(client, clock):
    first = await finished(client, clock, await client.identify())
    second = await finished(client, clock, await client.identify())
    other = await finished(client, clock, await client.identify("https://example.com/other.wav"))
    assert first["output"] == second["output"]
    assert first["output"]["diarization"] != other["output"]["diarization"]


async def test_an_invalid_body_names_the_fields_and_costs_nothing(client):
    response = await client.identify("nonsense", speakers=["speaker_1", "anna"], exclusive=None)
    assert (response.status, response.json["message"]) == (400, "Invalid request")
    assert [error["field"] for error in response.json["errors"]] == ["url", "voiceprints.0.label", "exclusive"]
    assert client.sandbox.accepted == []


async def test_identification_has_its_own_rate_limit(open_sandbox):
    client = await open_sandbox(rate_limit=(1, 60.0))
    responses = [await client.identify(), await client.submit(), await client.identify()]
    assert [response.status for response in responses] == [200, 200, 429]
    assert client.sandbox.state.operations["identify"].rate_limited == 1


async def test_both_kinds_of_submission_use_the_credit(open_sandbox):
    client = await open_sandbox(credit=1)
    assert [(await client.identify()).status, (await client.submit()).status] == [200, 402]


@pytest.mark.parametrize(
    ("url", "status"),
    [("https://x/unreachable", "failed"), ("https://x/canceled", "canceled"), ("media://no", "failed")],
)
async def test_the_source_decides_how_a_job_ends(client, clock, url, status):
    assert (await finished(client, clock, await client.identify(url)))["status"] == status


@pytest.mark.parametrize(("seconds", "quantity"), [(1.0, 20), (20.0, 20), (31.2, 32)])
async def test_a_job_is_billed_by_seconds_and_20_at_least(client, clock, wav, seconds, quantity):
    """A recording may be longer than the audio of a voiceprint."""
    job = await finished(client, clock, await client.identify(await upload(client, wav(seconds))))
    [item] = (await client.get("/v2/jobs")).json["items"]
    assert (job["status"], item["type"], item["quantity"]) == ("succeeded", "identify", quantity)
    assert max(turn["end"] for turn in job["output"]["diarization"]) == pytest.approx(seconds)


async def test_a_recording_of_more_than_24_hours_fails(client, clock, wav):
    url = await upload(client, wav(24 * 3600 + 1, rate=20))
    assert (await finished(client, clock, await client.identify(url)))["status"] == "failed"


async def test_the_largest_valid_submission_is_accepted(client, clock):
    """50 voiceprints of 20,000 characters, each written as two escapes of JSON."""
    voiceprints = [
        {"label": "\U0001f600" * 97 + f"{index:03}", "voiceprint": "\U0001f600" * 20_000} for index in range(50)
    ]
    body = json.dumps({"url": "https://x/a.wav", "voiceprints": voiceprints}).encode()
    response = await client.post("/v1/identify", data=io.BytesIO(body))
    job = await finished(client, clock, response)
    assert len(job["output"]["voiceprints"][0]["confidence"]) == 50


@pytest.mark.parametrize(("path", "turns", "seconds"), [("7-turns.wav", 7, 60), ("a/100000-turns", 100_000, 86_400)])
async def test_the_path_of_a_url_can_name_the_number_of_turns(client, clock, path, turns, seconds):
    """A job of a day with 100,000 turns is read without blocking the event loop: its JSON is written in a thread."""
    response = await client.identify(f"https://example.com/{path}", exclusive=True)
    await clock.advance(1.0)
    read = await client.get(f"/v1/jobs/{response.json['jobId']}")
    output = json.loads(read.body)["output"]
    assert [len(output[name]) for name in ("diarization", "exclusiveDiarization", "identification")] == [turns] * 3
    assert output["identification"][-1]["end"] == pytest.approx(seconds)
    assert (await client.get("/v2/jobs")).json["items"][0]["quantity"] == seconds


@pytest.mark.parametrize("turns", [1, 20_000])
async def test_a_webhook_has_the_output_however_large_it_is(client, receiver, clock, turns):
    client.sandbox.on_next(turns=turns)
    await client.identify(webhook=receiver.url)
    await clock.wait_for_sleepers(1)
    await clock.advance(1.0)
    [received] = await receiver.wait_for(1)
    assert received.json["status"] == "succeeded"
    assert len(received.json["output"]["identification"]) == turns


async def test_a_webhook_can_be_limited_to_the_status(client, receiver, clock):
    response = await client.identify(webhook=receiver.url, webhookStatusOnly=True)
    await clock.wait_for_sleepers(1)
    await clock.advance(1.0)
    [received] = await receiver.wait_for(1)
    assert received.json == {"jobId": response.json["jobId"], "status": "succeeded"}
