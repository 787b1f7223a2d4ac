"""What is done to a ledger between runs: people are forgotten, voiceprints are dropped, and somebody looks at it."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import attrs

from pyannote_voiceprint_async.errors import LedgerError

from .database import Lock
from .events import Report
from .export import EXPORTED_COUNT, EXPORTED_THROUGH
from .ledger import open_connection, open_to_read
from .loading import forgotten_hash
from .names import forms_of, normal_name
from .reporting import newest_run, report_of

__all__ = [
    "OUT_OF_REACH",
    "Forgotten",
    "Purged",
    "Trouble",
    "count_voiceprints",
    "forget",
    "purge",
    "status",
    "troubles",
]

OUT_OF_REACH = (
    "This cannot reach: the recording itself and the list of speakers; exports, copies and backups of the ledger; free "
    "blocks and snapshots of its disk; the history of your shell; and pyannoteAI, which deletes outputs after 24 hours "
    "and uploaded audio after 24 to 48."
)
"""What `forget` has to be completed with by hand."""

_DROP = """
UPDATE recordings SET voiceprint = NULL
WHERE state = 'succeeded' AND voiceprint IS NOT NULL AND finished_at <= ?
AND EXISTS (SELECT 1 FROM labels WHERE recording_id = recordings.id)
"""
# What was about to be submitted may have been accepted: a job of that time may be its.
_KEEP_INTENT = """
INSERT INTO lost_intents (was_resubmitted, intended_from, intended_until)
SELECT 0, intended_from, intended_until FROM recordings WHERE id = ? AND intended_from IS NOT NULL
"""


@attrs.frozen
class Forgotten:
    """What `forget` did."""

    labels: Sequence[str]
    """Erased; now, or by an earlier `forget`."""
    unknown: Sequence[str]
    """The ledger does not have these."""
    recordings: int
    """Recordings that were erased with them, each with its voiceprint."""


@attrs.frozen
class Purged:
    """What `purge` did."""

    dropped: int
    """Voiceprints that are no longer in the ledger."""
    kept: int
    """Voiceprints that stay, because they were made after the last export."""


class Trouble(NamedTuple):
    """A row without a voiceprint that needs somebody."""

    label: str
    status: str
    error: str | None


def forget(path: Path, labels: Iterable[str]) -> Forgotten:
    """Erase people, with their recordings and voiceprints, so that a later run does not enroll them again.

    A recording that another label has, too, stays. Recordings that have no label any more (a list gave their label
    another source) go as well: they may be the same people's. Of job ids only the number is left.

    Args:
        path: the ledger; no run may have it.
        labels: who.

    Raises:
        LedgerInUseError: a run has it.
        LedgerError: it cannot be used, or somebody reads it; forgetting the same again completes it.
    """
    with _taken(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        forgotten = _forget(connection, [label.strip() for label in labels])
        # Of whom they are is not known.
        connection.execute("DELETE FROM looks")
        connection.execute("COMMIT")
        if forgotten.labels:
            _compact(connection)
    return forgotten


def purge(path: Path) -> Purged:
    """Drop the voiceprints that the last export has. Ids, hashes and states stay, so that nothing is paid again.

    Args:
        path: the ledger; no run may have it.

    Raises:
        LedgerInUseError: a run has it.
        LedgerError: it cannot be used, was never exported, or somebody reads it.
    """
    with _taken(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        meta = dict(connection.execute("SELECT name, value FROM meta"))
        if EXPORTED_THROUGH not in meta:
            raise LedgerError(
                "The voiceprints were not exported yet, and stay. Export all of them first: "
                "`pyannote-voiceprint export LEDGER`."
            )
        dropped = connection.execute(_DROP, (float(meta[EXPORTED_THROUGH]),)).rowcount
        if dropped > int(meta[EXPORTED_COUNT]):
            raise LedgerError(
                "There are more voiceprints of the time before the last export than it had: a clock was set back, or a "
                "row came back. Nothing was dropped. Export all of them once more."
            )
        (kept,) = connection.execute("SELECT count(voiceprint) FROM recordings").fetchone()
        connection.execute("COMMIT")
        _compact(connection)
    return Purged(dropped, kept)


def status(path: Path) -> Report:
    """Give how the rows of the newest list stand. It works during a run.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    with _read(path) as connection:
        return report_of(connection, run=newest_run(connection))


