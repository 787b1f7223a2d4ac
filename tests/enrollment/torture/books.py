"""What the ledger says and what the sandbox billed, laid beside each other."""

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

import attrs

from pyannote_voiceprint_async.enrollment.ledger.journal import journal_path, restore_journal
from pyannote_voiceprint_async.sandbox import Job


@attrs.frozen
class Entry:
    """A row in the ledger."""

    state: str
    job_id: str | None
    voiceprint: str | None


@attrs.frozen
class Ledgered:
    """What a ledger says."""

    rows: Mapping[str, Entry]
    """By label."""
    ours: frozenset[str]
    """Ids of jobs that its runs made."""
    unknown: frozenset[str]
    """Ids of jobs that somebody made, at the time of a submission whose outcome is not known."""
    damage: str | None
    """What SQLite finds wrong with the file."""

    @classmethod
    def read(cls, path: Path) -> "Ledgered":
        """Read a ledger that no run has."""
        had_journal = journal_path(path).exists()
        with closing(sqlite3.connect(path)) as connection:
            check = str(connection.execute("PRAGMA integrity_check").fetchone()[0])
            if had_journal:
                restore_journal(path)  # a killed run's, with which SQLite has just rolled back
            if not connection.execute("PRAGMA user_version").fetchone()[0]:
                return cls({}, frozenset(), frozenset(), None if check == "ok" else check)
            rows = connection.execute(
                "SELECT label, state, job_id, voiceprint FROM labels JOIN recordings ON id = recording_id"
            )
            entries = {row[0]: Entry(*row[1:]) for row in rows}
            jobs = connection.execute("SELECT job_id, is_ours FROM jobs").fetchall()
        return cls(
            entries,
            frozenset(job_id for job_id, is_ours in jobs if is_ours),
            frozenset(job_id for job_id, is_ours in jobs if not is_ours),
            None if check == "ok" else check,
        )


@attrs.frozen
class Billed:
    """What the sandbox accepted of our sources: ids of jobs, by label."""

    jobs: Mapping[str, list[str]]

    @classmethod
    def read(cls, accepted: Iterable[Job], label_of: Mapping[str, str]) -> "Billed":
        """Sort the jobs; those of other programs are left out.

        Args:
            accepted: all jobs.
            label_of: labels by URL, and by the digest of the file.
        """
        jobs: dict[str, list[str]] = {}
        for job in accepted:
            source = job.url if job.media is None else job.media.sha256.hex()
            if (label := label_of.get(source)) is not None:
                jobs.setdefault(label, []).append(job.id)
        return cls(jobs)

    @property
    def total(self) -> int:
        return sum(map(len, self.jobs.values()))

    @property
    def duplicates(self) -> int:
        """Jobs beyond the first one of a row."""
        return sum(len(ids) - 1 for ids in self.jobs.values())


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def broken_always(ledger: Ledgered, billed: Billed, expected: Mapping[str, str]) -> Iterable[str]:
    """Say which promises are broken that hold at the end of any run."""
    if ledger.damage is not None:
        yield f"the ledger is damaged: {ledger.damage}"
    for label, entry in ledger.rows.items():
        if entry.state == "succeeded" and entry.voiceprint != expected[label]:
            yield f"wrong: row {label} has a voiceprint that is not of its source"
        if entry.job_id is not None and entry.job_id not in billed.jobs.get(label, ()):
            yield f"wrong: row {label} has job {entry.job_id}, which is not of its source"


def broken_by_hold(ledger: Ledgered, billed: Billed, expected: Mapping[str, str]) -> Iterable[str]:
    """Say which promises of `hold` are broken, once a run has ended by itself."""
    states = Counter(entry.state for entry in ledger.rows.values() if entry.state not in {"succeeded", "uncertain"})
    if states or ledger.rows.keys() != expected.keys():
        yield f"lost: of {len(expected)} rows {len(ledger.rows)} are in the ledger, and as they must not be: {states}"
    for label, job_ids in billed.jobs.items():
        if len(job_ids) > 1:
            yield f"paid twice: row {label} has {len(job_ids)} jobs"
        entry = ledger.rows.get(label)
        for job_id in job_ids:
            if (entry is None or job_id != entry.job_id) and job_id not in ledger.unknown:
                yield f"unreported: job {job_id} of row {label}, which is {entry and entry.state}"


def broken_by_resubmit(ledger: Ledgered, billed: Billed, expected: Mapping[str, str], reported: int) -> Iterable[str]:
    """Say which promises are broken once all rows may be sent again.

    Args:
        ledger: what it says.
        billed: what was accepted.
        expected: the voiceprints, by label.
        reported: submissions that may have been paid twice, as the report says.
    """
    states = Counter(entry.state for entry in ledger.rows.values() if entry.state != "succeeded")
    if states or ledger.rows.keys() != expected.keys():
        yield f"lost: of {len(expected)} rows {len(ledger.rows)} are in the ledger, and not done are: {states}"
    if billed.duplicates > reported:
        yield f"paid twice: {billed.duplicates} jobs too many, and {reported} reported"
