"""A reported write is on the disk, and a failed one leaves no trace."""

import asyncio
import contextlib
import os
import resource
import sqlite3
import subprocess
import sys

import pytest
from warm_process import WarmProcess

from pyannote_voiceprint_async import LedgerError, LedgerInUseError
from pyannote_voiceprint_async.enrollment.ledger import database as database_module
from pyannote_voiceprint_async.enrollment.ledger import rescue as rescue_module
from pyannote_voiceprint_async.enrollment.ledger.connection import open_read_only, open_writable
from pyannote_voiceprint_async.enrollment.ledger.database import Database
from pyannote_voiceprint_async.enrollment.ledger.ownership import ORIGIN_SCHEMA, OWNER_SCHEMA
from pyannote_voiceprint_async.enrollment.ledger.schema import SchemaStep

DAY = "2026-11-30"
STEPS = (
    SchemaStep("first", DAY, "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)"),
    SchemaStep("owner", DAY, OWNER_SCHEMA),
    SchemaStep("origin", DAY, ORIGIN_SCHEMA),
)


def opened(path, steps=STEPS, **options):
    return open_writable(path, steps=steps, **{"create": True, **options})


def made(path):
    return Database(opened(path), path)


@pytest.fixture
async def database(tmp_path):
    database = await asyncio.to_thread(made, tmp_path / "x.ledger")
    yield database
    await database.aclose()


def insert(number, text="x"):
    return lambda connection: connection.execute("INSERT INTO t VALUES (?, ?)", (number, text)).lastrowid


def count(connection):
    return connection.execute("SELECT count(*) FROM t").fetchone()[0]


def numbers(path):
    connection = sqlite3.connect(path)
    try:
        return [number for (number,) in connection.execute("SELECT a FROM t ORDER BY a")]
    finally:
        connection.close()


async def test_a_returned_write_is_on_the_disk_and_readable_by_others(database, tmp_path):
    assert await database.atomic(insert(1)) == 1
    assert await asyncio.to_thread(numbers, tmp_path / "x.ledger") == [1]


async def test_concurrent_writes_share_one_commit(database):
    commits = []
    database._connection.set_trace_callback(lambda text: commits.append(text) if text == "COMMIT" else None)
    await asyncio.gather(*(database.atomic(insert(number)) for number in range(100)))
    assert len(commits) == 1


async def test_after_a_batch_the_next_commit_waits_for_the_writes_of_later_turns(database, monkeypatch):
    monkeypatch.setattr(database_module, "_GATHER_SECONDS", 60.0)
    await asyncio.gather(*(database.atomic(insert(number)) for number in range(2)))
    commits = []
    database._connection.set_trace_callback(lambda text: commits.append(text) if text == "COMMIT" else None)
    writes = []
    for number in range(2, 10):
        writes.append(asyncio.create_task(database.atomic(insert(number))))
        await asyncio.sleep(0)
    assert not commits
    database._start_batch()  # as the timer does
    await asyncio.gather(*writes)
    assert len(commits) == 1


async def test_a_read_sees_all_earlier_writes_even_if_nobody_waits_for_them(database, monkeypatch):
    monkeypatch.setattr(database_module, "_GATHER_SECONDS", 3600.0)
    await asyncio.gather(database.atomic(insert(1)), database.atomic(insert(2)))
    database.write_later(insert(3))  # queued for an hour
    assert await database.read(count) == 3
    running = asyncio.create_task(database.atomic(insert(4)))
    await asyncio.sleep(0)
    assert await database.read(count) == 4
    database.write_later(insert(5))
    database.write_later(insert(6))
    assert await asyncio.gather(database.read(count), database.read(count)) == [6, 6]
    await running


async def test_a_lone_write_does_not_wait_for_others(database, monkeypatch):
    monkeypatch.setattr(database_module, "_GATHER_SECONDS", 60.0)
    for number in range(3):
        await database.atomic(insert(number))


async def test_a_failed_write_does_not_fail_others_of_its_batch(database, tmp_path):
    await database.atomic(insert(2))
    outcomes = await asyncio.gather(*(database.atomic(insert(n)) for n in range(4)), return_exceptions=True)
    assert [isinstance(outcome, LedgerError) for outcome in outcomes] == [False, False, True, False]
    assert await asyncio.to_thread(numbers, tmp_path / "x.ledger") == [0, 1, 2, 3]


async def test_a_transaction_is_all_or_nothing(database, tmp_path):
    def half(connection):
        connection.execute("INSERT INTO t VALUES (5, 'x')")
        raise KeyError("half way")

    with pytest.raises(KeyError):
        await database.atomic(half)
    assert await asyncio.to_thread(numbers, tmp_path / "x.ledger") == []