def troubles(path: Path) -> Iterator[Trouble]:
    """Give the rows of the newest list that failed, are uncertain or expired. It works during a run.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    with _read(path) as connection:
        yield from map(
            Trouble._make,
            connection.execute(
                "SELECT label, state, error FROM labels CROSS JOIN recordings ON id = recording_id "
                "WHERE listed_in = ? AND state IN ('failed', 'uncertain', 'expired') ORDER BY label",
                (newest_run(connection),),
            ),
        )


def count_voiceprints(path: Path) -> int:
    """Give how many voiceprints the ledger holds.

    Raises:
        LedgerError: it cannot be read.
    """
    with _read(path) as connection:
        return int(connection.execute("SELECT count(voiceprint) FROM recordings").fetchone()[0])


@contextmanager
def _read(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_to_read(path)) as connection:
        try:
            connection.execute("BEGIN")
            yield connection
        except sqlite3.Error as exc:
            raise LedgerError(f"The ledger {path} cannot be read ({exc}).") from None


@contextmanager
def _taken(path: Path) -> Iterator[sqlite3.Connection]:
    open_to_read(path).close()  # before a lock is made beside a file that is none
    lock = Lock.of(path)
    try:
        with closing(open_connection(path)) as connection:
            yield connection
    except sqlite3.Error as exc:
        raise LedgerError(f"The ledger {path} cannot be written ({exc}). Mend that, and say the same again.") from None
    finally:
        lock.release()


def _forget(connection: sqlite3.Connection, labels: Sequence[str]) -> Forgotten:
    salt = dict(connection.execute("SELECT name, value FROM meta")).get("salt", "")
    erased, unknown, theirs = list[str](), list[str](), set[int]()
    wanted = list(dict.fromkeys(map(normal_name, labels)))
    stored = _stored_forms(connection, wanted)
    for label in wanted:
        tombstones = [(forgotten_hash(salt, form),) for form in forms_of(label)]
        if label not in stored and not any(
            connection.execute("SELECT 1 FROM forgotten WHERE hash = ?", one).fetchone() for one in tombstones
        ):
            unknown.append(label)
            continue
        erased.append(label)
        for form, recording in stored.get(label, ()):
            theirs.add(recording)
            connection.execute("DELETE FROM labels WHERE label = ?", (form,))
        connection.execute("INSERT OR IGNORE INTO forgotten VALUES (?)", tombstones[0])
    return Forgotten(erased, unknown, _erase_recordings(connection, salt, theirs) if erased else 0)


def _stored_forms(connection: sqlite3.Connection, wanted: Sequence[str]) -> dict[str, list[tuple[str, int]]]:
    """Find labels in whatever Unicode form an earlier version stored them, each with its recording."""
    found: dict[str, list[tuple[str, int]]] = {label: [] for label in wanted}
    for form, recording in connection.execute("SELECT label, recording_id FROM labels"):
        if (label := normal_name(form)) in found:
            found[label].append((form, recording))
    return {label: forms for label, forms in found.items() if forms}


def _erase_recordings(connection: sqlite3.Connection, salt: str, theirs: set[int]) -> int:
    gone = connection.execute(
        "SELECT id, identity FROM recordings WHERE NOT EXISTS (SELECT 1 FROM labels WHERE recording_id = recordings.id)"
    ).fetchall()
    ids = [(number,) for number, _ in gone]
    connection.executemany(_KEEP_INTENT, ids)
    connection.executemany("DELETE FROM recordings WHERE id = ?", ids)
    connection.execute("UPDATE jobs SET recording_id = NULL WHERE recording_id NOT IN (SELECT id FROM recordings)")
    for number, identity in gone:
        # The same audio under another model may belong to somebody who stays.
        stays = connection.execute("SELECT 1 FROM recordings WHERE identity = ?", (identity,)).fetchone()
        if number in theirs and not stays:
            connection.execute("INSERT OR IGNORE INTO forgotten VALUES (?)", (forgotten_hash(salt, identity),))
    return len(gone)


def _compact(connection: sqlite3.Connection) -> None:
    """Write the file anew, and empty the log beside it: neither keeps a byte of what was deleted."""
    connection.execute("VACUUM")
    is_busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    if is_busy:
        raise LedgerError(
            "It is deleted, but its bytes are still in the ledger's files, because somebody reads them. End that, and "
            "say the same again."
        )
