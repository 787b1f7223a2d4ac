"""The schema of the ledger, as numbered steps that are appended and never changed: existing files were made by them.

To add a column, append a step with its ALTER TABLE, and name the table in `checksums`: the checksum of a row covers all
of its columns. Until a run opens an older ledger, the ledger lacks the column, and readers such as `ledger status` and
`export` must still read it: see `_LATER_COLUMNS` in `export_rows`.

To add a table, append a step with its CREATE TABLE. Name the table in `checksums` if a wrong value in it can cost money
or mix up voiceprints, and in `_TABLES` of `snapshot` if a dry run needs it.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pyannote_voiceprint_async.errors import LedgerError
from pyannote_voiceprint_async.sqlite_transaction import atomic

from . import checksums
from .identification_jobs import IDENTIFICATION_JOBS_SCHEMA
from .ownership import ORIGIN_SCHEMA, OWNER_SCHEMA
from .run_state import RUN_STATE_SCHEMA

__all__ = ["STEPS", "SchemaStep", "applied_steps", "apply_steps"]

_APPLICATION_ID = 0x70766C67  # "pvlg"

_RECORD = """
CREATE TABLE IF NOT EXISTS schema_steps (number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at TEXT NOT NULL)
"""
_RECORD_STEP = "INSERT OR REPLACE INTO schema_steps VALUES (?, ?, strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))"


# The tables that had checksums first.
_FIRST_TABLES = ("meta", "recordings", "labels", "jobs", "lost_intents", "forgotten", "looks")


class SchemaStep(NamedTuple):
    """One step of the schema."""

    name: str
    date: str
    """The day on which the step was added to this package."""
    script: str
    checksums: Sequence[str] = ()
    """The tables whose rows get checksums, or whose checksums are extended to the columns that the script adds."""


STEPS: Sequence[SchemaStep] = (
    SchemaStep(
        "recordings, labels, jobs",
        "2026-11-24",
        """
        CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

        -- One recording under one model, which is paid once. Its identity is the URL without the signing query, or the
        -- hash of the file's bytes.
        CREATE TABLE recordings (
            id INTEGER PRIMARY KEY,
            identity TEXT NOT NULL,
            model TEXT NOT NULL,
            source TEXT NOT NULL,
            is_file INTEGER NOT NULL,
            size INTEGER,
            modified_ns INTEGER,
            expires_at REAL,
            media_url TEXT,
            uploaded_at REAL,
            state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN
                ('pending', 'submitting', 'submitted', 'succeeded', 'failed', 'uncertain', 'expired')),
            -- The last intent to submit was written between these two times of the server's clock.
            intended_from REAL,
            intended_until REAL,
            job_id TEXT,
            voiceprint TEXT,
            voiceprint_hash TEXT,
            created_at TEXT,
            warnings TEXT,
            finished_at REAL,
            error TEXT,
            -- The kind of failure, where the program acts on it.
            reason TEXT,
            UNIQUE (identity, model)
        );
        CREATE INDEX recordings_by_state ON recordings (state, id);
        CREATE INDEX recordings_by_file ON recordings (source) WHERE is_file;

        CREATE TABLE labels (
            label TEXT PRIMARY KEY,
            recording_id INTEGER NOT NULL REFERENCES recordings (id),
            -- The last run whose list had the label, and the position in that list.
            listed_in INTEGER NOT NULL,
            position INTEGER NOT NULL,
            extra TEXT NOT NULL
        ) WITHOUT ROWID;
        CREATE INDEX labels_by_recording ON labels (recording_id);

        -- Every job id ever seen, also those that other programs may have submitted (`is_ours` is 0).
        CREATE TABLE jobs (
            job_id TEXT PRIMARY KEY,
            is_ours INTEGER NOT NULL,
            recording_id INTEGER,
            -- When our job was accepted, by the clock of this machine. For other jobs: when the API created them.
            created_at REAL
        ) WITHOUT ROWID;

        -- Submissions whose outcome stays unknown: their recordings were submitted once more, or erased. A job of that
        -- time may belong to one of them.
        CREATE TABLE lost_intents (
            id INTEGER PRIMARY KEY,
            was_resubmitted INTEGER NOT NULL,
            intended_from REAL NOT NULL,
            intended_until REAL NOT NULL
        );

        CREATE TABLE forgotten (hash BLOB PRIMARY KEY) WITHOUT ROWID
        """,
    ),
    SchemaStep(
        "segments of recordings",
        "2026-11-24",
        """
        -- The segments of the file that are submitted, as JSON. NULL stands for the whole file.
        ALTER TABLE recordings ADD COLUMN pieces TEXT;
        -- The settings of the audio check that chose the segments.
        ALTER TABLE recordings ADD COLUMN asked TEXT NOT NULL DEFAULT ''
        """,
    ),
    SchemaStep(
        "findings of the audio check",
        "2026-11-24",
        """
        -- The findings of the audio check, as a JSON list of sentences.
        ALTER TABLE recordings ADD COLUMN notes TEXT
        """,
    ),
    SchemaStep(
        "audio checks of refused lists",
        "2026-11-26",
        """
        -- Results of audio checks until a list with the file is applied: hours of audio must not be decoded twice.
        CREATE TABLE looks (
            source TEXT NOT NULL,
            asked TEXT NOT NULL,
            size INTEGER NOT NULL,
            modified_ns INTEGER NOT NULL,
            identity TEXT NOT NULL,
            pieces TEXT,
            notes TEXT NOT NULL,
            PRIMARY KEY (source, asked)
        ) WITHOUT ROWID
        """,
    ),
    SchemaStep("owner of the ledger", "2026-11-30", OWNER_SCHEMA),
    SchemaStep("checksums of all rows", "2026-11-30", "", _FIRST_TABLES),
    SchemaStep("origin of the ledger and of its journal", "2026-11-30", ORIGIN_SCHEMA),
    SchemaStep("state of the run", "2026-11-30", RUN_STATE_SCHEMA),
    SchemaStep("faster checksums", "2026-11-30", "", _FIRST_TABLES),
    SchemaStep(
        "identifications",
        "2026-11-30",
        """
        -- One job of `identify`, which is paid once: a recording, and the hash of a request with its voiceprints.
        CREATE TABLE identifications (
            id INTEGER PRIMARY KEY,
            identity TEXT NOT NULL,
            request TEXT NOT NULL,
            model TEXT NOT NULL,
            media_url TEXT,
            uploaded_at REAL,
            state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN
                ('pending', 'submitting', 'submitted', 'succeeded', 'failed', 'uncertain', 'expired')),
            -- As in the table `recordings`.
            intended_from REAL,
            intended_until REAL,
            job_id TEXT UNIQUE,
            accepted_at REAL,
            -- The fields of the identification, as JSON.
            result TEXT,
            error TEXT,
            finished_at REAL,
            UNIQUE (identity, request)
        )
        """,
        ("identifications",),
    ),
    SchemaStep("jobs of identifications", "2026-11-30", IDENTIFICATION_JOBS_SCHEMA, ("identification_jobs",)),
)
"""All steps, in order. `PRAGMA user_version` holds the number of applied steps; the table `schema_steps` holds their
names and the times at which they were applied."""


def applied_steps(connection: sqlite3.Connection, path: Path, steps: Sequence[SchemaStep] = STEPS) -> int:
    """Return how many steps a file has; 0 for an empty file.

    Raises:
        LedgerError: the file is another SQLite file, or a later version of this package wrote it.
    """
    application_id = connection.execute("PRAGMA application_id").fetchone()[0]
    is_empty = not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if application_id != _APPLICATION_ID and not is_empty:
        raise LedgerError(f"{path} is an SQLite file, but not a ledger. Choose another file.")
    applied = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if applied > len(steps):
        raise LedgerError(f"{path} was written by a later version of this package. Install that version.")
    return applied


def apply_steps(connection: sqlite3.Connection, steps: Sequence[SchemaStep], applied: int) -> None:
    """Apply the missing steps in one transaction.

    Args:
        connection: the ledger.
        steps: all steps.
        applied: how many of them the file has.
    """
    with atomic(connection):
        connection.execute(_RECORD)
        for number, step in enumerate(steps[applied:], applied + 1):
            is_intact = {table: checksums.intact(connection, table) for table in step.checksums}
            for statement in _statements(step.script):
                connection.execute(statement)
            for table, condition in is_intact.items():
                checksums.cover(connection, table, condition)
            connection.execute(_RECORD_STEP, (number, step.name))
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(steps)}")


def _statements(script: str) -> Iterator[str]:
    """Split a script. `executescript` would commit the open transaction first."""
    statement = ""
    for part in script.split(";"):
        statement += f"{part};"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