async def test_the_write_of_a_canceled_caller_is_committed(database, tmp_path):
    task = asyncio.create_task(database.atomic(insert(1)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await database.atomic(insert(2))
    assert await asyncio.to_thread(numbers, tmp_path / "x.ledger") == [1, 2]


async def test_writing_works_again_after_a_full_disk_has_room(database, tmp_path):
    """`max_page_count` makes SQLite raise the error of a full disk."""
    pages = database._connection.execute("PRAGMA page_count").fetchone()[0]
    database._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(LedgerError, match=r"full.*Make room"):
        await database.atomic(insert(1, "x" * 100_000))
    database._connection.execute("PRAGMA max_page_count = 1000000")
    assert await database.atomic(insert(2, "x" * 100_000)) == 2
    assert await asyncio.to_thread(numbers, tmp_path / "x.ledger") == [2]


async def test_closing_commits_queued_writes(tmp_path):
    database = await asyncio.to_thread(made, tmp_path / "x.ledger")
    database.write_later(insert(1))
    await database.aclose()
    assert await asyncio.to_thread(numbers, tmp_path / "x.ledger") == [1]


def test_the_file_is_private_durable_and_overwrites_deleted_data(tmp_path):
    connection = opened(tmp_path / "x.ledger")
    connection.execute("INSERT INTO t VALUES (1, 'x')")
    names = ("journal_mode", "synchronous", "secure_delete")
    said = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names}
    assert said == {"journal_mode": "persist", "synchronous": 2, "secure_delete": 1}
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["x.ledger", "x.ledger-journal"]
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    connection.close()


def test_schema_steps_are_applied_once_and_in_order(tmp_path):
    opened(tmp_path / "x.ledger").close()
    more = (*STEPS, SchemaStep("second", DAY, "ALTER TABLE t ADD COLUMN c TEXT; CREATE TABLE u (a)"))
    for _ in range(2):
        connection = opened(tmp_path / "x.ledger", more)
        assert connection.execute("PRAGMA user_version").fetchone() == (4,)
        connection.execute("INSERT INTO t (b, c) VALUES (1, 2)")
        connection.close()


def test_a_failed_schema_step_leaves_no_change(tmp_path):
    opened(tmp_path / "x.ledger").close()
    broken = (*STEPS, SchemaStep("second", DAY, "CREATE TABLE u (a); CREATE TABLE t (a)"))
    with pytest.raises(LedgerError):
        opened(tmp_path / "x.ledger", broken)
    connection = opened(tmp_path / "x.ledger")
    assert connection.execute("SELECT name FROM sqlite_schema WHERE name = 'u'").fetchall() == []
    connection.close()


def write(data):
    return lambda path: path.write_bytes(data)


def foreign(path):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (a)")
    connection.close()


def later(path):
    opened(path, (*STEPS, SchemaStep("second", DAY, "CREATE TABLE u (a)"))).close()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (write(b"label,source\n" * 100), "is not a ledger. Choose another file"),
        (foreign, "is an SQLite file, but not a ledger"),
        (later, "was written by a later version"),
        (lambda path: path.mkdir(), "cannot be used"),
        (lambda path: None, "There is no ledger"),
    ],
    ids=["text", "foreign", "later", "directory", "missing"],
)
def test_a_file_that_is_not_a_ledger_is_refused_unchanged(tmp_path, make, sentence):
    make(tmp_path / "x.ledger")
    before = [path.read_bytes() for path in tmp_path.iterdir() if path.is_file()]
    with pytest.raises(LedgerError, match=sentence):
        opened(tmp_path / "x.ledger", create=False)
    assert [path.read_bytes() for path in tmp_path.iterdir() if path.is_file()] == before


@pytest.mark.parametrize("how", ["deleted", "replaced"])
async def test_a_deleted_or_replaced_file_is_rescued(database, tmp_path, how):
    """SQLite would continue to write into a file without a name."""
    path = tmp_path / "x.ledger"
    await database.atomic(insert(1))
    if how == "deleted":
        await asyncio.to_thread(path.unlink)
    else:
        await asyncio.to_thread(lambda: (tmp_path / "y").write_bytes(b"") or (tmp_path / "y").replace(path))
    with pytest.raises(LedgerError, match=r"x.ledger was deleted or replaced.*x.ledger.rescued"):
        await database.atomic(insert(2))
    assert await asyncio.to_thread(numbers, tmp_path / "x.ledger.rescued") == [1]
    assert (await asyncio.to_thread((tmp_path / "x.ledger.rescued").stat)).st_mode & 0o777 == 0o600


