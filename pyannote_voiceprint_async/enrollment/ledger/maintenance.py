"""Maintenance of a ledger between runs: forget people, purge voiceprints, accept jobs, recover, and inspect.

Functions that take a path block. Those that write lock the ledger; those that read work during a run.
"""

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import attrs

from pyannote_voiceprint_async.enrollment.events import Report
from pyannote_voiceprint_async.enrollment.manifest.names import normalize_name, unicode_forms
from pyannote_voiceprint_async.errors import LedgerError
from pyannote_voiceprint_async.redaction import redact_url
from pyannote_voiceprint_async.sqlite_transaction import atomic

from .checksums import check_integrity
from .connection import open_writable, read_snapshot
from .exclusive_access import compact, exclusive_connection, lock_ledger
from .export import EXPORTED_COUNT, EXPORTED_THROUGH
from .identification_jobs import find_identification, read_failed_identifications, record_identification_job
from .ownership import disown, read_owner, sign_journal
from .report import newest_run, read_report
from .run_state import clear_run_state
from .staged_list import forgotten_hash

__all__ = [
    "FORGET_LIMITS",
    "FailedRow",
    "Forgotten",
    "Purged",
    "accept",
    "accept_job",
    "count_voiceprints",
    "failed_identifications",
    "failed_rows",
    "forget",
    "forget_labels",
    "purge",
    "purge_exported",
    "read_failed_rows",
    "recover",
    "status",
]

FORGET_LIMITS = (
    "This command does not erase: the recording itself and the list of speakers; exports, copies and backups of the "
    "ledger; free blocks and snapshots of its disk; the history of your shell; and the data at pyannoteAI, which "
    "deletes outputs after 24 hours and uploaded audio after 24 to 48."
)
"""What has to be erased by hand after `forget`."""

_DROP_EXPORTED = """
UPDATE recordings SET voiceprint = NULL
WHERE state = 'succeeded' AND voiceprint IS NOT NULL AND finished_at <= ?
AND EXISTS (SELECT 1 FROM labels WHERE recording_id = recordings.id)
"""
# The submission may have been accepted: a job of that time may belong to the recording.
_KEEP_UNKNOWN_OUTCOME = """
INSERT INTO lost_intents (was_resubmitted, intended_from, intended_until)
SELECT 0, intended_from, intended_until FROM recordings WHERE id = ? AND intended_from IS NOT NULL
"""
_WITHOUT_LABEL = """
SELECT id, identity FROM recordings WHERE NOT EXISTS (SELECT 1 FROM labels WHERE recording_id = recordings.id)
"""
_DISOWN_JOBS = """
UPDATE identification_jobs SET identification_id = NULL
WHERE identification_id IN (SELECT id FROM identifications WHERE instr(result, :key))
"""
_HAS_IDENTIFICATION = "SELECT 1 FROM identifications WHERE instr(result, :key) LIMIT 1"
_ERASE_IDENTIFICATIONS = "DELETE FROM identifications WHERE instr(result, :key)"
_INSERT_FORGOTTEN = "INSERT OR IGNORE INTO forgotten (hash) VALUES (?)"
_FAILED_ROWS = """
SELECT label, state, error, source, is_file, extra FROM labels CROSS JOIN recordings ON id = recording_id
WHERE listed_in = :run AND label > :last AND state IN ('failed', 'uncertain', 'expired') ORDER BY label LIMIT :limit
"""
_PAGE = 1000

# A row in one of these states waits for no job. An expired row may be one whose job id was mistyped: the API does not
# know that job, and without the right id the row would be billed again.
_WITHOUT_JOB = frozenset({"pending", "submitting", "uncertain", "failed", "expired"})
_ROW_OF_LABEL = """
SELECT id, state, recordings.job_id FROM labels JOIN recordings ON id = recording_id WHERE label = ?
"""
_INSERT_JOB = """
INSERT INTO jobs (job_id, is_ours, recording_id) SELECT :job_id, 1, :id
WHERE NOT EXISTS (SELECT 1 FROM identification_jobs WHERE job_id = :job_id) ON CONFLICT (job_id) DO UPDATE
SET is_ours = 1, recording_id = excluded.recording_id
WHERE NOT is_ours OR recording_id IS NULL OR recording_id = :id
"""
_SET_SUBMITTED = """
UPDATE recordings SET state = 'submitted', job_id = ?, intended_from = NULL, intended_until = NULL, error = NULL,
reason = NULL WHERE id = ?
"""


