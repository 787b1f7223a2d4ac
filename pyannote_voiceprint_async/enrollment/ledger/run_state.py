"""What a run tells other processes about itself: a row of the ledger, which `ledger status` reads.

The row is written together with other rows, and no decision of a run depends on it. Whether the run is alive is shown
by the lock of the file (`file_lock`), because a killed run cannot change its row.
"""

import sqlite3

import attrs

__all__ = ["RUN_STATE_SCHEMA", "RunState", "clear_run_state", "read_run_state"]

RUN_STATE_SCHEMA = """
    -- The last run. Times are UTC epoch seconds of the clock of its machine.
    CREATE TABLE run_state (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        process INTEGER NOT NULL,
        started_at REAL NOT NULL,
        updated_at REAL NOT NULL,
        ended_at REAL,
        stopped_by TEXT,
        rows_per_minute REAL,
        ends_at REAL,
        paused_for TEXT,
        next_attempt_at REAL
    )
"""
"""The schema step that adds the state of the run."""

_WRITE = """
INSERT OR REPLACE INTO run_state (id, process, started_at, updated_at, ended_at, stopped_by, rows_per_minute, ends_at,
paused_for, next_attempt_at) VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_READ = """
SELECT process, started_at, updated_at, ended_at, stopped_by, rows_per_minute, ends_at, paused_for, next_attempt_at
FROM run_state
"""


@attrs.frozen
class RunState:
    """The last run of a ledger. Times are UTC epoch seconds."""

    process: int
    """The id of its process."""
    started_at: float
    """When it began."""
    updated_at: float
    """When it wrote its state."""
    ended_at: float | None = None
    """When it ended; None for a run that is alive or was killed."""
    stopped_by: str | None = None
    """The error that ended it, as a sentence."""
    rows_per_minute: float | None = None
    """The rows that it finished in a minute."""
    ends_at: float | None = None
    """When the last row will have its result, by the estimate of that time."""
    paused_for: str | None = None
    """Why it sends nothing new, as a sentence; None while it sends."""
    next_attempt_at: float | None = None
    """When it tries again after a pause, if that is known."""

    def write(self, connection: sqlite3.Connection) -> None:
        """Write the state, within a transaction of the caller."""
        connection.execute(_WRITE, attrs.astuple(self))


def read_run_state(connection: sqlite3.Connection) -> RunState | None:
    """Return the state of the last run; None if there was none, or if an earlier version of this package ran it."""
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'run_state'").fetchone():
        return None
    found = connection.execute(_READ).fetchone()
    return None if found is None else RunState(*found)


def clear_run_state(connection: sqlite3.Connection) -> None:
    """Delete the state of the last run: its sentences may name people, who must be erased."""
    connection.execute("DELETE FROM run_state")