async def test_a_second_rescue_keeps_the_first_one(tmp_path):
    path = tmp_path / "x.ledger"
    for number in (1, 2):
        database = await asyncio.to_thread(made, path)
        await database.atomic(insert(number))
        await asyncio.to_thread(path.unlink)
        with pytest.raises(LedgerError, match=r"rescued"):
            await database.atomic(insert(9))
        with pytest.raises(LedgerError, match=r"rescued"):
            await database.read(lambda connection: connection.execute("SELECT a FROM t").fetchall())
        await database.aclose()
    rescued = [await asyncio.to_thread(numbers, tmp_path / f"x.ledger.rescued{end}") for end in ("", "-2")]
    assert rescued == [[1], [2]]


def test_a_rescue_is_private_from_its_first_byte(tmp_path, monkeypatch):
    path, modes = tmp_path / "x.ledger", []
    database = made(path)
    copy = rescue_module._copy

    def watched(descriptor, target):
        modes.append(target.stat().st_mode & 0o777)
        copy(descriptor, target)

    monkeypatch.setattr(rescue_module, "_copy", watched)
    path.unlink()
    before = os.umask(0)
    try:
        assert "x.ledger.rescued" in str(rescue_module.rescue(database._descriptor, path))
    finally:
        os.umask(before)
        database.close()
    assert modes == [0o600]
    assert (tmp_path / "x.ledger.rescued").stat().st_mode & 0o777 == 0o600


async def test_a_rescued_ledger_can_be_used_at_once(tmp_path):
    database = await asyncio.to_thread(made, tmp_path / "x.ledger")
    await asyncio.to_thread((tmp_path / "x.ledger").unlink)
    with pytest.raises(LedgerError):
        await database.atomic(insert(1))
    await database.aclose()
    rescued = await asyncio.to_thread(made, tmp_path / "x.ledger.rescued")
    assert await rescued.atomic(insert(2)) == 2
    await rescued.aclose()


# Ownership


def reopened(path):
    """Open the ledger as a run does, and close it again."""
    connection = opened(path, create=False)
    try:
        Database(connection, path).close()
    except BaseException:
        connection.close()
        raise


KILLED = """
import asyncio, os, pathlib, signal, sys
from enrollment.ledger import test_database as tests

async def main():
    database = await asyncio.to_thread(tests.made, pathlib.Path(sys.argv[1]))
    await database.atomic(tests.insert(1))
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


@pytest.fixture
def killed(tmp_path):
    """A ledger whose run was killed."""
    path = tmp_path / "x.ledger"
    with WarmProcess("python_code", KILLED, path) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == -9, errors
    return path


def test_a_closed_ledger_has_no_other_file_beside_it(tmp_path):
    made(tmp_path / "x.ledger").close()
    assert [path.name for path in tmp_path.iterdir()] == ["x.ledger"]
    copy = tmp_path / "copy.ledger"
    copy.write_bytes((tmp_path / "x.ledger").read_bytes())
    reopened(copy)


def test_a_ledger_of_a_killed_run_can_be_opened(killed):
    reopened(killed)
    assert numbers(killed) == [1]


def test_a_reader_keeps_the_journal_that_the_next_run_needs(killed):
    open_read_only(killed, steps=STEPS).close()
    reopened(killed)


def test_a_lost_journal_is_refused(killed):
    killed.with_name("x.ledger-journal").unlink()
    before = killed.read_bytes()
    with pytest.raises(LedgerError, match=r"x.ledger-journal that belongs beside it is missing.*ledger recover"):
        reopened(killed)
    assert killed.read_bytes() == before


@pytest.mark.parametrize("with_journal", [True, False])
async def test_a_copy_made_during_a_run_is_refused(database, tmp_path, with_journal):
    await database.atomic(insert(1))
    for name in ("x.ledger", *(["x.ledger-journal"] if with_journal else [])):
        data = await asyncio.to_thread((tmp_path / name).read_bytes)
        await asyncio.to_thread((tmp_path / name.replace("x", "copy", 1)).write_bytes, data)
    with pytest.raises(LedgerError, match=r"made while a run|is missing"):
        await asyncio.to_thread(reopened, tmp_path / "copy.ledger")


async def test_a_run_whose_ledger_was_taken_over_writes_nothing_more(tmp_path):
    """For example on a file system without locks."""
    database = await asyncio.to_thread(made, tmp_path / "x.ledger")
    await database.atomic(insert(1))
    other = await asyncio.to_thread(made, tmp_path / "x.ledger")
    with pytest.raises(LedgerInUseError, match="Another run took over this ledger"):
        await database.atomic(insert(2))
    assert await other.atomic(insert(3)) == 3
    await database.aclose()
    assert await other.atomic(insert(4)) == 4
    await other.aclose()
    assert await asyncio.to_thread(numbers, tmp_path / "x.ledger") == [1, 3, 4]


FORKED = """
import asyncio, os, pathlib, sys
from enrollment.ledger import test_database as tests
from pyannote_voiceprint_async import LedgerInUseError

