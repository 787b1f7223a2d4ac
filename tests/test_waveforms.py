"""Waveforms as sources: encoded as FLAC on a worker thread, without a file."""

import asyncio
import subprocess
import sys
import threading

import numpy as np
import pytest
from audio_files import speechlike

from pyannote_voiceprint_async import InvalidRequestError, MediaError
from pyannote_voiceprint_async.audio import as_clip, clips
from pyannote_voiceprint_async.sandbox import voiceprint_of

RATE = 16000
SAMPLES = speechlike()


class Tensor:
    """An object that can be converted to an array, as a tensor can."""

    def numpy(self):
        return SAMPLES


def waveform(samples=SAMPLES, rate=RATE):
    return {"waveform": samples, "sample_rate": rate}


@pytest.mark.parametrize(
    "samples",
    [SAMPLES, SAMPLES / 2**15, (SAMPLES / 2**15).astype(np.float32), SAMPLES[None], np.stack([SAMPLES] * 2), Tensor()],
    ids=["int16", "float64", "float32", "one channel", "two channels", "tensor"],
)
async def test_every_kind_of_array_gives_the_same_voiceprint(client, samples):
    voiceprint = await client.voiceprint(waveform(samples))
    assert voiceprint.value == voiceprint_of(as_clip(SAMPLES, RATE).audio)


async def test_a_batch_of_waveforms_and_other_sources(client, speech):
    path, short = speech / "june-fr.wav", speechlike(1.5)
    async with client.voiceprint_many([waveform(), path, waveform(short)]) as results:
        found = {result.index: result.voiceprint.value async for result in results}
    audio = [as_clip(SAMPLES, RATE).audio, path.read_bytes(), as_clip(short, RATE).audio]
    assert found == {index: voiceprint_of(each) for index, each in enumerate(audio)}


@pytest.mark.parametrize("is_async", [False, True], ids=["generator", "async generator"])
async def test_a_generator_may_fill_the_same_array_again(client, is_async):
    """The samples that were yielded are sent, not the later content of the array."""
    voices = [speechlike(1.0, loud=0.1 * number) for number in range(1, 6)]
    source = waveform(np.zeros_like(voices[0]))

    def record():
        for voice in voices:
            source["waveform"][:] = voice
            yield source
        source["waveform"][:] = 0

    async def recorded():
        for filled in record():
            yield filled

    async with client.voiceprint_many(recorded() if is_async else record()) as results:
        found = {result.index: result.voiceprint.value async for result in results}
    assert found == {index: voiceprint_of(as_clip(voice, RATE).audio) for index, voice in enumerate(voices)}


async def test_closing_while_a_waveform_is_encoded_loses_no_item(client, monkeypatch):
    began, may_end = threading.Event(), threading.Event()
    cut_segments = clips.cut_segments

    def slow(*arguments, **options):
        began.set()
        assert may_end.wait(20)
        return cut_segments(*arguments, **options)

    monkeypatch.setattr(clips, "cut_segments", slow)
    async with client.voiceprint_many([waveform(), waveform()]) as results:
        reading = asyncio.create_task(anext(results))
        while not began.is_set():
            await asyncio.sleep(0.001)
        leaving = asyncio.create_task(results.aclose())
        await asyncio.sleep(0)
        may_end.set()
        await leaving
        left = await reading
    assert (left.index, results.unfinished) == (0, [])
    assert "The item was not sent" in str(left.error)


async def test_a_single_waveform_is_not_accepted_as_a_batch(client):
    with pytest.raises(TypeError, match="put a single source into a list"):
        client.voiceprint_many(waveform())


async def test_a_waveform_is_uploaded_as_flac(client):
    url = await client.upload(waveform())
    assert url.endswith(".flac")
    assert (await client.voiceprint(url)).value == voiceprint_of(as_clip(SAMPLES, RATE).audio)


INVALID = [
    (waveform(speechlike(30.5)), "the limit is 30 s"),
    (waveform(np.zeros(2 * RATE)), r"The waveform is silent \(-120 dBFS\)"),
    (waveform(np.stack([SAMPLES, -SAMPLES])), "because they cancel each other out. Send one channel alone"),
    (waveform(SAMPLES[:100]), r"The waveform lasts 0\.01 s. A voice needs at least 1 s"),
    (waveform(np.full(RATE, np.nan)), "NaN or infinite"),
    (waveform(np.zeros((RATE, 2))), "Channels come first"),
    (waveform(SAMPLES.astype(np.int32)), "pass floats between -1 and 1, or int16"),
    (waveform(rate=0), "positive number of hertz"),
    ({"waveform": SAMPLES}, "'waveform' and 'sample_rate'"),
    ({}, "'waveform' and 'sample_rate'"),
]


@pytest.mark.parametrize(("source", "sentence"), INVALID)
async def test_an_invalid_waveform_is_refused_before_anything_is_sent(client, sandbox, source, sentence):
    with pytest.raises(MediaError, match=sentence):
        await client.voiceprint(source)
    assert sandbox.state.total.requests == 0


async def test_an_invalid_waveform_does_not_stop_the_others(client):
    async with client.voiceprint_many([waveform(rate=-1), waveform()]) as results:
        found = {result.index: result.error async for result in results}
    assert isinstance(found[0], MediaError)
    assert found[1] is None


async def test_upload_accepts_a_waveform_too_long_for_a_voiceprint(client, sandbox):
    await client.upload(waveform(speechlike(31.0)))
    assert sandbox.state.operations["media"].requests == 1


async def test_upload_accepts_a_silent_waveform(client):
    assert (await client.upload(waveform(np.zeros(100)))).startswith("media://")


async def test_encoding_does_not_block_the_event_loop(client, monkeypatch):
    began, may_end = threading.Event(), threading.Event()
    cut_segments = clips.cut_segments

    def slow(*arguments, **options):
        began.set()
        assert may_end.wait(20)
        return cut_segments(*arguments, **options)

    monkeypatch.setattr(clips, "cut_segments", slow)
    upload = asyncio.create_task(client.upload(waveform()))
    while not began.is_set():
        await asyncio.sleep(0.001)
    may_end.set()
    assert (await upload).startswith("media://")


PROGRAM = """
import asyncio, sys
sys.modules["soundfile"] = None
from pyannote_voiceprint_async import AsyncVoiceprintClient, ConfigurationError

async def main():
    async with AsyncVoiceprintClient("key") as client:
        for call in (client.voiceprint, client.upload):
            try:
                await call({"waveform": [0.0], "sample_rate": 8000})
            except ConfigurationError as error:
                print(error)

asyncio.run(main())
"""


def test_without_the_extra_the_error_says_what_to_install():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True, text=True)
    assert done.stdout.count("pip install 'pyannote-voiceprint-async[audio]'") == 2


@pytest.mark.parametrize("source", [SAMPLES, (SAMPLES, RATE)], ids=["array", "array and rate"])
async def test_the_error_for_a_bare_array_shows_the_expected_form(client, source):
    with pytest.raises(InvalidRequestError, match='"waveform": array, "sample_rate": hertz'):
        await client.voiceprint(source)
