"""An audit: compares the rows of the ledger with the jobs that the sandbox billed, and names broken promises."""

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

import attrs

from pyannote_voiceprint_async.enrollment.ledger.journal import journal_path, restore_journal
from pyannote_voiceprint_async.sandbox import SandboxJob


@attrs.frozen
class LedgerRow:
    """A row of the ledger."""

    state: str
    job_id: str | None
    voiceprint: str | None


@attrs.frozen
class LedgerContents:
    """The rows and jobs of a ledger."""

    rows: Mapping[str, LedgerRow]
    """By label."""
    own_jobs: frozenset[str]
    """Ids of jobs that runs on this ledger submitted."""
    unknown_jobs: frozenset[str]
    """Ids of jobs that are not ours, created at the time of a submission of unknown outcome."""
    damage: str | None
    """What the integrity check of SQLite found; None if the file is intact."""

    @classmethod
    def read(cls, path: Path) -> "LedgerContents":
        """Read a ledger that no run has open."""
        had_journal = journal_path(path).exists()
        with closing(sqlite3.connect(path)) as connection:
            check = str(connection.execute("PRAGMA integrity_check").fetchone()[0])
            if had_journal:
                restore_journal(path)  # SQLite has just rolled back with the journal of a killed run, and deleted it
            if not connection.execute("PRAGMA user_version").fetchone()[0]:
                return cls({}, frozenset(), frozenset(), None if check == "ok" else check)
            rows = connection.execute(
                "SELECT label, state, job_id, voiceprint FROM labels JOIN recordings ON id = recording_id"
            )
            rows_by_label = {label: LedgerRow(*values) for label, *values in rows}
            jobs = connection.execute("SELECT job_id, is_ours FROM jobs").fetchall()
        return cls(
            rows_by_label,
            frozenset(job_id for job_id, is_ours in jobs if is_ours),
            frozenset(job_id for job_id, is_ours in jobs if not is_ours),
            None if check == "ok" else check,
        )


@attrs.frozen
class BilledJobs:
    """The jobs that the sandbox accepted for our sources: job ids by label."""

    jobs: Mapping[str, list[str]]

    @classmethod
    def read(cls, accepted: Iterable[SandboxJob], label_of: Mapping[str, str]) -> "BilledJobs":
        """Group the jobs by label, without those of other programs.

        Args:
            accepted: all jobs that the sandbox accepted.
            label_of: labels by URL, or by digest of the file.
        """
        jobs: dict[str, list[str]] = {}
        for job in accepted:
            source = job.url if job.media is None else job.media.sha256.hex()
            if (label := label_of.get(source)) is not None:
                jobs.setdefault(label, []).append(job.id)
        return cls(jobs)

    @property
    def total(self) -> int:
        """The number of jobs."""
        return sum(map(len, self.jobs.values()))

    @property
    def duplicates(self) -> int:
        """The number of jobs beyond the first one of each row."""
        return sum(len(ids) - 1 for ids in self.jobs.values())


def digest(data: bytes) -> str:
    """Return the digest by which the sandbox identifies a file."""
    return hashlib.sha256(data).hexdigest()


def broken_promises(ledger: LedgerContents, billed: BilledJobs, expected: Mapping[str, str]) -> Iterable[str]:
    """Yield the broken promises among those that hold at the end of every run."""
    if ledger.damage is not None:
        yield f"the ledger is damaged: {ledger.damage}"
    for label, row in ledger.rows.items():
        if row.state == "succeeded" and row.voiceprint != expected[label]:
            yield f"wrong: row {label} has the voiceprint of another source"
        if row.job_id is not None and row.job_id not in billed.jobs.get(label, ()):
            yield f"wrong: row {label} has job {row.job_id}, which was made from another source"


def broken_promises_of_hold(ledger: LedgerContents, billed: BilledJobs, expected: Mapping[str, str]) -> Iterable[str]:
    """Yield the broken promises of `hold`, after a run that was not killed."""
    states = Counter(row.state for row in ledger.rows.values() if row.state not in {"succeeded", "uncertain"})
    if states or ledger.rows.keys() != expected.keys():
        yield f"lost: {len(ledger.rows)} of {len(expected)} rows are in the ledger; unexpected states: {states}"
    for label, job_ids in billed.jobs.items():
        if len(job_ids) > 1:
            yield f"paid twice: row {label} has {len(job_ids)} jobs"
        row = ledger.rows.get(label)
        for job_id in job_ids:
            if (row is None or job_id != row.job_id) and job_id not in ledger.unknown_jobs:
                yield f"unreported: job {job_id} of row {label}, which is {row and row.state}"


def broken_promises_of_resubmit(
    ledger: LedgerContents, billed: BilledJobs, expected: Mapping[str, str], reported: int
) -> Iterable[str]:
    """Yield the broken promises of `resubmit`, after a run that was not killed.

    Args:
        ledger: the ledger.
        billed: the billed jobs.
        expected: the voiceprints by label.
        reported: how many submissions may have been paid twice according to the report.
    """
    states = Counter(row.state for row in ledger.rows.values() if row.state != "succeeded")
    if states or ledger.rows.keys() != expected.keys():
        yield f"lost: {len(ledger.rows)} of {len(expected)} rows are in the ledger; not succeeded: {states}"
    if billed.duplicates > reported:
        yield f"paid twice: {billed.duplicates} duplicate jobs, {reported} of them reported"
