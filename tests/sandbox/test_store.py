"""A sandbox with a store, stopped or killed and started again. A copy of the file simulates a kill at that moment."""

import asyncio
import errno
import gc
import json
import shutil
import stat
import tempfile
from pathlib import Path

import aiohttp
import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyannote_voiceprint_async.sandbox import Sandbox, SandboxJob, voiceprint_of
from pyannote_voiceprint_async.sandbox.diarized_recordings import DiarizedRecording, SandboxTurn
from pyannote_voiceprint_async.sandbox.identify_fields import IdentifyFields
from pyannote_voiceprint_async.sandbox.job_scripts import JobScript
from pyannote_voiceprint_async.sandbox.media import StoredMedia
from pyannote_voiceprint_async.sandbox.speech import MeasuredSpeech
from pyannote_voiceprint_async.sandbox.store import SandboxStore, StoreContents

UPLOAD = StoredMedia(sha256=bytes(range(32)), size=7, usable=True, stored_at=1_800_000_000.25)
JOB = SandboxJob(
    id="8c1d8b0e",
    url="media://voice.wav",
    model="precision-3",
    webhook="https://example.com/hook",
    webhook_status_only=True,
    created_at=1_800_000_000.5,
    seconds=0.1,
    fate="succeeded",
    media=UPLOAD,
)


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "sandbox.jsonl"


@pytest.fixture
async def client(open_sandbox, path):
    return await open_sandbox(store=path)


@pytest.fixture
def stop():
    """Return a function that stops a sandbox before the end of the test."""

    async def stop(client):
        await client.sandbox.__aexit__(None, None, None)

    return stop


@pytest.fixture
def after_a_kill(open_sandbox, path, tmp_path):
    """Return a function that starts another sandbox with a copy of the file of this moment."""

    async def start(**settings):
        copy = Path(tempfile.mkdtemp(dir=tmp_path)) / path.name
        shutil.copy(path, copy)
        return await open_sandbox(store=copy, **settings)

    return start


async def all_jobs(client) -> list:
    """Return every job as an item of the list, and as read by its id."""
    page = (await client.get("/v2/jobs?limit=2")).json
    items = page["items"]
    while page["nextCursor"]:
        page = (await client.get(f"/v2/jobs?limit=2&cursor={page['nextCursor']}")).json
        items += page["items"]
    return [(item, await client.job(item["id"])) for item in items]


async def contents_of(path) -> StoreContents:
    store = SandboxStore(path)
    contents = await store.open()
    await store.close()
    return contents


async def test_a_restarted_sandbox_has_the_same_jobs(client, stop, open_sandbox, path, clock, wav):
    await client.put(await client.presign("media://voice.wav"), wav(1.0))
    for url in ("https://x/voice", "media://voice.wav", "media://none", "https://x/unreachable", "https://x/\ud800"):
        await client.submit(url, model="precision-3")
    await client.identify("media://voice.wav", exclusive=True, numSpeakers=2)
    await clock.advance(100.0)
    await client.submit("https://x/canceled", webhook="https://127.0.0.1:9/hook", webhookStatusOnly=True)
    before, accepted = await all_jobs(client), list(client.sandbox.accepted)
    await stop(client)
    again = await open_sandbox(store=path)
    assert (len(before), await all_jobs(again)) == (7, before)
    assert list(again.sandbox.accepted) == accepted
    assert again.sandbox.state.jobs == 7


async def test_jobs_continue_while_the_sandbox_is_stopped(client, stop, open_sandbox, path, clock):
    """Time that passes without a sandbox counts. Jobs that are accepted after the restart are newer."""
    old = (await client.submit("https://x/old")).json["jobId"]
    await stop(client)
    await clock.advance(1.0)
    again = await open_sandbox(store=path)
    new = (await again.submit("https://x/new")).json["jobId"]
    assert [item["id"] for item in (await again.get("/v2/jobs")).json["items"]] == [new, old]
    assert (await again.job(old))["output"] == {"voiceprint": voiceprint_of("https://x/old")}
    await stop(again)
    third = await open_sandbox(store=path)
    assert [job.id for job in third.sandbox.accepted] == [old, new]


