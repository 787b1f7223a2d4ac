"""A run that was killed inside a commit: its journal restores its own ledger, and never changes another file.

A limit of the file size kills a real process at a chosen page of the main file: SQLite has then synced the journal.
"""

import contextlib
import pathlib
import resource
import shutil
import signal
import subprocess

import pytest
from namespaces import run_in_namespace
from warm_process import WarmProcess

from pyannote_voiceprint_async import LedgerError
from pyannote_voiceprint_async.enrollment.ledger.connection import open_writable
from pyannote_voiceprint_async.enrollment.ledger.exclusive_access import exclusive_connection, lock_ledger
from pyannote_voiceprint_async.enrollment.ledger.export import export
from pyannote_voiceprint_async.enrollment.ledger.journal import journal_path
from pyannote_voiceprint_async.enrollment.ledger.maintenance import count_voiceprints, recover, status
from pyannote_voiceprint_async.enrollment.ledger.ownership import mark_closed, mark_open, sign_journal
from pyannote_voiceprint_async.enrollment.ledger.schema import STEPS
from pyannote_voiceprint_async.enrollment.ledger.snapshot import copy_ledger
from pyannote_voiceprint_async.sqlite_transaction import atomic

PAGE = 4096
ROWS = list(range(40))
INSERT = "INSERT INTO recordings (identity, model, source, is_file, voiceprint) VALUES (?, 'm', '', 0, ?)"


