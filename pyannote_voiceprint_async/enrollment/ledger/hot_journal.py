"""A hot journal: what remains beside a ledger when a run is killed inside a commit.

Before its first query, SQLite rolls back with any hot journal that has the right name. The journal of an earlier state
of the ledger, or of another ledger, would replace newer rows with older ones. Therefore each journal is examined first:

- Each transaction of this package changes the owner row first (`ownership`). If the old row in the journal and the row
  in the main file have an owner token in common, the journal belongs to the file.
- The journals of a few commits cannot be recognized by the token: commits that change the schema or move the owner row.
  Then the change counter in page 1 must be the one before or after the interrupted commit. Another ledger can have the
  same counter by chance, so the user must confirm with `ledger recover`. The commit that creates a ledger needs no
  confirmation, because there are no rows before it.

The main file is read as bytes, because SQLite does not open a half-written file without its journal.
The format of journals is specified at https://www.sqlite.org/fileformat2.html#the_rollback_journal.
"""

import os
import sqlite3
import struct
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from pyannote_voiceprint_async.errors import LedgerError

from .journal import RECOVER_HINT, journal_path
from .ownership import OWNER_TOKEN

__all__ = ["check_hot_journal", "hot_journal_error", "is_rollback_needed"]

_MAGIC = bytes.fromhex("d9d505f920a163d7")
_HEADER = struct.Struct(">8x5I")
# The change counter in page 1.
_COUNTER = slice(24, 28)


class _Journal(NamedTuple):
    """The content of a hot journal."""

    pages_before: int
    """The size of the main file before the commit, in pages."""
    pages: Mapping[int, bytes]
    """The old content of the pages that the commit changed, by number."""


def check_hot_journal(path: Path, *, recover: bool, timeout: float) -> None:
    """Refuse a hot journal that does not belong to the ledger, before SQLite rolls back with it.

    Args:
        path: the ledger, without links.
        recover: a matching change counter is sufficient.
        timeout: seconds to wait for a commit of another program.

    Raises:
        LedgerError: the journal does not belong to the file, or only `recover` may use it.
        sqlite3.Error: the file cannot be read.
    """
    if not _has_header(journal_path(path)):
        return
    if not path.stat().st_size:
        # SQLite deletes the journal of an empty file, and the ledger to which it belongs would be lost.
        if _read_journal(path).pages_before:
            raise _foreign_journal_error(path)
        return
    if not _is_hot(path, timeout):
        return  # a commit of a program that is alive
    journal = _read_journal(path)
    has_owner, has_counter = _compare(path, journal)
    if has_owner:
        return
    if not has_counter:
        raise _foreign_journal_error(path)
    if journal.pages_before and not recover:
        raise LedgerError(
            f"It is not certain that the journal {journal_path(path)} belongs to the ledger beside it: a run was "
            "killed while it opened, upgraded or compacted a ledger. Nothing was changed or sent. If another file had "
            f"this name since then, move the journal to another folder. Otherwise {RECOVER_HINT.format(path=path)}."
        )


def is_rollback_needed(exc: sqlite3.Error) -> bool:
    """Return whether a read-only connection found a hot journal."""
    return getattr(exc, "sqlite_errorcode", 0) == sqlite3.SQLITE_READONLY_ROLLBACK


def hot_journal_error(path: Path) -> LedgerError:
    """Return the error for a reader that finds a hot journal: only a command that writes may roll back."""
    return LedgerError(
        f"The ledger {path} cannot be read: a run was killed while it saved rows, and left the journal "
        f"{journal_path(Path(os.path.realpath(path)))}. The ledger must first be restored from the journal. That "
        "changes the file, so a command that only reads does not do it. Nothing was changed. Start the run again, or "
        f"use `pyannote-voiceprint ledger recover {path}`: either restores the ledger, and refuses a journal of "
        "another file."
    )


def _foreign_journal_error(path: Path) -> LedgerError:
    journal = journal_path(path)
    return LedgerError(
        f"The journal {journal} does not belong to the ledger {path.name} beside it: a killed run left the journal for "
        "another file, or for an earlier state of this one, and SQLite would replace newer rows with it. Nothing was "
        f"changed or sent. If the ledger of that run still exists, move {path.name} elsewhere and put that ledger back "
        f"at {path}. Otherwise move {journal.name} to another folder. Then repeat the command."
    )


def _has_header(journal: Path) -> bool:
    """Return whether a journal may be hot. Between two transactions, the first bytes are zero."""
    try:
        with journal.open("rb") as file:
            return file.read(1) not in {b"", b"\0"}
    except FileNotFoundError:
        return False


def _is_hot(path: Path, timeout: float) -> bool:
    """Ask SQLite, which recognizes a running commit by its lock. A read-only connection cannot roll back."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=timeout)) as connection:
        try:
            connection.execute("SELECT 1 FROM sqlite_schema").fetchone()
        except sqlite3.OperationalError as exc:
            if is_rollback_needed(exc):
                return True
            raise
    return False


def _read_journal(path: Path) -> _Journal:
    data = journal_path(path).read_bytes()
    if len(data) < _HEADER.size or not data.startswith(_MAGIC):
        return _Journal(1, {})
    _, _, pages_before, sector_size, page_size = _HEADER.unpack_from(data)
    return _Journal(pages_before, dict(_pages(data, sector_size, page_size)))


def _pages(data: bytes, sector_size: int, page_size: int) -> Iterator[tuple[int, bytes]]:
    """Yield the records of all segments. Each segment starts at a sector, with a header that counts its records."""
    start = 0
    while sector_size >= _HEADER.size and data.startswith(_MAGIC, start) and len(data) >= start + sector_size:
        count = _HEADER.unpack_from(data, start)[0]
        start += sector_size
        for _ in range(count):
            if len(data) < start + page_size + 8:
                return
            yield int.from_bytes(data[start : start + 4]), data[start + 4 : start + 4 + page_size]
            start += page_size + 8  # the number before the page, and a checksum after it
        start = -(-start // sector_size) * sector_size


def _compare(path: Path, journal: _Journal) -> tuple[bool, bool]:
    """Return whether a journal and the main file have an owner token in common, and whether the change counter fits.

    Closing the descriptor releases all POSIX locks that this process has on the file: the caller has found a hot
    journal, so no transaction is running.
    """
    with path.open("rb") as file:

        def tokens_in_common(number: int, old: bytes) -> set[bytes]:
            file.seek((number - 1) * len(old))
            return set(OWNER_TOKEN.findall(old)) & set(OWNER_TOKEN.findall(file.read(len(old))))

        has_owner = any(tokens_in_common(number, old) for number, old in journal.pages.items())
        file.seek(0)
        counter = _counter(file.read(_COUNTER.stop))
    if journal.pages_before and 1 not in journal.pages:
        return has_owner, False
    before = _counter(journal.pages[1]) if journal.pages_before else 0
    return has_owner, counter in {before, before + 1}


def _counter(first_page: bytes) -> int:
    return int.from_bytes(first_page[_COUNTER])