@attrs.frozen
class Forgotten:
    """What `forget` did."""

    labels: Sequence[str]
    """Labels that are erased, now or by an earlier `forget`."""
    unknown: Sequence[str]
    """Labels that the ledger does not have."""
    recordings: int
    """Recordings that were erased with their voiceprints."""


@attrs.frozen
class Purged:
    """What `purge` did."""

    dropped: int
    """Voiceprints that were deleted from the ledger."""
    kept: int
    """Voiceprints that stay, because they are newer than the last export."""


class FailedRow(NamedTuple):
    """A row that failed, is uncertain or expired, and needs a person."""

    label: str
    status: str
    error: str | None
    source: str
    """The file, or the URL without the values of its query."""
    extra: Mapping[str, Any]
    """The other columns of the list."""


# Functions that take a path


def forget(path: Path, labels: Iterable[str]) -> Forgotten:
    """Erase people, with their recordings and voiceprints, so that no later run enrolls them again.

    A recording that another label shares is kept. Recordings without a label (a list gave their label another source)
    are erased as well: they may belong to the same people. Job ids are kept without their recording.

    Args:
        path: the ledger; no run may have it open.
        labels: the labels of the people.

    Raises:
        LedgerInUseError: a run has it open.
        LedgerError: it cannot be used, or another program reads it; repeating the command completes it.
    """
    with exclusive_connection(path) as connection:
        with atomic(connection):
            sign_journal(connection)
            forgotten = forget_labels(connection, labels)
        if forgotten.labels:
            compact(connection)
    return forgotten


def purge(path: Path) -> Purged:
    """Delete the exported voiceprints. Ids, hashes and states are kept, so that nothing is billed again.

    Args:
        path: the ledger; no run may have it open.

    Raises:
        LedgerInUseError: a run has it open.
        LedgerError: it cannot be used, was never exported, or another program reads it.
    """
    with exclusive_connection(path) as connection:
        with atomic(connection):
            sign_journal(connection)
            purged = purge_exported(connection)
        compact(connection)
    return purged


def accept(path: Path, label: str, job_id: str) -> None:
    """Record a job that a run printed because the ledger could not save it. The next run fetches the result.

    Args:
        path: the ledger; no run may have it open.
        label: the label of the row; for an identification, the name that was printed with the job.
        job_id: the id of the job.

    Raises:
        LedgerInUseError: a run has it open.
        LedgerError: see `accept_job`.
    """
    with exclusive_connection(path) as connection, atomic(connection):
        sign_journal(connection)
        accept_job(connection, label, job_id)


def status(path: Path) -> Report:
    """Count the rows of the newest list by state. Works during a run.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    with read_snapshot(path) as connection:
        return read_report(connection, run=newest_run(connection))


def failed_rows(path: Path) -> Iterator[FailedRow]:
    """Yield the rows of the newest list that failed, are uncertain or expired. Works during a run.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    last = ""
    while page := read_failed_rows(path, last):
        yield from page
        last = page[-1].label


def failed_identifications(path: Path) -> list[FailedRow]:
    """Return the identifications of all runs that failed, are uncertain or expired. Works during a run.

    Their label is the name for `accept`. They have no source: the ledger knows a recording by its hash.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    with read_snapshot(path) as connection:
        return [FailedRow(*found, source="", extra={}) for found in read_failed_identifications(connection)]


def read_failed_rows(path: Path, after: str) -> list[FailedRow]:
    """Return the next page of failed rows: a reader that is slow between two pages does not block a run.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    with read_snapshot(path) as connection:
        values = {"run": newest_run(connection), "last": after, "limit": _PAGE}
        return [_to_failed_row(*row) for row in connection.execute(_FAILED_ROWS, values)]


