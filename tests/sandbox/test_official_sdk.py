"""The vendor's own SDK, unchanged, against the sandbox."""

import asyncio

import pytest
from pyannoteai.sdk import Client
from pyannoteai.sdk.client import PyannoteAIFailedJob

from pyannote_voiceprint_async.sandbox import Sandbox, voiceprint_of


@pytest.fixture
def recording(speech):
    path = speech / "allison-en.wav"
    return path, path.read_bytes()


def enroll(url, key, path, media_url=None):
    """Upload, submit and wait as in the vendor's documentation. The SDK is synchronous and runs in a thread."""
    client = Client(token=key)
    with pytest.warns(UserWarning, match="temporary storage"):
        media = client.upload(path, media_url=media_url)
    with pytest.warns(UserWarning, match="periodic polling"):
        return client.retrieve(client.voiceprint(media), every_seconds=0.01)


@pytest.mark.parametrize("media_url", [None, "media://team/voice.wav"])
async def test_the_sdk_makes_a_voiceprint(monkeypatch, recording, media_url):
    path, data = recording
    async with Sandbox(job_seconds=0.05) as sandbox:
        monkeypatch.setattr(Client, "API_URL", sandbox.url + "/v1")
        job = await asyncio.to_thread(enroll, sandbox.url, sandbox.api_key, path, media_url)
        assert job["output"] == {"voiceprint": voiceprint_of(data)}
        assert [accepted.id for accepted in sandbox.accepted] == [job["jobId"]]


async def test_the_sdk_raises_for_a_failed_job(monkeypatch):
    def fail(key):
        client = Client(token=key)
        client.retrieve(client.voiceprint("https://example.com/unreachable.wav"), every_seconds=0.01)

    async with Sandbox(job_seconds=0) as sandbox:
        monkeypatch.setattr(Client, "API_URL", sandbox.url + "/v1")
        with pytest.raises(PyannoteAIFailedJob) as caught:
            await asyncio.to_thread(fail, sandbox.api_key)
        assert caught.value.args[0] == "Could not load audio"


def identify(key, recording, speakers):
    """Enroll the speakers, then identify them, as in the vendor's documentation."""
    client = Client(token=key)
    voiceprints = {name: enroll(None, key, path)["output"]["voiceprint"] for name, path in speakers.items()}
    with pytest.warns(UserWarning, match="temporary storage"):
        media = client.upload(recording)
    job_id = client.identify(media, voiceprints, exclusive=True, turn_level_confidence=True, matching_threshold=50.0)
    with pytest.warns(UserWarning, match="periodic polling"):
        return client.retrieve(job_id, every_seconds=0.01)


async def test_the_sdk_identifies_the_speakers_of_a_conversation(monkeypatch, speech):
    """The SDK sends null for the numbers of speakers that its user leaves out."""
    recording = speech.parent / "conversation" / "conversation.flac"
    speakers = {"june": speech / "june-fr.wav", "carlo": speech / "carlo-it.wav", "allison": speech / "allison-en.wav"}
    async with Sandbox(job_seconds=0.05) as sandbox:
        monkeypatch.setattr(Client, "API_URL", sandbox.url + "/v1")
        job = await asyncio.to_thread(identify, sandbox.api_key, recording, speakers)
    output = job["output"]
    assert [turn["match"] for turn in output["identification"]] == ["june", "carlo", "june", "allison", "carlo"]
    assert output["exclusiveDiarization"] == output["diarization"]
    assert output["identification"][0]["confidence"]["june"] > 50
    assert [accepted.kind for accepted in sandbox.accepted] == ["voiceprint"] * 3 + ["identify"]