async def test_an_upload_can_be_submitted_after_a_kill(client, after_a_kill, clock, wav):
    one, two = wav(1.0), wav(2.0)
    for data in (one, two):
        assert (await client.put(await client.presign("media://voice.wav"), data)).status == 200
    again = await after_a_kill()
    job_id = (await again.submit("media://voice.wav")).json["jobId"]
    await clock.advance(1.0)
    assert (await again.job(job_id))["output"] == {"voiceprint": voiceprint_of(two)}


async def test_an_upload_expires_after_a_kill(client, after_a_kill, clock, wav):
    await client.put(await client.presign("media://voice.wav"), wav(1.0))
    await clock.advance(24 * 3600)
    again = await after_a_kill()
    await again.submit("media://voice.wav")
    assert [job.fate for job in again.sandbox.accepted] == ["failed"]


async def test_every_accepted_job_exists_after_a_kill(client, after_a_kill):
    for count in range(1, 4):
        await asyncio.gather(*(client.submit(f"https://x/{count}/{index}") for index in range(5)))
        again = await after_a_kill()
        assert list(again.sandbox.accepted) == list(client.sandbox.accepted)
        assert len(again.sandbox.accepted) == 5 * count


@pytest.mark.parametrize("fault", ["drop-after-accept", "truncated-json"])
async def test_a_job_whose_response_was_lost_exists_after_a_kill(client, after_a_kill, fault):
    client.sandbox.fail_next(fault)
    try:
        await client.submit()
    except aiohttp.ClientError:
        assert fault == "drop-after-accept"
    assert len((await after_a_kill()).sandbox.accepted) == 1


async def test_a_late_job_is_written_without_another_request(client, path, clock):
    client.sandbox.fail_next("accept-late")
    with pytest.raises(aiohttp.ClientError):
        await client.submit()
    await clock.wait_for_sleepers(1)
    await clock.advance(2.0)
    while not (await contents_of(path)).jobs:
        await asyncio.sleep(0.001)


async def test_used_credit_stays_used_after_a_restart(open_sandbox, stop, path):
    client = await open_sandbox(store=path, credit=2)
    assert (await client.submit()).status == 200
    await stop(client)
    again = await open_sandbox(store=path, credit=2)
    assert [(await again.submit()).status for _ in range(2)] == [200, 402]


async def test_no_response_shows_a_job_that_is_not_in_the_file(client, path):
    """A list of jobs waits for the write, too: a client may look for a listed job after a kill."""
    store = client.sandbox._api.store
    with store._lock:
        submission = asyncio.ensure_future(client.submit())
        while not store._pending:
            await asyncio.sleep(0.001)
        listing = asyncio.ensure_future(client.get("/v2/jobs"))
        done, _ = await asyncio.wait({submission, listing}, timeout=0.2)
        assert done == set()
    job_id = (await submission).json["jobId"]
    assert [item["id"] for item in (await listing).json["items"]] == [job_id]
    assert [job.id for job in (await contents_of(path)).jobs] == [job_id]


async def test_a_sandbox_that_stops_during_a_write_writes_each_job_once(client, stop, path):
    store = client.sandbox._api.store
    with store._lock:
        submission = asyncio.ensure_future(client.submit())
        while not store._pending:
            await asyncio.sleep(0.001)
        stopping = asyncio.ensure_future(stop(client))
        assert isinstance((await asyncio.gather(submission, return_exceptions=True))[0], aiohttp.ClientError)
    await stopping
    assert (await contents_of(path)).jobs == list(client.sandbox.accepted)
    assert len(client.sandbox.accepted) == 1


async def test_a_sandbox_can_be_started_twice(path, clock):
    sandbox = Sandbox(store=path, now=clock.now, sleep=clock.sleep)
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer sandbox-key"}) as session:
        for count in (1, 2):
            async with sandbox:
                async with session.post(sandbox.url + "/v1/voiceprint", json={"url": "https://x"}) as response:
                    assert response.status == 200
                assert len(sandbox.accepted) == count


async def write_store(path, *, jobs=2) -> bytes:
    """Write one upload and some jobs. Return the contents of the file."""
    store = SandboxStore(path)
    await store.open()
    store.add_upload("/_media/one", UPLOAD)
    for number in range(jobs):
        store.add_job(attrs.evolve(JOB, id=f"job {number}"))
    await store.flush()
    await store.close()
    return path.read_bytes()


