"""Count the rows of a ledger by state."""

import sqlite3

from pyannote_voiceprint_async.enrollment.events import Report

from .spending import count_failed_jobs

__all__ = ["INVALID_ROWS", "newest_run", "read_origin", "read_report"]

INVALID_ROWS = "left_out"
"""The name in `meta` under which the number of skipped rows of the newest list is stored."""

_MAX_FAILURES = 100

_STATES = """
SELECT state, count(*) FROM labels JOIN recordings ON id = recording_id WHERE listed_in = ? GROUP BY state
"""
_FAILURES = """
SELECT error, count(*) AS many FROM labels JOIN recordings ON id = recording_id
WHERE listed_in = ? AND state = 'failed' GROUP BY error ORDER BY many DESC, error LIMIT ?
"""


def newest_run(connection: sqlite3.Connection) -> int:
    """Return the number of the last run, or 0 if there was none."""
    found = connection.execute("SELECT value FROM meta WHERE name = 'run'").fetchone()
    return int(found[0]) if found else 0


def read_origin(connection: sqlite3.Connection) -> str | None:
    """Return the base URL of the API of the ledger, or the name that the runs gave it; None before the first run."""
    found = connection.execute("SELECT value FROM meta WHERE name = 'base_url'").fetchone()
    return str(found[0]) if found else None


def read_report(connection: sqlite3.Connection, *, run: int) -> Report:
    """Return the report of a run's list, as far as it is stored in the ledger.

    Args:
        connection: the ledger.
        run: the number of the run; see `newest_run`.
    """
    states = dict(connection.execute(_STATES, (run,)))
    failures = dict(connection.execute(_FAILURES, (run, _MAX_FAILURES)).fetchall())
    invalid = connection.execute("SELECT value FROM meta WHERE name = ?", (INVALID_ROWS,)).fetchone()
    jobs = dict(connection.execute("SELECT is_ours, count(*) FROM jobs GROUP BY is_ours"))
    (resubmitted,) = connection.execute("SELECT count(*) FROM lost_intents WHERE was_resubmitted").fetchone()
    return Report(
        rows=sum(states.values()),
        succeeded=states.get("succeeded", 0),
        failed=states.get("failed", 0),
        uncertain=states.get("uncertain", 0),
        expired=states.get("expired", 0),
        submitted=states.get("submitted", 0),
        unresolved=states.get("submitting", 0),
        pending=states.get("pending", 0),
        invalid=int(invalid[0]) if invalid else 0,
        jobs_ever=jobs.get(1, 0),
        failed_jobs_ever=count_failed_jobs(connection),
        possibly_paid_twice=resubmitted,
        unknown_jobs=jobs.get(0, 0),
        failures=failures,
    )