def limit_to(pages):
    """Kill this process when it writes behind so many pages of a file."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (pages * PAGE, resource.RLIM_INFINITY))


def insert(connection, *numbers):
    with atomic(connection):
        sign_journal(connection)
        connection.executemany(INSERT, [(f"url:{number}", "v" * 1000) for number in numbers])


def add_rows(path, *numbers):
    """Open a ledger as a run does, add rows, and close it."""
    lock = lock_ledger(path, create=True)
    try:
        open_writable(path, create=True).close()
    finally:
        lock.release()
    with exclusive_connection(path) as connection:
        insert(connection, *numbers)


def numbers_in(path):
    """The rows that the next run finds."""
    with exclusive_connection(path) as connection:
        return [int(identity[4:]) for (identity,) in connection.execute("SELECT identity FROM recordings ORDER BY id")]


# What a process does when it is killed


def creating(path, pages):
    lock_ledger(path, create=True)
    limit_to(pages)
    open_writable(path, create=True)


def upgrading(path, pages):
    lock_ledger(path)
    limit_to(pages)
    open_writable(path)


def opening(path, pages):
    connection = open_writable(path)
    limit_to(pages)
    mark_open(connection, path)


def writing(path, pages):
    connection = open_writable(path)
    mark_open(connection, path)
    limit_to(pages)
    with atomic(connection):
        sign_journal(connection)
        connection.execute("UPDATE recordings SET voiceprint = ? WHERE id = 40", ("w" * 1000,))


def growing(path, pages):
    """The size in page 1 is then larger than the file."""
    connection = open_writable(path)
    mark_open(connection, path)
    limit_to(pages)
    insert(connection, *range(100, 200))


def closing(path, pages):
    connection = open_writable(path)
    owner = mark_open(connection, path)
    insert(connection, 100)
    limit_to(pages)
    mark_closed(connection, path, owner)


PROGRAM = """
import sys, pathlib
from enrollment.ledger import test_hot_journal as tests
getattr(tests, sys.argv[1])(pathlib.Path(sys.argv[2]), int(sys.argv[3]))
"""


def kill_while(step, path, pages=12):
    with WarmProcess("python_code", PROGRAM, step.__name__, path, pages) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGXFSZ, errors
    assert journal_path(path).read_bytes()[0] == 0xD9


def files(path):
    return {file.name: file.read_bytes() for file in path.parent.iterdir()}


@pytest.fixture
def path(tmp_path):
    (tmp_path / "d").mkdir()
    return tmp_path / "d" / "l.ledger"


# A journal that belongs to the file


@pytest.mark.parametrize("pages", [1, 2, 12])
def test_a_run_starts_after_a_kill_during_the_creation(path, pages):
    kill_while(creating, path, pages)
    add_rows(path, 1)
    assert numbers_in(path) == [1]


@pytest.mark.parametrize(("step", "pages"), [(writing, 12), (growing, 80)])
def test_a_run_starts_after_a_kill_in_a_commit(path, step, pages):
    add_rows(path, *ROWS)
    kill_while(step, path, pages)
    assert numbers_in(path) == ROWS


def test_a_ledger_of_a_kill_in_a_commit_can_be_moved_with_its_journal(path):
    add_rows(path, *ROWS)
    kill_while(writing, path)
    for file in (path, journal_path(path)):
        file.rename(file.with_name(file.name.replace("l", "m", 1)))
    assert numbers_in(path.with_name("m.ledger")) == ROWS


@pytest.mark.parametrize(("step", "rows"), [(opening, ROWS), (closing, [*ROWS, 100])])
def test_recover_restores_a_ledger_of_a_kill_in_any_other_commit(path, step, rows):
    add_rows(path, *ROWS)
    kill_while(step, path)
    with contextlib.suppress(LedgerError):
        assert numbers_in(path) == rows
    recover(path)
    assert numbers_in(path) == rows


def test_recover_restores_a_ledger_of_an_earlier_version_after_a_kill_during_the_upgrade(path):
    connection = open_writable(path, create=True, steps=STEPS[:4])
    connection.execute(INSERT, ("url:1", "v"))
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    kill_while(upgrading, path, 15)
    before = files(path)
    with pytest.raises(LedgerError, match=r"l.ledger-journal.*ledger recover"):
        numbers_in(path)
    assert files(path) == before
    recover(path)
    assert numbers_in(path) == [1]


READERS = [
    status,
    count_voiceprints,
    lambda path: export(path, path.parent.parent / "out.jsonl", "jsonl"),
    lambda path: copy_ledger(path, path.parent.parent / "copy.ledger"),
]


def test_a_reader_does_not_roll_back(path):
    add_rows(path, *ROWS)
    kill_while(writing, path)
    assert_no_reader_changes(path)
    recover(path)
    for read in READERS:
        read(path)


def assert_no_reader_changes(path):
    before = files(path)
    for read in READERS:
        with pytest.raises(LedgerError, match=r"cannot be read.*was killed.*l.ledger-journal.*ledger recover"):
            read(path)
    assert files(path) == before


# A journal that does not


def finished_elsewhere(path):
    """A ledger that lost its journal was finished under another name, and comes back."""
    add_rows(path, *ROWS)
    kill_while(writing, path)
    other = path.with_name("m.ledger")
    path.rename(other)
    recover(other)
    add_rows(other, 50, 51)
    other.rename(path)
    return [*ROWS, 50, 51]


def recovered_elsewhere(path):
    """The same ledger comes back at once."""
    add_rows(path, *ROWS)
    kill_while(writing, path)
    other = path.with_name("m.ledger")
    path.rename(other)
    recover(other)
    other.rename(path)
    return ROWS


def open_elsewhere(path):
    """The same ledger comes back after a second killed run, without the journal of that run."""
    finished_elsewhere(path)
    journal = journal_path(path).rename(path.with_name("kept"))
    connection = open_writable(path)
    mark_open(connection, path)
    connection.close()
    journal.rename(journal_path(path))
    return [*ROWS, 50, 51]


def beside_another_ledger(path):
    """Another ledger, which made as many commits, is moved to the name of a killed run's ledger."""
    other = path.with_name("m.ledger")
    add_rows(other, *ROWS)
    connection = open_writable(other)
    mark_open(connection, other)
    connection.close()
    journal_path(other).unlink()
    add_rows(path, *range(200, 240))
    kill_while(writing, path)
    other.replace(path)
    return ROWS


def of_another_creation(path):
    """A finished ledger is moved to the name of a ledger whose creation was killed."""
    kill_while(creating, path)
    other = path.with_name("m.ledger")
    add_rows(other, *ROWS)
    other.replace(path)
    return ROWS


FOREIGN = [finished_elsewhere, recovered_elsewhere, open_elsewhere, beside_another_ledger, of_another_creation]


@pytest.mark.parametrize("make", FOREIGN)
def test_a_foreign_journal_is_refused_and_changes_nothing(path, make):
    rows = make(path)
    assert_no_reader_changes(path)
    before = files(path)
    with pytest.raises(LedgerError, match=r"l.ledger-journal .*move .*to another folder"):
        add_rows(path, 9)
    assert files(path) == before
    journal_path(path).rename(path.parent.parent / "old-journal")
    recover(path)
    assert numbers_in(path) == rows