async def test_a_file_that_was_truncated_anywhere_is_repaired(path):
    """Complete lines stay, an incomplete line is removed, and the next entry begins a new line."""
    whole = await write_store(path)
    head = whole.index(b"\n") + 1
    for end in range(len(whole) + 1):
        path.write_bytes(whole[:end])
        contents = await contents_of(path)
        last = max(whole.rfind(b"\n", 0, end) + 1, head)
        assert path.read_bytes() == whole[:last]
        assert len(contents.uploads) + len(contents.jobs) == whole.count(b"\n", head, last)
    store = SandboxStore(path)
    await store.open()
    store.add_job(JOB)
    await store.close()
    assert [job.id for job in (await contents_of(path)).jobs] == ["job 0", "job 1", JOB.id]


FOREIGN = {
    "a word": b"hello",
    "text": b"Dear diary,\n",
    "half JSON": b'{"jobId"',
    "results": b'{"jobId": "8c1d8b0e"}\n',
    "a database": b"SQLite format 3\x00" + bytes(100),
    "a later version": b'{"file": "pyannote-voiceprint sandbox", "version": 2}\n',
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
async def test_a_foreign_file_is_refused_and_left_unchanged(path, content):
    path.write_bytes(content)
    path.chmod(0o644)
    with pytest.raises(ValueError, match=r"is not the store of a sandbox\. Name another file"):
        await Sandbox(store=path).__aenter__()
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (content, 0o644)
    gc.collect()  # an unclosed file emits a warning here, and warnings are errors


GARBAGE = [
    b"",
    b"hello",
    b"\xff\xfe",
    b"\x00" * 40,
    b"5",
    b"null",
    b"[]",
    b'"job"',
    b"{}",
    b'{"job": null}',
    b'{"job": {}}',
    b'{"job": {"media": null, "voice": 1}}',
    b'{"path": "/_media/one"}',
    b'{"path": "/_media/one", "upload": {"sha256": "xyz", "size": 1, "usable": true, "stored_at": 1.0}}',
    b'{"path": "/_media/one", "upload": {"sha256": 5, "size": 1, "usable": true, "stored_at": 1.0}}',
    b"[" * 100_000,
]


@pytest.mark.parametrize("line", GARBAGE, ids=lambda line: line[:60].decode("latin-1") or "empty")
@pytest.mark.parametrize("incomplete_line", [b"", b'{"job": {"id'])
async def test_a_damaged_line_is_reported_by_its_number_and_the_file_is_left_unchanged(path, line, incomplete_line):
    content = await write_store(path) + line + b"\n" + incomplete_line
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"^Line 5 of the store .* is damaged\. Remove that line"):
        await Sandbox(store=path).__aenter__()
    assert path.read_bytes() == content


@pytest.mark.parametrize("where", ["", "no/such/folder/file"])
async def test_a_path_that_cannot_be_a_file_is_an_error(tmp_path, where):
    with pytest.raises(ValueError, match=r"^The store .* cannot be used \(.+\)\. Name a file"):
        await Sandbox(store=tmp_path / where).__aenter__()


async def test_a_device_is_refused():
    with pytest.raises(ValueError, match="is not the store of a sandbox"):
        await Sandbox(store="/dev/zero").__aenter__()


async def test_a_sandbox_that_cannot_start_leaves_no_task_and_no_open_file(client, tmp_path):
    """The port is opened after the store, so that a taken port is found with an open store."""
    tasks = asyncio.all_tasks()
    second = Sandbox(port=int(client.sandbox.url.rpartition(":")[2]), store=tmp_path / "second")
    with pytest.raises(OSError):
        await second.__aenter__()
    assert asyncio.all_tasks() == tasks
    del second
    gc.collect()  # an unclosed file emits a warning here, and warnings are errors


