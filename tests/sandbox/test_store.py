"""A sandbox with a store, started again; a kill is a copy of the file at that instant."""

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

from pyannote_voiceprint_async.sandbox import Job, Sandbox, voiceprint_of
from pyannote_voiceprint_async.sandbox.media import StoredMedia
from pyannote_voiceprint_async.sandbox.store import SandboxStore, StoreContents

UPLOAD = StoredMedia(sha256=bytes(range(32)), size=7, usable=True, stored_at=1_800_000_000.25)
JOB = Job(
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
async def caller(open_sandbox, path):
    return await open_sandbox(store=path)


@pytest.fixture
def end():
    """End a sandbox before its test does."""

    async def end(caller):
        await caller.sandbox.__aexit__(None, None, None)

    return end


@pytest.fixture
def after_a_kill(open_sandbox, path, tmp_path):
    """Start another sandbox with what the file holds at this instant."""

    async def start(**settings):
        copy = Path(tempfile.mkdtemp(dir=tmp_path)) / path.name
        shutil.copy(path, copy)
        return await open_sandbox(store=copy, **settings)

    return start


async def shown(caller) -> list:
    """Every job, as the API reads it and as its list has it, page by page."""
    page = (await caller.get("/v2/jobs?limit=2")).json
    items = page["items"]
    while page["nextCursor"]:
        page = (await caller.get(f"/v2/jobs?limit=2&cursor={page['nextCursor']}")).json
        items += page["items"]
    return [(item, await caller.job(item["id"])) for item in items]


async def kept_in(path) -> StoreContents:
    store = SandboxStore(path)
    kept = await store.open()
    await store.close()
    return kept


async def test_a_sandbox_that_is_started_again_shows_its_jobs_as_before(caller, end, open_sandbox, path, time, wav):
    await caller.put(await caller.presign("media://voice.wav"), wav(1.0))
    for url in ("https://x/voice", "media://voice.wav", "media://none", "https://x/unreachable", "https://x/\ud800"):
        await caller.submit(url, model="precision-3")
    await time.advance(100.0)
    await caller.submit("https://x/canceled", webhook="https://127.0.0.1:9/hook", webhookStatusOnly=True)
    before, accepted = await shown(caller), list(caller.sandbox.accepted)
    await end(caller)
    again = await open_sandbox(store=path)
    assert (len(before), await shown(again)) == (6, before)
    assert list(again.sandbox.accepted) == accepted
    assert again.sandbox.state.jobs == 6


async def test_jobs_go_on_where_they_were(caller, end, open_sandbox, path, time):
    """The server did not stand still while nobody could reach it; new jobs are newer than the old ones."""
    old = (await caller.submit("https://x/old")).json["jobId"]
    await end(caller)
    await time.advance(1.0)
    again = await open_sandbox(store=path)
    new = (await again.submit("https://x/new")).json["jobId"]
    assert [item["id"] for item in (await again.get("/v2/jobs")).json["items"]] == [new, old]
    assert (await again.job(old))["output"] == {"voiceprint": voiceprint_of("https://x/old")}
    await end(again)
    third = await open_sandbox(store=path)
    assert [job.id for job in third.sandbox.accepted] == [old, new]


async def test_an_upload_can_be_submitted_after_a_kill(caller, after_a_kill, time, wav):
    one, two = wav(1.0), wav(2.0)
    for data in (one, two):
        assert (await caller.put(await caller.presign("media://voice.wav"), data)).status == 200
    again = await after_a_kill()
    job_id = (await again.submit("media://voice.wav")).json["jobId"]
    await time.advance(1.0)
    assert (await again.job(job_id))["output"] == {"voiceprint": voiceprint_of(two)}


async def test_an_upload_grows_old_all_the_same(caller, after_a_kill, time, wav):
    await caller.put(await caller.presign("media://voice.wav"), wav(1.0))
    await time.advance(24 * 3600)
    again = await after_a_kill()
    await again.submit("media://voice.wav")
    assert [job.fate for job in again.sandbox.accepted] == ["failed"]


async def test_every_answered_job_is_known_after_a_kill(caller, after_a_kill):
    for count in range(1, 4):
        await asyncio.gather(*(caller.submit(f"https://x/{count}/{index}") for index in range(5)))
        again = await after_a_kill()
        assert list(again.sandbox.accepted) == list(caller.sandbox.accepted)
        assert len(again.sandbox.accepted) == 5 * count


@pytest.mark.parametrize("fault", ["drop-after-accept", "truncated-json"])
async def test_a_job_whose_answer_is_lost_is_known_after_a_kill(caller, after_a_kill, fault):
    caller.sandbox.fail_next(fault)
    try:
        await caller.submit()
    except aiohttp.ClientError:
        assert fault == "drop-after-accept"
    assert len((await after_a_kill()).sandbox.accepted) == 1


async def test_a_late_job_is_kept_without_another_request(caller, path, time):
    caller.sandbox.fail_next("accept-late")
    with pytest.raises(aiohttp.ClientError):
        await caller.submit()
    await time.until_sleepers(1)
    await time.advance(2.0)
    while not (await kept_in(path)).jobs:
        await asyncio.sleep(0.001)


async def test_credit_that_was_spent_stays_spent(open_sandbox, end, path):
    caller = await open_sandbox(store=path, credit=2)
    assert (await caller.submit()).status == 200
    await end(caller)
    again = await open_sandbox(store=path, credit=2)
    assert [(await again.submit()).status for _ in range(2)] == [200, 402]


async def test_no_answer_shows_what_is_not_in_the_file(caller, path):
    """A list of jobs waits, too: whoever saw a job there may look for it after a kill."""
    store = caller.sandbox._api.store
    with store._lock:
        submission = asyncio.ensure_future(caller.submit())
        while not store._pending:
            await asyncio.sleep(0.001)
        listing = asyncio.ensure_future(caller.get("/v2/jobs"))
        done, _ = await asyncio.wait({submission, listing}, timeout=0.2)
        assert done == set()
    job_id = (await submission).json["jobId"]
    assert [item["id"] for item in (await listing).json["items"]] == [job_id]
    assert [job.id for job in (await kept_in(path)).jobs] == [job_id]


async def test_a_sandbox_that_ends_in_the_middle_of_a_write_writes_each_job_once(caller, end, path):
    store = caller.sandbox._api.store
    with store._lock:
        submission = asyncio.ensure_future(caller.submit())
        while not store._pending:
            await asyncio.sleep(0.001)
        ending = asyncio.ensure_future(end(caller))
        assert isinstance((await asyncio.gather(submission, return_exceptions=True))[0], aiohttp.ClientError)
    await ending
    assert (await kept_in(path)).jobs == list(caller.sandbox.accepted)
    assert len(caller.sandbox.accepted) == 1


async def test_the_same_sandbox_may_be_opened_twice(path, time):
    sandbox = Sandbox(store=path, now=time.now, sleep=time.sleep)
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer sandbox-key"}) as session:
        for count in (1, 2):
            async with sandbox:
                async with session.post(sandbox.url + "/v1/voiceprint", json={"url": "https://x"}) as response:
                    assert response.status == 200
                assert len(sandbox.accepted) == count


async def written(path, *, jobs=2) -> bytes:
    store = SandboxStore(path)
    await store.open()
    store.add_upload("/_media/one", UPLOAD)
    for number in range(jobs):
        store.add_job(attrs.evolve(JOB, id=f"job {number}"))
    await store.settle()
    await store.close()
    return path.read_bytes()


async def test_a_file_that_was_cut_anywhere_is_repaired(path):
    """Whole lines stay, half a line goes, and what comes next begins a line of its own."""
    whole = await written(path)
    head = whole.index(b"\n") + 1
    for end in range(len(whole) + 1):
        path.write_bytes(whole[:end])
        kept = await kept_in(path)
        last = max(whole.rfind(b"\n", 0, end) + 1, head)
        assert path.read_bytes() == whole[:last]
        assert len(kept.uploads) + len(kept.jobs) == whole.count(b"\n", head, last)
    store = SandboxStore(path)
    await store.open()
    store.add_job(JOB)
    await store.close()
    assert [job.id for job in (await kept_in(path)).jobs] == ["job 0", "job 1", JOB.id]


FOREIGN = {
    "a word": b"hello",
    "text": b"Dear diary,\n",
    "half JSON": b'{"jobId"',
    "results": b'{"jobId": "8c1d8b0e"}\n',
    "a database": b"SQLite format 3\x00" + bytes(100),
    "a later version": b'{"file": "pyannote-voiceprint sandbox", "version": 2}\n',
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
async def test_a_file_that_is_something_else_is_left_alone(path, content):
    path.write_bytes(content)
    path.chmod(0o644)
    with pytest.raises(ValueError, match=r"is not the store of a sandbox\. Give another file"):
        await Sandbox(store=path).__aenter__()
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (content, 0o644)
    gc.collect()  # a file that was not closed warns here, and warnings are errors


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
@pytest.mark.parametrize("torn", [b"", b'{"job": {"id'])
async def test_a_damaged_line_is_told_by_its_number_and_nothing_is_changed(path, line, torn):
    content = await written(path) + line + b"\n" + torn
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"^Line 5 of the store .* is damaged\. Remove that line"):
        await Sandbox(store=path).__aenter__()
    assert path.read_bytes() == content


@pytest.mark.parametrize("where", ["", "no/such/folder/file"])
async def test_a_path_that_cannot_be_a_file_is_a_sentence(tmp_path, where):
    with pytest.raises(ValueError, match=r"^The store .* cannot be used \(.+\)\. Give a file"):
        await Sandbox(store=tmp_path / where).__aenter__()


async def test_a_device_is_no_store():
    with pytest.raises(ValueError, match="is not the store of a sandbox"):
        await Sandbox(store="/dev/zero").__aenter__()


async def test_a_sandbox_that_cannot_start_leaves_nothing(caller, tmp_path):
    """A taken port is found after the store was opened."""
    tasks = asyncio.all_tasks()
    second = Sandbox(port=int(caller.sandbox.url.rpartition(":")[2]), store=tmp_path / "second")
    with pytest.raises(OSError):
        await second.__aenter__()
    assert asyncio.all_tasks() == tasks
    del second
    gc.collect()  # a file that was not closed warns here, and warnings are errors


@pytest.mark.parametrize("existing", [False, True])
async def test_the_file_is_private(path, existing):
    if existing:
        path.touch(0o644)
    await written(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_each_thing_is_one_line_of_json(path):
    head, upload, job = [json.loads(line) for line in (await written(path, jobs=1)).splitlines()]
    assert head == {"file": "pyannote-voiceprint sandbox", "version": 1}
    digest = bytes(range(32)).hex()
    fields = {"sha256": digest, "size": 7, "usable": True, "stored_at": 1_800_000_000.25}
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
        }
    }