def count_voiceprints(path: Path) -> int:
    """Return the number of voiceprints in the ledger.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    with read_snapshot(path) as connection:
        return int(connection.execute("SELECT count(voiceprint) FROM recordings").fetchone()[0])


def recover(path: Path) -> int:
    """Check a ledger that a run left open, and allow the next run to open it. Return how many rows are pending.

    It is needed if only a copy is left, or the journal of a killed run is lost.

    Args:
        path: the ledger; no run may have it open.

    Raises:
        LedgerInUseError: a run has it open.
        LedgerError: it is damaged, or cannot be used.
    """
    lock = lock_ledger(path)
    try:
        with closing(open_writable(path, recover=True)) as connection:
            check_integrity(connection, Path(os.path.realpath(path)))
            if read_owner(connection) is not None:
                disown(connection)
                connection.execute("PRAGMA journal_mode = DELETE")
            return int(connection.execute("SELECT count(*) FROM recordings WHERE state = 'pending'").fetchone()[0])
    except sqlite3.Error as exc:
        raise LedgerError(
            f"The ledger {path} cannot be recovered ({exc}). Resolve that, and repeat the command."
        ) from None
    finally:
        lock.release()


# Functions within a transaction of the caller


def forget_labels(connection: sqlite3.Connection, labels: Iterable[str]) -> Forgotten:
    """Delete people from the ledger; see `forget`. Run `compact` after the commit."""
    salt = dict(connection.execute("SELECT name, value FROM meta")).get("salt", "")
    wanted = list(dict.fromkeys(normalize_name(label.strip()) for label in labels))
    stored = _stored_forms(connection, wanted)
    unknown = [
        label
        for label in wanted
        if label not in stored
        and not _was_forgotten(connection, salt, label)
        and not any(
            connection.execute(_HAS_IDENTIFICATION, key).fetchone() for key in _result_keys(unicode_forms(label))
        )
    ]
    erased = [label for label in wanted if label not in unknown]
    recording_ids = set[int]()
    for label in erased:
        for form, recording_id in stored.get(label, ()):
            recording_ids.add(recording_id)
            connection.execute("DELETE FROM labels WHERE label = ?", (form,))
        keys = _result_keys({*unicode_forms(label), *(form for form, _ in stored.get(label, ()))})
        connection.executemany(_DISOWN_JOBS, keys)
        connection.executemany(_ERASE_IDENTIFICATIONS, keys)
        connection.execute(_INSERT_FORGOTTEN, (forgotten_hash(salt, label),))
    clear_run_state(connection)
    connection.execute("DELETE FROM looks")  # the results of audio checks name files of unknown people
    return Forgotten(erased, unknown, _erase_recordings(connection, salt, recording_ids) if erased else 0)


def purge_exported(connection: sqlite3.Connection) -> Purged:
    """Delete the exported voiceprints; see `purge`. Run `compact` after the commit.

    Raises:
        LedgerError: the ledger was never exported, or it is unclear what was exported.
    """
    meta = dict(connection.execute("SELECT name, value FROM meta"))
    if EXPORTED_THROUGH not in meta:
        raise LedgerError(
            "The voiceprints have not been exported yet, so nothing was deleted. Export all of them first: "
            "`pyannote-voiceprint export LEDGER`."
        )
    dropped = connection.execute(_DROP_EXPORTED, (float(meta[EXPORTED_THROUGH]),)).rowcount
    if dropped > int(meta[EXPORTED_COUNT]):
        raise LedgerError(
            "The ledger has more voiceprints from before the last export than the export had: a clock was set back, or "
            "a row came back. Nothing was deleted. Export all of them once more."
        )
    (kept,) = connection.execute("SELECT count(voiceprint) FROM recordings").fetchone()
    return Purged(dropped, kept)


def accept_job(connection: sqlite3.Connection, label: str, job_id: str) -> None:
    """Record the job of a row or of an identification. Recording the same job again changes nothing.

    Raises:
        LedgerError: the ledger has no such label, the label has another job, or the job belongs to another label.
    """
    label, job_id = normalize_name(label.strip()), job_id.strip()
    if not job_id or not job_id.isprintable():
        raise LedgerError("The job id is empty or has invalid characters. Copy it from the output of the run.")
    found = connection.execute(_ROW_OF_LABEL, (label,)).fetchone()
    record: Callable[[sqlite3.Connection, int, str], bool] = _record_job
    if found is None:
        found, record = find_identification(connection, label), record_identification_job
    if found is None:
        raise LedgerError(
            "The ledger has no such label. Nothing was changed. Use the label that was printed with the job id."
        )
    row, state, known_job = found
    if known_job == job_id and state not in _WITHOUT_JOB:
        return
    if state not in _WITHOUT_JOB:
        raise LedgerError(
            f"The label has another job already, whose state is {state}. Nothing was changed. Compare both with "
            "`pyannote-voiceprint job`. If the API does not know the other job, run the command once: it gives up that "
            "job, and this one can then be recorded."
        )
    if not record(connection, row, job_id):
        raise LedgerError("This job belongs to another row of the ledger. Nothing was changed.")


def _record_job(connection: sqlite3.Connection, recording_id: int, job_id: str) -> bool:
    """Record the job of a recording; return False if the job belongs to another row."""
    if not connection.execute(_INSERT_JOB, {"job_id": job_id, "id": recording_id}).rowcount:
        return False
    connection.execute(_SET_SUBMITTED, (job_id, recording_id))
    return True


def _to_failed_row(  # noqa: PLR0913, PLR0917 - the columns of the statement
    label: str, state: str, error: str | None, source: str, is_file: int, extra: str
) -> FailedRow:
    return FailedRow(label, state, error, source if is_file else redact_url(source), json.loads(extra or "{}"))


def _result_keys(forms: Iterable[str]) -> list[dict[str, str]]:
    """Return the forms of a label as JSON strings: results of `identify` contain them as the keys of the scores."""
    return [{"key": json.dumps(form, ensure_ascii=False)} for form in forms]


def _was_forgotten(connection: sqlite3.Connection, salt: str, label: str) -> bool:
    hashes = [forgotten_hash(salt, form) for form in unicode_forms(label)]
    query = "SELECT 1 FROM forgotten WHERE hash = ?"
    return any(connection.execute(query, (hash_,)).fetchone() for hash_ in hashes)


def _stored_forms(connection: sqlite3.Connection, wanted: Sequence[str]) -> dict[str, list[tuple[str, int]]]:
    """Return the stored forms of some labels with their recordings: earlier versions stored any Unicode form."""
    found: dict[str, list[tuple[str, int]]] = {label: [] for label in wanted}
    for form, recording_id in connection.execute("SELECT label, recording_id FROM labels"):
        if (label := normalize_name(form)) in found:
            found[label].append((form, recording_id))
    return {label: forms for label, forms in found.items() if forms}


def _erase_recordings(connection: sqlite3.Connection, salt: str, forgotten_ids: set[int]) -> int:
    """Erase the recordings without a label, and return their number."""
    erased = connection.execute(_WITHOUT_LABEL).fetchall()
    ids = [(id_,) for id_, _ in erased]
    connection.executemany(_KEEP_UNKNOWN_OUTCOME, ids)
    connection.executemany("DELETE FROM recordings WHERE id = ?", ids)
    connection.execute("UPDATE jobs SET recording_id = NULL WHERE recording_id NOT IN (SELECT id FROM recordings)")
    for id_, identity in erased:
        # The same audio under another model may belong to a person who was not forgotten.
        is_shared = connection.execute("SELECT 1 FROM recordings WHERE identity = ?", (identity,)).fetchone()
        if id_ in forgotten_ids and not is_shared:
            connection.execute(_INSERT_FORGOTTEN, (forgotten_hash(salt, identity),))
    return len(erased)
