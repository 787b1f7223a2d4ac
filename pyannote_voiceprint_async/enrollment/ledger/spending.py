"""Count the billed jobs of a ledger, and the jobs whose cost a person has confirmed."""

import math
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = [
    "FREE_REASONS",
    "agreed_jobs",
    "billed_seconds",
    "count_failed_jobs",
    "keep_failed_jobs",
    "paid_jobs",
    "record_agreed_jobs",
]

# Names in `meta`.
_FAILED_JOBS = "failed_jobs"
_AGREED_JOBS = "agreed_jobs"

FREE_REASONS = ("job-failed", "job-canceled")
"""The reasons of rows whose job is not billed: pyannoteAI bills neither failed nor canceled jobs."""

# A shorter recording is billed as this many seconds.
_LEAST_BILLED_SECONDS = 20

_COUNT_FAILED = f"""
SELECT count(*) FROM recordings WHERE state = 'failed' AND job_id IS NOT NULL AND reason IN {FREE_REASONS}
"""  # noqa: S608 - our own reasons


def billed_seconds(seconds: float) -> int:
    """Return the billed seconds of an identification, by the length of its recording."""
    return max(_LEAST_BILLED_SECONDS, math.ceil(seconds))


def count_failed_jobs(connection: sqlite3.Connection) -> int:
    """Return how many jobs of all runs failed or were canceled, which are not billed."""
    (failed,) = connection.execute(_COUNT_FAILED).fetchone()
    return int(failed) + _read(connection, _FAILED_JOBS)


def paid_jobs(connection: sqlite3.Connection) -> int:
    """Return how many jobs of all runs are billed; a job that is not finished counts."""
    (ours,) = connection.execute("SELECT count(*) FROM jobs WHERE is_ours").fetchone()
    return int(ours) - count_failed_jobs(connection)


@contextmanager
def keep_failed_jobs(connection: sqlite3.Connection) -> Iterator[None]:
    """Keep the number of failed jobs in a block that resets or deletes their rows."""
    before = count_failed_jobs(connection)
    yield
    if lost := before - count_failed_jobs(connection):
        _write(connection, _FAILED_JOBS, _read(connection, _FAILED_JOBS) + lost)


def agreed_jobs(connection: sqlite3.Connection) -> int:
    """Return the number of jobs whose cost was confirmed, which is at least the number of billed jobs.

    A run records all jobs of its list as confirmed when it begins. The rest of the list needs no second question.
    """
    return max(_read(connection, _AGREED_JOBS), paid_jobs(connection))


def record_agreed_jobs(connection: sqlite3.Connection, jobs: int) -> None:
    """Record that a run begins a list with this many jobs still to bill."""
    _write(connection, _AGREED_JOBS, max(agreed_jobs(connection), paid_jobs(connection) + jobs))


def _read(connection: sqlite3.Connection, name: str) -> int:
    found = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return int(found[0]) if found else 0


def _write(connection: sqlite3.Connection, name: str, number: int) -> None:
    connection.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", (name, str(number)))
