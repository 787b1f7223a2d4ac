"""What is said to be written is written; what is not, is not."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from pyannote_voiceprint_async import LedgerError, LedgerInUseError
from pyannote_voiceprint_async.enrollment.database import Database, Lock, Step, connect

STEPS = (Step("first", "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)"),)


def opened(path, steps=STEPS, **options):
    return connect(path, application=7, steps=steps, **{"create": True, **options})


def made(path):
    return Database(opened(path), path)


@pytest.fixture
async def database(tmp_path):
    database = await asyncio.to_thread(made, tmp_path / "x.ledger")
    yield database
    await database.aclose()


def insert(number, text="x"):
    return lambda connection: connection.execute("INSERT INTO t VALUES (?, ?)", (number, text)).lastrowid


def numbers(path):
    connection = sqlite3.connect(path)
    try:
        return [number for (number,) in connection.execute("SELECT a FROM t ORDER BY a")]
    finally:
        connection.close()


async def test_what_comes_back_is_on_the_disk_and_others_can_read_it(database, tmp_path):
    assert await database.atomic(insert(1)) == 1
    assert await asyncio.to_thread(numbers, tmp_path / "x.ledger") == [1]


async def test_writes_that_come_together_are_committed_together(database):
    commits = []
    database._connection.set_trace_callback(lambda text: commits.append(text) if text == "COMMIT" else None)
    await asyncio.gather(*(database.atomic(insert(number)) for number in range(100)))
    assert len(commits) == 1


async def test_one_that_fails_takes_no_other_along(database, tmp_path):
    await database.atomic(insert(2))
    outcomes = await asyncio.gather(*(database.atomic(insert(n)) for n in range(4)), return_exceptions=True)
    assert [isinstance(outcome, LedgerError) for outcome in outcomes] == [False, False, True, False]
    assert await asyncio.to_thread(numbers, tmp_path / "x.ledger") == [0, 1, 2, 3]


async def test_work_is_all_or_nothing(database, tmp_path):
    def half(connection):
        connection.execute("INSERT INTO t VALUES (5, 'x')")
        raise KeyError("half way")

    with pytest.raises(KeyError):
        await database.atomic(half)
    assert await asyncio.to_thread(numbers, tmp_path / "x.ledger") == []


async def test_a_caller_that_goes_leaves_its_work_behind(database, tmp_path):
    task = asyncio.create_task(database.atomic(insert(1)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await database.atomic(insert(2))
    assert await asyncio.to_thread(numbers, tmp_path / "x.ledger") == [1, 2]


async def test_a_full_disk_is_an_error_and_room_mends_it(database, tmp_path):
    """`max_page_count` makes SQLite say what it says on a full disk."""
    pages = database._connection.execute("PRAGMA page_count").fetchone()[0]
    database._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(LedgerError, match=r"full.*Make room"):
        await database.atomic(insert(1, "x" * 100_000))
    database._connection.execute("PRAGMA max_page_count = 1000000")
    assert await database.atomic(insert(2, "x" * 100_000)) == 2
    assert await asyncio.to_thread(numbers, tmp_path / "x.ledger") == [2]


async def test_closing_writes_what_was_handed_over(tmp_path):
    database = await asyncio.to_thread(made, tmp_path / "x.ledger")
    database.write_soon(insert(1))
    await database.aclose()
    assert await asyncio.to_thread(numbers, tmp_path / "x.ledger") == [1]


def test_it_is_private_durable_and_erases(tmp_path):
    connection = opened(tmp_path / "x.ledger")
    connection.execute("INSERT INTO t VALUES (1, 'x')")
    names = ("journal_mode", "synchronous", "secure_delete")
    said = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names}
    assert said == {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1}
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["x.ledger", "x.ledger-shm", "x.ledger-wal"]
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    connection.close()


def test_steps_are_taken_once_and_in_their_order(tmp_path):
    opened(tmp_path / "x.ledger").close()
    more = (*STEPS, Step("second", "ALTER TABLE t ADD COLUMN c TEXT; CREATE TABLE u (a)"))
    for _ in range(2):
        connection = opened(tmp_path / "x.ledger", more)
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
        connection.execute("INSERT INTO t (b, c) VALUES (1, 2)")
        connection.close()


def test_a_step_that_breaks_off_leaves_nothing(tmp_path):
    opened(tmp_path / "x.ledger").close()
    broken = (*STEPS, Step("second", "CREATE TABLE u (a); CREATE TABLE t (a)"))
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
    opened(path, (*STEPS, Step("second", "CREATE TABLE u (a)"))).close()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (write(b"label,source\n" * 100), "is no ledger. Give another file"),
        (foreign, "is an SQLite file, but no ledger"),
        (later, "was written by a later version"),
        (lambda path: path.mkdir(), "cannot be used"),
        (lambda path: None, "There is no ledger"),
    ],
    ids=["text", "foreign", "later", "directory", "missing"],
)
def test_what_is_no_ledger_is_refused_with_a_sentence(tmp_path, make, sentence):
    make(tmp_path / "x.ledger")
    before = [path.read_bytes() for path in tmp_path.iterdir() if path.is_file()]
    with pytest.raises(LedgerError, match=sentence):
        opened(tmp_path / "x.ledger", create=False)
    assert [path.read_bytes() for path in tmp_path.iterdir() if path.is_file()] == before


HOLDER = """
import pathlib, signal, sys
from pyannote_voiceprint_async.enrollment.database import Lock
lock = Lock(pathlib.Path(sys.argv[1]))
print("held", flush=True)
signal.pause()
"""


def test_a_dead_process_keeps_no_lock(tmp_path):
    path = tmp_path / "x.lock"
    with subprocess.Popen([sys.executable, "-c", HOLDER, path], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LedgerInUseError, match=f"process {holder.pid}"):
            Lock(path)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    lock = Lock(path)
    assert path.read_text() == str(os.getpid())
    lock.release()


@pytest.mark.parametrize("how", ["deleted", "replaced"])
async def test_a_file_that_is_taken_away_is_noticed_and_rescued(database, tmp_path, how):
    """SQLite would write on into a file that nobody finds again."""
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
