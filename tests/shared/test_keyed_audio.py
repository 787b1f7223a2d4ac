"""Submission keys of all methods that take one: each source is opened, encoded and paid for once."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from audio_files import speechlike

from pyannote_voiceprint_async import (
    AsyncVoiceprintClient,
    IdentificationRequest,
    InvalidRequestError,
    MediaError,
    VoiceprintRequest,
)
from pyannote_voiceprint_async.audio import as_clip
from pyannote_voiceprint_async.jobs import local_audio
from pyannote_voiceprint_async.sandbox import Sandbox, voiceprint_of

URL = "https://files.example.org/{}.wav"
RATE = 16_000
SPEAKERS = {"Ann": "value of Ann", "Bob": "value of Bob"}


@pytest.fixture
async def client(start: Any, sandbox: Sandbox, tmp_path: Path, no_grace: None, client: Any) -> AsyncVoiceprintClient:
    """A client with shared state that makes no submission twice for a key."""
    settings = {"base_url": sandbox.url, "shared": tmp_path / "shared.db"}
    return await start(AsyncVoiceprintClient(sandbox.api_key, **settings))


class Recording(Mapping[str, Any]):
    """A waveform that counts how often its samples are read."""

    def __init__(self, samples: Any) -> None:
        self.reads = 0
        self._values = {"waveform": samples, "sample_rate": RATE}

    def __getitem__(self, name: str) -> Any:
        self.reads += name == "waveform"
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def uploads(sandbox: Sandbox) -> int:
    return sandbox.state.operations["media"].requests


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The paths that are opened, in order."""
    paths: list[Any] = []
    open_regular_file = local_audio.open_regular_file

    def record(path: Any) -> Any:
        paths.append(path)
        return open_regular_file(path)

    monkeypatch.setattr(local_audio, "open_regular_file", record)
    return paths


async def test_a_file_is_opened_once(client: AsyncVoiceprintClient, sandbox: Sandbox, speech: Path, opened: list[Any]):
    path = speech / "june-fr.wav"
    voiceprint = await client.voiceprint(path, key="june")
    assert voiceprint.value == voiceprint_of(path.read_bytes())
    assert opened == [path]
    assert await client.voiceprint(path, key="june") == voiceprint
    assert (len(opened), uploads(sandbox), len(sandbox.accepted)) == (2, 1, 1)


async def test_a_waveform_is_encoded_once(client: AsyncVoiceprintClient, sandbox: Sandbox):
    reads = []
    for samples in (speechlike(), speechlike()):
        recording = Recording(samples)
        voiceprint = await client.voiceprint(recording, key="a")
        assert voiceprint.value == voiceprint_of(as_clip(samples, RATE).audio)
        reads.append(recording.reads)
    without_key = Recording(speechlike())
    await client.voiceprint(without_key)
    assert reads == [without_key.reads] * 2
    assert len(sandbox.accepted) == 2


async def test_an_open_file_is_uploaded_from_its_position(client: AsyncVoiceprintClient, speech: Path):
    audio = (speech / "june-fr.wav").read_bytes()
    path = speech / "june-fr.wav"
    with path.open("rb") as file:
        voiceprint = await client.voiceprint(file, key="a")
        assert not file.closed
    assert voiceprint.value == voiceprint_of(audio)


async def test_audio_of_an_identification(client: AsyncVoiceprintClient, sandbox: Sandbox, speech: Path):
    path = speech / "june-fr.wav"
    first = await client.identify(path, SPEAKERS, key="talk")
    again = await client.identify(path.read_bytes(), SPEAKERS, key="talk")
    assert again == first
    assert (uploads(sandbox), len(sandbox.accepted)) == (1, 1)
    with pytest.raises(InvalidRequestError, match="the speakers or options differs"):
        await client.identify(path, {"Ann": "another value"}, key="talk")
    with pytest.raises(InvalidRequestError, match="the audio differs"):
        await client.identify(speech / "carlo-it.wav", SPEAKERS, key="talk")
    with pytest.raises(InvalidRequestError, match="the operation differs"):
        await client.voiceprint(path, key="talk")
    assert (uploads(sandbox), len(sandbox.accepted)) == (1, 1)


