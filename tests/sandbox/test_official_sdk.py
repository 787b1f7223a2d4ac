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
