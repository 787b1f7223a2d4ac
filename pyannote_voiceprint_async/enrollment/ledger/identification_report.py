"""Count the identifications of a ledger by state, and what their jobs cost."""

import sqlite3

import attrs

from .spending import billed_seconds

__all__ = ["IdentificationReport", "read_identification_report"]

_STATES = "SELECT state, count(*) FROM identifications GROUP BY state"
_JOBS = "SELECT is_free, seconds, count(*) FROM identification_jobs GROUP BY is_free, seconds"
# A ledger of an earlier version, which no run has opened since. It has no lengths.
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
    """Those that the API refused, or whose job failed or made no identification."""
    uncertain: int = 0
    """Those that may have a job whose id is unknown."""
    expired: int = 0
    """Those that were billed, but whose result expired before it was fetched."""
    submitted: int = 0
    """Those with an accepted job that is not finished."""
    unanswered: int = 0
    """Those that were sent and whose outcome is unknown: the next run resolves it."""
    pending: int = 0
    """Those that were not sent."""
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
        unanswered=states.pop("submitting", 0),
        jobs_ever=sum(many for *_, many in jobs),
        failed_jobs_ever=sum(many for is_free, _, many in jobs if is_free),
        billed_seconds=sum(
            billed_seconds(seconds) * many for is_free, seconds, many in jobs if not is_free and seconds
        ),
        jobs_of_unknown_length=sum(many for is_free, seconds, many in jobs if not (is_free or seconds)),
        **states,
    )
