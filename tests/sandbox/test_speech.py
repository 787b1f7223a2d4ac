"""What the sandbox measures in the examples: its demonstrations name the right people, but it recognizes nobody."""

import asyncio
import sys

import pytest

from pyannote_voiceprint_async.sandbox import voiceprint_of
from pyannote_voiceprint_async.sandbox.speech import LARGEST_MEASURED, SpeechMeter, measure_speech
from pyannote_voiceprint_async.sandbox.voice_vectors import similarity

SPEAKERS = {"june": "june-fr.wav", "carlo": "carlo-it.wav", "allison": "allison-en.wav"}
OTHERS = ("allison-es.wav", "ivrvoice-ru.wav")


@pytest.fixture
def conversation(speech):
    return (speech.parent / "conversation" / "conversation.flac").read_bytes()


@pytest.fixture
def truth(speech):
    """Who speaks when in the conversation: (start, end, name)."""
    lines = (speech.parent / "conversation" / "conversation.rttm").read_text().splitlines()
    fields = [line.split() for line in lines]
    return [(float(start), float(start) + float(seconds), name) for _, _, _, start, seconds, _, _, name, *_ in fields]


async def upload(client, name, data) -> str:
    url = f"media://{name}"
    assert (await client.put(await client.presign(url), data)).status == 200
    return url


async def output(client, clock, response) -> dict:
    await clock.advance(1.0)
    return (await client.job(response.json["jobId"]))["output"]


async def test_the_right_people_are_named_at_the_right_times(client, clock, speech, conversation, truth):
    """The voiceprints are those of other recordings, in other languages."""
    voiceprints = []
    for name, file in SPEAKERS.items():
        url = await upload(client, file, (speech / file).read_bytes())
        made = await output(client, clock, await client.submit(url))
        voiceprints.append({"label": name, "voiceprint": made["voiceprint"]})
    url = await upload(client, "conversation.flac", conversation)
    response = await client.post("/v1/identify", {"url": url, "voiceprints": voiceprints})
    identified = await output(client, clock, response)
    turns = identified["identification"]
    assert [turn["match"] for turn in turns] == [name for _, _, name in truth]
    for turn, (start, end, _) in zip(turns, truth, strict=True):
        assert (turn["start"], turn["end"]) == (pytest.approx(start, abs=0.5), pytest.approx(end, abs=0.5))
    for voice in identified["voiceprints"]:
        best, *others = sorted(voice["confidence"].values(), reverse=True)
        assert best == voice["confidence"][voice["match"]] > 60
        assert best - max(others) > 15
    assert "a simple comparison of sounds. The real API may return others." in identified["warning"]


def test_the_similarity_is_high_for_the_same_voice_only(speech, conversation):
    voices = measure_speech(conversation).recording.voices
    enrolled = {name: measure_speech((speech / name).read_bytes()).voice for name in (*SPEAKERS.values(), *OTHERS)}
    similarities = [[similarity(voice, other) for other in enrolled.values()] for voice in voices]
    expected = [list(enrolled).index(SPEAKERS[name]) for name in ("june", "carlo", "allison")]
    assert [row.index(max(row)) for row in similarities] == expected
    assert min(max(row) for row in similarities) > 0.45
    assert max(value for row in similarities for value in sorted(row)[:-1]) < 0.3


async def test_a_stranger_matches_nobody_above_the_threshold(client, clock, speech, conversation):
    file = speech / "ivrvoice-ru.wav"
    voiceprints = [{"label": "maxim", "voiceprint": voiceprint_of(await asyncio.to_thread(file.read_bytes))}]
    url = await upload(client, "conversation.flac", conversation)
    body = {"url": url, "voiceprints": voiceprints, "matching": {"threshold": 50}}
    identified = await output(client, clock, await client.post("/v1/identify", body))
    assert {turn["match"] for turn in identified["identification"]} == {None}


async def test_the_number_of_speakers_can_be_limited(client, clock, conversation):
    url = await upload(client, "conversation.flac", conversation)
    identified = await output(client, clock, await client.identify(url, numSpeakers=2))
    assert len(identified["voiceprints"]) == 2


def test_the_same_file_has_the_same_voiceprint_and_other_files_of_a_voice_do_not(speech):
    one, other = ((speech / f"allison-{language}.wav").read_bytes() for language in ("en", "es"))
    assert voiceprint_of(one) == voiceprint_of(one) != voiceprint_of(other)


@pytest.mark.parametrize("module", ["numpy", "soundfile"])
def test_without_the_extra_nothing_is_measured(monkeypatch, speech, module):
    data = (speech / "june-fr.wav").read_bytes()
    measured = voiceprint_of(data)
    monkeypatch.setitem(sys.modules, module, None)
    for name in ("spectra", "voices"):
        monkeypatch.delitem(sys.modules, f"pyannote_voiceprint_async.sandbox.{name}")
    assert measure_speech(data) is None
    assert voiceprint_of(data) != measured


async def test_without_the_extra_a_recording_is_made_up_and_the_output_says_so(
    client, clock, monkeypatch, conversation
):
    monkeypatch.setitem(sys.modules, "soundfile", None)
    url = await upload(client, "conversation.flac", conversation)
    identified = await output(client, clock, await client.identify(url))
    assert "made up" in identified["warning"]
    assert "the extra [audio]" in identified["warning"]
    assert identified["identification"][-1]["end"] == pytest.approx(75.625)


async def test_only_a_missing_extra_is_named_as_the_reason(client, clock, wav):
    identified = await output(client, clock, await client.identify(await upload(client, "silence.wav", wav(5.0))))
    assert "made up" in identified["warning"]
    assert "extra" not in identified["warning"]


@pytest.mark.parametrize("data", [b"", b"no audio", b"fLaC" + bytes(40), b"OggS" + bytes(100), b"ID3" + bytes(1000)])
def test_files_that_cannot_be_decoded_have_no_speech(data):
    assert measure_speech(data) is None


def test_files_that_are_too_large_or_too_long_are_not_decoded(wav):
    assert measure_speech(wav(901.0)) is None
    assert measure_speech(wav(1.0) + bytes(LARGEST_MEASURED)) is None


async def test_one_file_is_measured_at_a_time(speech, monkeypatch):
    running, highest = 0, 0
    original = asyncio.to_thread

    async def counting(function, *args):
        nonlocal running, highest
        running += 1
        highest = max(highest, running)
        result = await original(function, *args)
        running -= 1
        return result

    monkeypatch.setattr(asyncio, "to_thread", counting)
    meter, data = SpeechMeter(), (speech / "june-fr.wav").read_bytes()
    measured = await asyncio.gather(*(meter.measure(data) for _ in range(3)))
    assert highest == 1
    assert measured == [measure_speech(data)] * 3
