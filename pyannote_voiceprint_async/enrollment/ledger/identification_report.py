"""Count the identifications of a ledger by state, their jobs, and the billed seconds."""

import sqlite3

import attrs

from .spending import billed_seconds

__all__ = ["IdentificationReport", "read_identification_report"]

_STATES = "SELECT state, count(*) FROM identifications GROUP BY state"
_JOBS = "SELECT is_free, seconds, count(*) FROM identification_jobs GROUP BY is_free, seconds"
# For a ledger of an earlier version, until a run opens it: that version stored no lengths.
_EARLIER_JOBS = """
SELECT state = 'failed', NULL, count(*) FROM identifications WHERE job_id IS NOT NULL GROUP BY state = 'failed'
"""


@attrs.frozen
class IdentificationReport:
    """The identifications of all runs by state. Each has one job; a recording among more than 50 speakers has several.

    The names are those of `Report`.
    """

    rows: int = 0
    """All identifications."""
    succeeded: int = 0
    """Identifications with a result."""
    failed: int = 0
    """Identifications that the API refused, or whose job failed or has no result."""
    uncertain: int = 0
    """Identifications whose outcome could not be resolved: they may have a job."""
    expired: int = 0
    """Identifications that were billed, but whose result expired before it was fetched."""
    submitted: int = 0
    """Identifications with an accepted job that is not finished."""
    unresolved: int = 0
    """Identifications that were sent, with an unknown outcome that the next run resolves."""
    pending: int = 0
    """Identifications that were not sent."""
    jobs_ever: int = 0
    """Jobs that were accepted in all runs on this ledger."""
    failed_jobs_ever: int = 0
    """Jobs among them that failed or were canceled, which are not billed."""
    billed_seconds: int = 0
    """The billed seconds of the other jobs, as far as the lengths of their recordings are known."""
    jobs_of_unknown_length: int = 0
    """Billed jobs whose recording has an unknown length."""

    @property
    def billed_jobs(self) -> int:
        """Accepted jobs of all runs that did not fail."""
        return self.jobs_ever - self.failed_jobs_ever


def read_identification_report(connection: sqlite3.Connection) -> IdentificationReport:
    """Return the counts of a ledger, which an earlier version may have written."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if "identifications" not in tables:
        return IdentificationReport()
    states = dict(connection.execute(_STATES))
    jobs = connection.execute(_JOBS if "identification_jobs" in tables else _EARLIER_JOBS).fetchall()
    return IdentificationReport(
        rows=sum(states.values()),
        unresolved=states.pop("submitting", 0),
        jobs_ever=sum(count for *_, count in jobs),
        failed_jobs_ever=sum(count for is_free, _, count in jobs if is_free),
        billed_seconds=sum(
            billed_seconds(seconds) * count for is_free, seconds, count in jobs if not is_free and seconds
        ),
        jobs_of_unknown_length=sum(count for is_free, seconds, count in jobs if not (is_free or seconds)),
        **states,
    )
