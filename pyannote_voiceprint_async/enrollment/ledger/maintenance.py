"""What is done to a ledger between runs: people are forgotten, voiceprints are dropped, and somebody looks at it."""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import attrs

from pyannote_voiceprint_async.enrollment.events import Report
from pyannote_voiceprint_async.enrollment.manifest.names import normalize_name, unicode_forms
from pyannote_voiceprint_async.errors import LedgerError

from .counts import newest_run, report_of
from .database import check_whole, hold, release
from .export import EXPORTED_COUNT, EXPORTED_THROUGH
from .ownership import owner_of
from .staging import forgotten_hash
from .store import lock_file, open_connection, open_to_read

__all__ = [
    "OUT_OF_REACH",
    "FailedRow",
    "Forgotten",
    "Purged",
    "accept",
    "count_voiceprints",
    "forget",
    "purge",
    "recover",
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
_TROUBLES = """
SELECT label, state, error FROM labels CROSS JOIN recordings ON id = recording_id
WHERE listed_in = :run AND label > :last AND state IN ('failed', 'uncertain', 'expired') ORDER BY label LIMIT :many
"""
_PAGE = 1000

# A row in one of these states has no job, as far as the ledger knows.
_WITHOUT_JOB = frozenset({"pending", "submitting", "uncertain", "failed"})
_TAKE_JOB = """
INSERT INTO jobs (job_id, is_ours, recording_id) VALUES (:job_id, 1, :id) ON CONFLICT (job_id) DO UPDATE
SET is_ours = 1, recording_id = excluded.recording_id
WHERE NOT is_ours OR recording_id IS NULL OR recording_id = :id
"""
_ACCEPT = """
UPDATE recordings SET state = 'submitted', job_id = ?, intended_from = NULL, intended_until = NULL, error = NULL,
reason = NULL WHERE id = ?
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


class FailedRow(NamedTuple):
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


def troubles(path: Path) -> Iterator[FailedRow]:
    """Give the rows of the newest list that failed, are uncertain or expired. It works during a run.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    last = ""
    while True:
        # A page at a time: who reads the rows slowly must not hold up a run.
        with _read(path) as connection:
            values = {"run": newest_run(connection), "last": last, "many": _PAGE}
            page = connection.execute(_TROUBLES, values).fetchall()
        yield from map(FailedRow._make, page)
        if len(page) < _PAGE:
            return
        last = page[-1][0]


def accept(path: Path, label: str, job_id: str) -> None:
    """Record a job that a run printed because it could not be saved. The next run fetches its voiceprint.

    Recording the same job again changes nothing.

    Args:
        path: the ledger; no run may have it.
        label: the label that the job was printed with.
        job_id: the id of the job.

    Raises:
        LedgerInUseError: a run has it.
        LedgerError: it has no such label, or this label has another job, or the job belongs to another label.
    """
    label, job_id = normalize_name(label.strip()), job_id.strip()
    if not job_id or not job_id.isprintable():
        raise LedgerError("The job id is empty, or has characters that no job id has. Copy it from the run's output.")
    with _taken(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        found = connection.execute(
            "SELECT id, state, recordings.job_id FROM labels JOIN recordings ON id = recording_id WHERE label = ?",
            (label,),
        ).fetchone()
        if found is None:
            raise LedgerError("The ledger has no such label. Use the label that the job id was printed with.")
        number, state, known = found
        if known == job_id and state not in _WITHOUT_JOB:
            return
        if state not in _WITHOUT_JOB:
            raise LedgerError(
                f"The label has another job already: it is {state}. Nothing was changed. If that job is wrong, "
                "`pyannote-voiceprint job` shows both."
            )
        is_new = connection.execute(_TAKE_JOB, {"job_id": job_id, "id": number}).rowcount
        if not is_new:
            raise LedgerError("This job belongs to another label of the ledger. Nothing was changed.")
        connection.execute(_ACCEPT, (job_id, number))
        connection.execute("COMMIT")


def recover(path: Path) -> int:
    """Check all of a ledger that a run left open, and open it for the next run. Return how many rows are pending.

    What is needed where a copy is all that is left, or the journal of a killed run is lost.

    Args:
        path: the ledger; no run may have it.

    Raises:
        LedgerInUseError: a run has it.
        LedgerError: it is damaged, or cannot be used.
    """
    real = Path(os.path.realpath(path))
    lock = lock_file(path)
    try:
        with closing(open_connection(path, recovers=True)) as connection:
            check_whole(connection, real)
            if (left := owner_of(connection)) is not None:
                connection.execute("BEGIN IMMEDIATE")
                left.erase(connection)
                connection.execute("COMMIT")
                connection.execute("PRAGMA journal_mode = DELETE")
            return int(connection.execute("SELECT count(*) FROM recordings WHERE state = 'pending'").fetchone()[0])
    except sqlite3.Error as exc:
        raise LedgerError(
            f"The ledger {path} cannot be recovered ({exc}). Resolve that, and repeat the command."
        ) from None
    finally:
        lock.release()


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
    real = Path(os.path.realpath(path))
    lock = lock_file(path)
    try:
        with closing(open_connection(path)) as connection:
            owner = hold(connection, real)
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                release(connection, real, owner)
    except sqlite3.Error as exc:
        raise LedgerError(
            f"The ledger {path} cannot be written ({exc}). Resolve that, and repeat the command."
        ) from None
    finally:
        lock.release()


def _forget(connection: sqlite3.Connection, labels: Sequence[str]) -> Forgotten:
    salt = dict(connection.execute("SELECT name, value FROM meta")).get("salt", "")
    erased, unknown, theirs = list[str](), list[str](), set[int]()
    wanted = list(dict.fromkeys(map(normalize_name, labels)))
    stored = _stored_forms(connection, wanted)
    for label in wanted:
        tombstones = [(forgotten_hash(salt, form),) for form in unicode_forms(label)]
        if label not in stored and not any(
            connection.execute("SELECT 1 FROM forgotten WHERE hash = ?", one).fetchone() for one in tombstones
        ):
            unknown.append(label)
            continue
        erased.append(label)
        for form, recording in stored.get(label, ()):
            theirs.add(recording)
            connection.execute("DELETE FROM labels WHERE label = ?", (form,))
        connection.execute("INSERT OR IGNORE INTO forgotten (hash) VALUES (?)", tombstones[0])
    return Forgotten(erased, unknown, _erase_recordings(connection, salt, theirs) if erased else 0)


def _stored_forms(connection: sqlite3.Connection, wanted: Sequence[str]) -> dict[str, list[tuple[str, int]]]:
    """Find labels in whatever Unicode form an earlier version stored them, each with its recording."""
    found: dict[str, list[tuple[str, int]]] = {label: [] for label in wanted}
    for form, recording in connection.execute("SELECT label, recording_id FROM labels"):
        if (label := normalize_name(form)) in found:
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
            connection.execute("INSERT OR IGNORE INTO forgotten (hash) VALUES (?)", (forgotten_hash(salt, identity),))
    return len(gone)


def _compact(connection: sqlite3.Connection) -> None:
    """Write the file anew, so that it keeps no byte of what was deleted. The journal is removed with the mark."""
    try:
        connection.execute("VACUUM")
    except sqlite3.OperationalError as exc:
        raise LedgerError(
            f"It is deleted, but its bytes are still in the ledger's file ({exc}). End what reads the file, and repeat "
            "the command."
        ) from None