async def test_a_refused_recording_frees_its_key(client: AsyncVoiceprintClient, sandbox: Sandbox, speech: Path):
    with pytest.raises(MediaError):
        await client.voiceprint(b"no audio at all", key="a")
    await client.voiceprint(speech / "june-fr.wav", key="a")
    assert len(sandbox.accepted) == 1


async def test_the_key_is_a_function_of_the_request(client: AsyncVoiceprintClient, sandbox: Sandbox):
    items = [VoiceprintRequest(URL.format(name)) for name in ("ada", "bob", "ada")]
    for _ in range(2):
        async with client.submit_many(items, key=lambda request: request.url.rpartition("/")[2]) as submissions:
            jobs = {submission.index: submission.job.job_id async for submission in submissions if submission.job}
        assert jobs[0] == jobs[2] != jobs[1]
    assert [job.url for job in sandbox.accepted] in ([items[0].url, items[1].url], [items[1].url, items[0].url])


async def test_an_item_without_a_key_fails_alone(client: AsyncVoiceprintClient, sandbox: Sandbox):
    keys = {URL.format("ada"): "ada", URL.format("bob"): None}
    async with client.submit_many(list(keys), key=keys.__getitem__) as submissions:
        errors = {submission.index: submission.error async for submission in submissions}
    assert errors[0] is None
    assert isinstance(errors[1], InvalidRequestError)
    assert len(sandbox.accepted) == 1


async def test_voiceprints_of_many_sources(
    client: AsyncVoiceprintClient, sandbox: Sandbox, speech: Path, opened: list[Any]
):
    paths = sorted(speech.glob("*.wav"))[:3]
    found = []
    for _ in range(2):
        async with client.voiceprint_many(paths, key=lambda path: path.stem) as results:
            found.append({result.index: result.voiceprint async for result in results})
    assert found[0] == found[1]
    assert {index: print_.value for index, print_ in found[0].items() if print_} == {
        index: voiceprint_of(path.read_bytes()) for index, path in enumerate(paths)
    }
    assert (sorted(opened), uploads(sandbox), len(sandbox.accepted)) == (sorted(2 * paths), 3, 3)


async def test_a_generator_may_fill_the_same_array_again(client: AsyncVoiceprintClient):
    voices = [speechlike(1.0, loud=0.1 * number) for number in range(1, 4)]
    source = {"waveform": np.zeros_like(voices[0]), "sample_rate": RATE}
    keys = iter(("a", "b", "c"))

    def record() -> Iterator[dict[str, Any]]:
        for voice in voices:
            source["waveform"][:] = voice  # type: ignore[index]
            yield source
        source["waveform"][:] = 0  # type: ignore[index]

    async with client.voiceprint_many(record(), key=lambda _: next(keys)) as results:
        found = {result.index: result.voiceprint async for result in results}
    expected = {index: voiceprint_of(as_clip(voice, RATE).audio) for index, voice in enumerate(voices)}
    assert {index: voiceprint.value for index, voiceprint in found.items() if voiceprint} == expected


async def test_identifications_of_many_recordings(client: AsyncVoiceprintClient, sandbox: Sandbox):
    urls = [URL.format(name) for name in ("one", "two", "one")]
    for _ in range(2):
        async with client.identify_many(urls, SPEAKERS, key=str) as results:
            jobs = {result.index: result.identification.job_id async for result in results if result.identification}
        assert jobs[0] == jobs[2] != jobs[1]
    job = await client.submit_identification(IdentificationRequest(urls[0], SPEAKERS), key=urls[0])
    assert job.job_id == jobs[0]
    assert len(sandbox.accepted) == 2