def be_child(database):
    for use in (database.atomic(tests.insert(2)), database.read(lambda connection: None)):
        try:
            use.send(None)
        except LedgerInUseError:
            print("refused", flush=True)
    try:
        database.aclose().send(None)
    except StopIteration:
        pass
    database._connection.close()  # as the interpreter does in the end
    os._exit(0)

async def main():
    database = await asyncio.to_thread(tests.made, pathlib.Path(sys.argv[1]))
    writes = [asyncio.create_task(database.atomic(tests.insert(n))) for n in range(10, 200)]
    await asyncio.sleep(0)
    pid = os.fork()
    if pid == 0:
        be_child(database)
    await asyncio.gather(*writes)
    assert os.waitpid(pid, 0)[1] == 0
    await database.aclose()

asyncio.run(main())
"""


def test_a_forked_child_cannot_write_or_damage_the_ledger(tmp_path):
    """Not even if it closes the inherited connection."""
    path = tmp_path / "x.ledger"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", FORKED, path], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout, done.returncode) == ("refused\nrefused\n", 0), done.stderr
    assert numbers(path) == list(range(10, 200))
    reopened(path)


# Locks of other programs


@pytest.fixture
def locker(tmp_path):
    """Another program with an unsaved change."""
    connection = sqlite3.connect(tmp_path / "x.ledger", isolation_level=None, check_same_thread=False)
    with contextlib.closing(connection):
        yield connection


async def test_a_write_lock_is_reported_and_waited_for(database, tmp_path, locker, monkeypatch):
    monkeypatch.setattr(database_module, "_REPORT_AFTER", 0.0)
    reported = asyncio.Queue()
    database._on_lock_wait = reported.put_nowait
    await asyncio.to_thread(locker.execute, "BEGIN IMMEDIATE")
    write = asyncio.create_task(database.atomic(insert(1)))
    assert await reported.get() is True
    assert not write.done()
    await asyncio.to_thread(locker.execute, "ROLLBACK")
    assert (await write, await reported.get()) == (1, False)


async def test_a_read_lock_is_reported_and_waited_for(database, tmp_path, locker, monkeypatch):
    monkeypatch.setattr(database_module, "_REPORT_AFTER", 0.0)
    reported = asyncio.Queue()
    database._on_lock_wait = reported.put_nowait
    await asyncio.to_thread(lambda: locker.execute("BEGIN").execute("SELECT * FROM t").fetchall())
    write = asyncio.create_task(database.atomic(insert(1)))
    assert await reported.get() is True
    await asyncio.to_thread(locker.execute, "ROLLBACK")
    assert await write == 1


async def test_a_lock_timeout_fails_the_whole_batch_at_once(database, locker, monkeypatch):
    monkeypatch.setattr(database_module, "_ATTEMPT_TIMEOUT", 0.0)
    database._lock_timeout = 0.0
    attempts = []
    database._connection.set_trace_callback(lambda text: attempts.append(text) if text.startswith("BEGIN") else None)
    await asyncio.to_thread(locker.execute, "BEGIN IMMEDIATE")
    outcomes = await asyncio.gather(*(database.atomic(insert(n)) for n in range(50)), return_exceptions=True)
    assert {str(outcome).partition(" for ")[0] for outcome in outcomes} == {
        "Another program has kept the ledger locked"
    }
    assert len(attempts) <= 1
    await asyncio.to_thread(locker.execute, "ROLLBACK")
    assert await database.atomic(insert(1)) == 1


async def test_an_ending_run_does_not_wait_for_locks(database, locker):
    await asyncio.to_thread(locker.execute, "BEGIN IMMEDIATE")
    write = asyncio.create_task(database.atomic(insert(1)))
    await asyncio.sleep(0)
    database.shorten_lock_waits()
    with pytest.raises(LedgerError, match="kept the ledger locked"):
        await write
    await asyncio.to_thread(locker.execute, "ROLLBACK")


# A full disk


@pytest.fixture
def full_disk():
    """Limit the size of every file of this process. Python ignores the signal that reports the limit."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_job_ids_use_the_reserve_on_a_full_disk(database, tmp_path, full_disk):
    path = tmp_path / "x.ledger"
    full_disk(path.stat().st_size)
    with pytest.raises(LedgerError, match="Make room"):
        await database.atomic(insert(1, "x" * 100_000))
    urgent = [database.atomic(insert(n, "x" * 800), is_urgent=True) for n in range(2, 66)]
    assert await asyncio.gather(*urgent) == list(range(2, 66))
    with pytest.raises(LedgerError, match="Make room"):
        await database.atomic(insert(100, "x" * 1_000_000), is_urgent=True)
    assert await asyncio.to_thread(numbers, path) == list(range(2, 66))
