"""A file has one lock under all its names, which ends with the process."""

import os
import signal
import sqlite3
import subprocess
import sys

import pytest
from warm_process import WarmProcess

from pyannote_voiceprint_async import LedgerInUseError
from pyannote_voiceprint_async.enrollment.ledger.file_lock import FileLock

HOLDER = """
import pathlib, sys, time
from pyannote_voiceprint_async.enrollment.ledger.file_lock import FileLock
lock = FileLock(pathlib.Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""

TRY = """
import pathlib, sys
from pyannote_voiceprint_async import LedgerInUseError
from pyannote_voiceprint_async.enrollment.ledger.file_lock import FileLock
try:
    FileLock(pathlib.Path(sys.argv[1]))
except LedgerInUseError:
    print("refused")
else:
    print("locked")
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "x.ledger"
    path.write_bytes(b"x" * 100)
    return path


def other_process(path):
    with WarmProcess("python_code", TRY, path) as process:
        result, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return result.strip()


def linked_hard(path):
    other = path.with_name("hard")
    os.link(path, other)
    return other


def linked_softly(path):
    other = path.with_name("soft")
    other.symlink_to(path)
    return other


def called_otherwise(path):
    return path.parent / "." / ".." / path.parent.name / path.name


@pytest.mark.parametrize("rename", [lambda path: path, linked_hard, linked_softly, called_otherwise])
def test_a_file_is_locked_under_every_name(file, rename):
    """In another process and in the same process."""
    lock = FileLock(file)
    other = rename(file)
    assert other_process(other) == "refused"
    with pytest.raises(LedgerInUseError, match=f"process {os.getpid()}"):
        FileLock(other)
    lock.release()
    assert other_process(other) == "locked"
    FileLock(other).release()


def test_the_lock_needs_no_file_beside_it(file):
    lock = FileLock(file)
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    lock.release()


def test_releasing_twice_does_not_release_another_lock(file):
    first = FileLock(file)
    first.release()
    second = FileLock(file)
    first.release()
    assert other_process(file) == "refused"
    second.release()


def test_a_dead_process_keeps_no_lock(file):
    with WarmProcess("python_code", HOLDER, file) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LedgerInUseError):
            FileLock(file)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    FileLock(file).release()


def test_a_refused_lock_does_not_release_locks_of_sqlite(tmp_path):
    """Closing any descriptor of a file releases all POSIX locks of the process on it."""
    path = tmp_path / "x.ledger"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("CREATE TABLE t (a)")
    lock = FileLock(path)
    connection.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerInUseError):
        FileLock(path)
    insert = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('INSERT INTO t VALUES (1)')"
    other = subprocess.run([sys.executable, "-c", insert, path], capture_output=True, text=True, check=False)
    assert "database is locked" in other.stderr
    connection.close()
    lock.release()


FORKING = """
import os, pathlib, sys
from pyannote_voiceprint_async.enrollment.ledger.file_lock import FileLock
lock = FileLock(pathlib.Path(sys.argv[1]))
if os.fork() == 0:
    os.close(1)
    sys.stdin.read()  # until the test closes it
    os._exit(0)
print("forked", flush=True)
sys.stdin.buffer.raw.read(1)
"""


def test_a_forked_child_keeps_no_lock(file):
    """Neither when its parent releases the lock nor when its parent is killed."""
    with WarmProcess("python_code", FORKING, file, stdin=subprocess.PIPE) as parent:
        assert parent.stdout.readline() == "forked\n"
        assert other_process(file) == "refused"
        parent.kill()
        parent.wait()
        assert other_process(file) == "locked"
