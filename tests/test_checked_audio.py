"""The check of local audio before the upload, with the extra `[audio]`."""

import asyncio
import io
import sys
import threading

import numpy as np
import pytest
from audio_files import RATE, encoded, speechlike, wav

from pyannote_voiceprint_async import JobFailedError, MediaError
from pyannote_voiceprint_async.sandbox import voiceprint_of

SPEECH = wav(speechlike())
MEETING = wav(np.zeros(3600 * 8000, np.int8).tobytes(), rate=4000)
SILENT = wav(np.zeros(2 * RATE, np.int16))


class PlainFile:
    """An object with the methods of `BinaryFile`, and no others."""

    def __init__(self, data):
        file = io.BytesIO(data)
        self.read, self.seek, self.tell = file.read, file.seek, file.tell


@pytest.fixture(params=["path", "bytes", "file", "plain file"])
def source(request, tmp_path):
    """Local audio in each of its forms."""

    def make(data):
        if request.param == "path":
            (tmp_path / "audio.wav").write_bytes(data)
            return tmp_path / "audio.wav"
        return {"bytes": bytes, "file": io.BytesIO, "plain file": PlainFile}[request.param](data)

    return make


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (MEETING, "The audio lasts 3600.00 s. A voiceprint takes at most 30 s"),
        (SILENT, "The audio is silent"),
        (SPEECH * 2, "The audio has more audio|The audio is several files that were joined"),
        (SPEECH[:-20000], "The audio ends or is damaged after"),
        (b"no audio", "The file is in none of the audio formats that are recognized here"),
    ],
    ids=["a meeting", "silence", "joined", "truncated", "text"],
)
async def test_unsuitable_audio_is_not_uploaded(client, source, data, reason):
    with pytest.raises(MediaError, match=rf"^({reason}).* Nothing was sent; check=False sends the audio unchecked\.$"):
        await client.voiceprint(source(data))
    assert client.stats.requests == 0


async def test_check_false_uploads_unsuitable_audio(client, source):
    """The API then decides, which costs an upload and a job."""
    with pytest.raises(JobFailedError):
        await client.voiceprint(source(MEETING), check=False)
    assert (await client.voiceprint(source(SILENT), check=False)).value == voiceprint_of(SILENT)


async def test_suitable_audio_is_uploaded_unchanged(client, source):
    voiceprint = await client.voiceprint(source(SPEECH))
    assert (voiceprint.value, voiceprint.warnings) == (voiceprint_of(SPEECH), ())


async def test_smaller_findings_become_warnings_of_the_result(client):
    stereo = encoded(np.stack([speechlike()] * 2, axis=1))
    warnings = (await client.voiceprint(stereo)).warnings
    assert warnings == ("has 2 channels, which are mixed down to one. See that they have the same speaker",)
    phone = b"\0\0\0\x20ftypM4A " + bytes(100)
    warnings = (await client.voiceprint(phone)).warnings
    assert warnings == ("is MP4/M4A, which cannot be checked here. It is uploaded unchecked",)


async def test_one_unsuitable_file_stops_no_other(client, tmp_path):
    (tmp_path / "meeting.wav").write_bytes(MEETING)
    sources = [SPEECH, tmp_path / "meeting.wav", io.BytesIO(SPEECH)]
    async with client.voiceprint_many(sources) as results:
        errors = {result.index: type(result.error) async for result in results}
    assert errors == {0: type(None), 1: MediaError, 2: type(None)}
    async with client.voiceprint_many([SILENT], check=False) as results:
        assert [result.error async for result in results] == [None]


async def test_upload_does_not_check_audio(client):
    """Uploads are for identification too, which accepts 24 hours of audio."""
    assert (await client.upload(MEETING)).startswith("media://")


async def test_check_false_does_not_check_waveforms_either(client):
    silence = {"waveform": np.zeros(RATE, np.int16), "sample_rate": RATE}
    with pytest.raises(MediaError, match="is silent"):
        await client.voiceprint(silence)
    assert (await client.voiceprint(silence, check=False)).value


async def test_without_the_extra_files_are_uploaded_unchecked(client, monkeypatch):
    package = "pyannote_voiceprint_async.audio."
    for room in ("recording", "libraries", "meter", "waveform"):
        monkeypatch.delitem(sys.modules, package + room, raising=False)
    monkeypatch.setitem(sys.modules, "soundfile", None)
    assert (await client.voiceprint(SILENT)).value == voiceprint_of(SILENT)


class ObservedFile(io.BytesIO):
    """A file that records which threads read it, and whose reads can be blocked."""

    def __init__(self, data):
        super().__init__(data)
        self.threads = set()
        self.reads = 0
        self.reading, self.may_go_on = threading.Event(), threading.Event()
        self.may_go_on.set()

    def read(self, count=-1):
        self.threads.add(threading.current_thread())
        self.reads += 1
        self.reading.set()
        self.may_go_on.wait()
        return super().read(count)


async def test_audio_is_read_only_on_worker_threads(client):
    file = ObservedFile(SILENT)
    with pytest.raises(MediaError, match="is silent"):
        await client.voiceprint(file)
    assert file.threads
    assert threading.current_thread() not in file.threads


async def test_a_cancelled_check_stops_reading(client):
    file = ObservedFile(SPEECH)
    file.may_go_on.clear()
    task = asyncio.create_task(client.voiceprint(file))
    await asyncio.to_thread(file.reading.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    workers = list(file.threads)
    file.may_go_on.set()
    # Joins the worker threads, so that any read after the cancellation is counted below.
    await asyncio.get_running_loop().shutdown_default_executor()
    assert not any(worker.is_alive() for worker in workers)
    assert file.reads == 1
    assert client.stats.requests == 0