@pytest.mark.parametrize("make", [finished_elsewhere, recovered_elsewhere, open_elsewhere, of_another_creation])
def test_recover_refuses_a_journal_of_an_earlier_state(path, make):
    make(path)
    before = files(path)
    with pytest.raises(LedgerError, match=r"l.ledger-journal does not belong.*move l.ledger-journal to another folder"):
        recover(path)
    assert files(path) == before


def test_a_new_ledger_does_not_delete_the_journal_of_a_moved_one(path):
    add_rows(path, *ROWS)
    kill_while(writing, path)
    other = path.with_name("m.ledger")
    path.rename(other)
    before = journal_path(path).read_bytes()
    with pytest.raises(LedgerError, match=r"l.ledger-journal does not belong.*put that ledger back"):
        add_rows(path, 1)
    assert journal_path(path).read_bytes() == before
    other.replace(path)
    assert numbers_in(path) == ROWS


def test_a_file_that_is_not_a_journal_is_refused(path):
    add_rows(path, 1)
    journal_path(path).write_bytes(b"notes")
    with pytest.raises(LedgerError, match=r"l.ledger-journal does not belong"):
        numbers_in(path)
    assert journal_path(path).read_bytes() == b"notes"


# A copy on another file system


def mount(*arguments):
    subprocess.run([shutil.which("mount"), *arguments], check=True)


def open_and_leave(path):
    """Do what a killed run does between two commits."""
    connection = open_writable(path)
    mark_open(connection, path)
    connection.close()


def check_same_inode():
    folder = pathlib.Path.cwd()
    for name in "ab":
        (folder / name).mkdir()
        mount("-t", "tmpfs", "none", name)
    original, copy = folder / "a" / "l.ledger", folder / "b" / "l.ledger"
    add_rows(original, *ROWS)
    copy.touch()
    open_and_leave(original)
    for one, other in ((original, copy), (journal_path(original), journal_path(copy))):
        other.write_bytes(one.read_bytes())
    assert original.stat().st_ino == copy.stat().st_ino
    with pytest.raises(LedgerError, match="is a copy of a ledger that was made while a run had it open"):
        add_rows(copy, 9)
    add_rows(original, 50)
    assert numbers_in(original) == [*ROWS, 50]


def check_bind_mount():
    """A single file, as in a container: the journal is not beside the file outside of it."""
    folder = pathlib.Path.cwd()
    outside, inside = folder / "l.ledger", folder / "inside" / "l.ledger"
    inside.parent.mkdir()
    add_rows(outside, *ROWS)
    inside.touch()
    mount("--bind", outside, inside)
    kill_while(writing, inside)
    with pytest.raises(LedgerError, match=r"l.ledger-journal that belongs beside it is missing"):
        add_rows(outside, 9)
    recover(outside)
    add_rows(outside, 50)
    before = files(inside)
    assert_no_reader_changes(inside)
    with pytest.raises(LedgerError, match=r"l.ledger-journal does not belong"):
        add_rows(inside, 9)
    assert files(inside) == before
    assert numbers_in(outside) == [*ROWS, 50]


def check_read_only_folder():
    """The file can be written, and no journal can be created beside it."""
    folder = pathlib.Path.cwd()
    outside, inside = folder / "l.ledger", folder / "inside" / "l.ledger"
    inside.parent.mkdir()
    add_rows(outside, *ROWS)
    inside.touch()
    mount("--bind", inside.parent, inside.parent)
    mount("--bind", outside, inside)
    mount("-o", "remount,bind,ro", inside.parent)
    before = outside.read_bytes()
    for _ in range(2):
        with pytest.raises(LedgerError, match="cannot be used"):
            add_rows(inside, 9)
        assert outside.read_bytes() == before
    open_and_leave(outside)
    with pytest.raises(LedgerError, match=r"l.ledger-journal that belongs beside it is missing"):
        add_rows(inside, 9)
    assert status(inside).rows == status(outside).rows


@pytest.mark.parametrize("check", [check_same_inode, check_bind_mount, check_read_only_folder])
def test_a_ledger_under_a_mount_is_refused_or_used_as_itself(tmp_path, check):
    run_in_namespace(check, "--mount", folder=tmp_path)