finite = st.floats(allow_nan=False, allow_infinity=False)
uploads = st.builds(StoredMedia, stored_at=finite)
jobs = st.builds(
    Job,
    url=st.text(st.characters()),
    created_at=finite,
    seconds=finite,
    media=st.none() | uploads,
    webhook_fault=st.none(),
)


@given(st.lists(jobs), st.dictionaries(st.text(), uploads))
def test_what_was_taken_in_comes_back(jobs, uploads):
    async def keep(path) -> StoreContents:
        store = SandboxStore(path)
        assert await store.open() == StoreContents()
        for job in jobs:
            store.add_job(job)
        for name, upload in uploads.items():
            store.add_upload(name, upload)
        await store.close()
        return await kept_in(path)

    with tempfile.TemporaryDirectory() as folder:
        assert asyncio.run(keep(Path(folder) / "store")) == StoreContents(jobs, uploads)


class FullDisk:
    """A file that takes ten bytes, and no more until `space` is set."""

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
async def full(path):
    store = SandboxStore(path)
    await store.open()
    store._file = disk = FullDisk(store._file)
    store.add_job(JOB)
    with pytest.raises(OSError, match="No space left"):
        await store.settle()
    return store, disk


async def test_the_rest_of_a_line_follows_when_the_disk_has_room_again(full, path):
    store, disk = full
    disk.space = True
    store.add_job(attrs.evolve(JOB, id="next"))
    await store.settle()
    await store.close()
    assert [job.id for job in (await kept_in(path)).jobs] == [JOB.id, "next"]


async def test_a_disk_that_stays_full_leaves_half_a_line_only(full, path):
    """The next start cuts it off, even when the same store is used for it."""
    store, _ = full
    with pytest.raises(OSError, match="No space left"):
        await store.close()
    assert await store.open() == StoreContents()
    store.add_job(JOB)
    await store.close()
    assert (await kept_in(path)).jobs == [JOB]


async def test_without_a_path_nothing_is_kept():
    store = SandboxStore(None)
    store.add_job(JOB)
    store.add_upload("/_media/one", UPLOAD)
    assert not store._pending
    assert await store.open() is None
    await store.settle()
    await store.close()
