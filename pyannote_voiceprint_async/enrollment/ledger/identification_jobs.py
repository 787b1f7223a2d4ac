"""The identification jobs of a ledger: each accepted job, even if its row was submitted again later."""

import hashlib
import sqlite3

__all__ = [
    "IDENTIFICATION_JOBS_SCHEMA",
    "find_identification",
    "identification_name",
    "read_failed_identifications",
    "record_identification_job",
]

IDENTIFICATION_JOBS_SCHEMA = """
    -- Every accepted job of an identification, as in the table `jobs`.
    CREATE TABLE identification_jobs (
        job_id TEXT PRIMARY KEY,
        -- NULL: the identification was erased.
        identification_id INTEGER,
        -- When the job was accepted, by the clock of this machine.
        accepted_at REAL,
        -- The length of the recording; NULL if it is unknown.
        seconds REAL,
        -- Whether the job failed or was canceled, which is not billed.
        is_free INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID;
    CREATE INDEX identification_jobs_by_row ON identification_jobs (identification_id);
    INSERT INTO identification_jobs (job_id, identification_id, accepted_at, is_free)
    SELECT job_id, id, accepted_at, state = 'failed' FROM identifications WHERE job_id IS NOT NULL
"""
"""The schema step that adds the jobs of identifications."""

_PREFIX, _DIGITS = "identification:", 12

_INSERT = """
INSERT INTO identification_jobs (job_id, identification_id, accepted_at, seconds)
SELECT :job_id, :row, :accepted_at, :seconds WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE job_id = :job_id AND is_ours)
ON CONFLICT (job_id) DO UPDATE SET is_free = 0 WHERE identification_id = :row
"""
_HAS_IDENTIFICATIONS = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'identifications'"
_FAILED = """
SELECT identity, request, state, error FROM identifications WHERE state IN ('failed', 'uncertain', 'expired')
ORDER BY id
"""
_SET_SUBMITTED = """
UPDATE identifications SET state = 'submitted', job_id = ?, intended_from = NULL, intended_until = NULL, error = NULL
WHERE id = ?
"""


def identification_name(identity: str, request: str) -> str:
    """Return the name of an identification in messages and for `ledger accept`. It is the same in every ledger.

    Args:
        identity: the identity of the recording.
        request: the hash of the request.
    """
    return f"{_PREFIX}{hashlib.sha256(f'{identity} {request}'.encode()).hexdigest()[:_DIGITS]}"


def find_identification(connection: sqlite3.Connection, name: str) -> tuple[int, str, str | None] | None:
    """Return the row, the state and the job id of the identification with this name, if the ledger has it."""
    if name.startswith(_PREFIX):
        for identity, request, *found in connection.execute(
            "SELECT identity, request, id, state, job_id FROM identifications"
        ):
            if identification_name(identity, request) == name:
                return found[0], found[1], found[2]
    return None


def read_failed_identifications(connection: sqlite3.Connection) -> list[tuple[str, str, str | None]]:
    """Return the name, the state and the error of the identifications that failed, are uncertain or expired."""
    if connection.execute(_HAS_IDENTIFICATIONS).fetchone() is None:  # the ledger of an earlier version
        return []
    return [
        (identification_name(identity, request), state, error)
        for identity, request, state, error in connection.execute(_FAILED)
    ]


def record_identification_job(
    connection: sqlite3.Connection,
    row: int,
    job_id: str,
    accepted_at: float | None = None,
    seconds: float | None = None,
) -> bool:
    """Record the job of an identification in a transaction that the caller has begun.

    Args:
        connection: the ledger.
        row: the id of the row.
        job_id: its job.
        accepted_at: when its response arrived, in UTC epoch seconds by this machine's clock; None if unknown.
        seconds: the length of the recording, if it is known.

    Returns:
        False if the job belongs to another row. Then nothing is changed.
    """
    values = {"job_id": job_id, "row": row, "accepted_at": accepted_at, "seconds": seconds}
    if not connection.execute(_INSERT, values).rowcount:
        return False
    connection.execute("DELETE FROM jobs WHERE job_id = ?", (job_id,))  # it was an unknown job until now
    connection.execute(_SET_SUBMITTED, (job_id, row))
    return True