@pytest.mark.parametrize("existing", [False, True])
async def test_the_file_is_private(path, existing):
    if existing:
        path.touch(0o644)
    await write_store(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_each_job_and_each_upload_is_one_line_of_json(path):
    head, upload, job = [json.loads(line) for line in (await write_store(path, jobs=1)).splitlines()]
    assert head == {"file": "pyannote-voiceprint sandbox", "version": 1}
    digest = bytes(range(32)).hex()
    fields = {"sha256": digest, "size": 7, "usable": True, "stored_at": 1_800_000_000.25}
    fields |= {"seconds": None, "identifiable": False, "speech": None}
    assert upload == {"path": "/_media/one", "upload": fields}
    assert job == {
        "job": {
            "id": "job 0",
            "url": "media://voice.wav",
            "model": "precision-3",
            "webhook": "https://example.com/hook",
            "webhook_status_only": True,
            "created_at": 1_800_000_000.5,
            "seconds": 0.1,
            "fate": "succeeded",
            "media": fields,
            "identification": None,
            "script": dict.fromkeys(("job", "error", "output", "seconds", "audio_seconds", "turns")),
        }
    }


finite = st.floats(allow_nan=False, allow_infinity=False)
turns = st.lists(st.builds(SandboxTurn, finite, finite, st.integers()))
speech = st.builds(MeasuredSpeech, st.binary(), st.builds(DiarizedRecording, finite, turns, st.lists(st.binary())))
uploads = st.builds(StoredMedia, stored_at=finite, seconds=st.none() | finite, speech=st.none() | speech)
scripts = st.builds(JobScript) | st.builds(JobScript, error=st.text(), seconds=st.just((0.5, 2.0)), turns=st.just(3))
scripts |= st.builds(JobScript, output=st.dictionaries(st.text(), st.text()), audio_seconds=st.just(1.5))
jobs = st.builds(
    SandboxJob,
    url=st.text(st.characters()),
    created_at=finite,
    seconds=finite,
    media=st.none() | uploads,
    webhook_fault=st.none(),
    identification=st.none()
    | st.builds(IdentifyFields, st.dictionaries(st.text(st.characters()), st.binary()), finite),
    script=scripts,
)


@given(st.lists(jobs), st.dictionaries(st.text(), uploads))
def test_everything_that_was_added_is_read_back(jobs, uploads):
    async def write_and_read(path) -> StoreContents:
        store = SandboxStore(path)
        assert await store.open() == StoreContents()
        for job in jobs:
            store.add_job(job)
        for name, upload in uploads.items():
            store.add_upload(name, upload)
        await store.close()
        return await contents_of(path)

    with tempfile.TemporaryDirectory() as folder:
        assert asyncio.run(write_and_read(Path(folder) / "store")) == StoreContents(jobs, uploads)


class FullDisk:
    """A file that accepts ten bytes, and no more until `space` is set."""

    def __init__(self, file) -> None:
        self.file = file
        self.left = 10
        self.space = False

    def write(self, data: bytes) -> int:
        if self.space:
            return self.file.write(data)
        if not self.left:
            raise OSError(errno.ENOSPC, "No space left on device")
        count, self.left = self.file.write(data[: self.left]), 0
        return count

    def close(self) -> None:
        self.file.close()


@pytest.fixture
async def full_store(path):
    store = SandboxStore(path)
    await store.open()
    store._file = disk = FullDisk(store._file)
    store.add_job(JOB)
    with pytest.raises(OSError, match="No space left"):
        await store.flush()
    return store, disk


async def test_the_rest_of_a_line_is_written_when_the_disk_has_room_again(full_store, path):
    store, disk = full_store
    disk.space = True
    store.add_job(attrs.evolve(JOB, id="next"))
    await store.flush()
    await store.close()
    assert [job.id for job in (await contents_of(path)).jobs] == [JOB.id, "next"]


async def test_a_disk_that_stays_full_leaves_one_incomplete_line(full_store, path):
    """The next start removes the incomplete line, even in the same store object."""
    store, _ = full_store
    with pytest.raises(OSError, match="No space left"):
        await store.close()
    assert await store.open() == StoreContents()
    store.add_job(JOB)
    await store.close()
    assert (await contents_of(path)).jobs == [JOB]


async def test_a_store_without_a_path_keeps_nothing():
    store = SandboxStore(None)
    store.add_job(JOB)
    store.add_upload("/_media/one", UPLOAD)
    assert not store._pending
    assert await store.open() is None
    await store.flush()
    await store.close()
