"""How the rows of a ledger stand, read from it at any moment."""

import sqlite3

from pyannote_voiceprint_async.enrollment.events import Report

__all__ = ["LEFT_OUT", "newest_run", "report_of"]

LEFT_OUT = "left_out"
"""Under this the ledger remembers how many rows of the newest list are left out for being wrong."""

_MOST_FAILURES = 100


def newest_run(connection: sqlite3.Connection) -> int:
    """Give the number of the last run; 0 where there was none."""
    found = connection.execute("SELECT value FROM meta WHERE name = 'run'").fetchone()
    return int(found[0]) if found else 0


def report_of(connection: sqlite3.Connection, *, run: int) -> Report:
    """Give the report of a run's list, as far as the ledger knows it.

    Args:
        connection: the ledger.
        run: whose list; see `newest_run`.
    """
    states = dict(
        connection.execute(
            "SELECT state, count(*) FROM labels JOIN recordings ON id = recording_id "
            "WHERE listed_in = ? GROUP BY state",
            (run,),
        )
    )
    failures = connection.execute(
        "SELECT error, count(*) AS many FROM labels JOIN recordings ON id = recording_id "
        "WHERE listed_in = ? AND state = 'failed' GROUP BY error ORDER BY many DESC, error LIMIT ?",
        (run, _MOST_FAILURES),
    )
    left_out = connection.execute("SELECT value FROM meta WHERE name = ?", (LEFT_OUT,)).fetchone()
    jobs = dict(connection.execute("SELECT is_ours, count(*) FROM jobs GROUP BY is_ours"))
    twice = connection.execute("SELECT count(*) FROM lost_intents WHERE was_resubmitted").fetchone()[0]
    return Report(
        rows=sum(states.values()),
        succeeded=states.get("succeeded", 0),
        failed=states.get("failed", 0),
        uncertain=states.get("uncertain", 0),
        expired=states.get("expired", 0),
        submitted=states.get("submitted", 0),
        unanswered=states.get("submitting", 0),
        pending=states.get("pending", 0),
        invalid=int(left_out[0]) if left_out else 0,
        jobs_ever=jobs.get(1, 0),
        possibly_paid_twice=twice,
        unknown_jobs=jobs.get(0, 0),
        failures=dict(failures.fetchall()),
    )
