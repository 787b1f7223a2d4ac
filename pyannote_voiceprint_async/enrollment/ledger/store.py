"""What a run reads from and writes into its ledger.

Three promises protect the money. The intent to submit is on the disk before the first byte of the request leaves; the
job id is on the disk before anything else happens; the voiceprint is on the disk before the row is reported as done.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pyannote_voiceprint_async.enrollment.events import Report
from pyannote_voiceprint_async.enrollment.manifest.rows import State
from pyannote_voiceprint_async.enrollment.manifest.segments import segments_from_json
from pyannote_voiceprint_async.errors import LedgerError, LedgerInUseError, LedgerOriginError
from pyannote_voiceprint_async.models import Voiceprint
from pyannote_voiceprint_async.redaction import redact_url

from . import spending
from .checksums import check_intact, intact
from .connection import open_writable
from .database import Database
from .exclusive_access import lock_ledger
from .file_lock import FileLock
from .identity_upgrade import upgrade_identities
from .intents import MAY_BE_ACCEPTED, IntentTable, SubmittedRow
from .recordings import PendingRecording, UnknownOutcome
from .report import read_report
from .run_state import RunState
from .unsent import UnsentRecording, read_unsent

__all__ = ["LedgerStore"]

T = TypeVar("T")

_LISTED = "EXISTS (SELECT 1 FROM labels WHERE recording_id = r.id AND listed_in = :run)"
# If several labels share a recording, the label in this run's list comes first.
_LABELS = "FROM labels WHERE recording_id = r.id ORDER BY listed_in DESC, position"
_RECORDINGS = f"""
SELECT {{intact}}, id, identity, source, is_file, model, size, modified_ns, expires_at, media_url,
    uploaded_at, job_id, pieces, (SELECT json_group_array(label) FROM (SELECT label {_LABELS})),
    (SELECT extra {_LABELS} LIMIT 1)
FROM recordings r WHERE {{where}} ORDER BY id LIMIT :limit
"""  # noqa: S608 - names of our own schema
_COUNT_PENDING = f"SELECT count(*) FROM recordings r WHERE state = 'pending' AND {_LISTED}"  # noqa: S608 - as above
_NEWEST_JOB = """
SELECT job_id, created_at FROM jobs WHERE is_ours AND created_at IS NOT NULL ORDER BY created_at DESC LIMIT 1
"""
_OVERDUE = """
SELECT count(*) FROM labels JOIN recordings r ON r.id = labels.recording_id JOIN jobs ON jobs.job_id = r.job_id
WHERE listed_in = :run AND r.state = 'submitted' AND jobs.created_at <= :before
"""
_KNOWN_JOB = """
SELECT jobs.created_at, model FROM jobs LEFT JOIN recordings ON id = recording_id WHERE jobs.job_id = ? AND is_ours
"""

_INSERT_JOB = """
INSERT INTO jobs (job_id, is_ours, recording_id, created_at) SELECT :job_id, 1, :id, :accepted_at
WHERE NOT EXISTS (SELECT 1 FROM identification_jobs WHERE job_id = :job_id)
ON CONFLICT (job_id) DO UPDATE SET is_ours = 1, recording_id = excluded.recording_id
WHERE NOT is_ours OR recording_id = :id
"""
_SET_SUBMITTED = """
UPDATE recordings SET state = 'submitted', job_id = ?, intended_from = NULL, intended_until = NULL, error = NULL,
reason = NULL WHERE id = ?
"""
_SET_SUCCEEDED = """
UPDATE recordings SET state = 'succeeded', voiceprint = ?, voiceprint_hash = ?, created_at = ?, warnings = ?,
finished_at = ?, error = NULL, reason = NULL WHERE id = ?
"""
_SET_FINISHED = """
UPDATE recordings SET state = ?, error = ?, reason = ?, finished_at = ?, intended_from = NULL, intended_until = NULL
WHERE id = ?
"""
_INSERT_UNKNOWN_JOB = "INSERT OR IGNORE INTO jobs (job_id, is_ours, created_at) VALUES (?, 0, ?)"


class LedgerStore:
    """What a run reads and writes. Internal: users, runs and dry runs open a `Ledger`, which has a store.

    Args:
        path: the file; it is created when it is missing, private to its owner.
    """

    _intents = IntentTable("recordings")

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run = 0
        """The number of this run; 0 before `claim`."""
        self.on_lock_wait: Callable[[bool], None] | None = None
        """Called with True when another program has kept the ledger locked for some seconds, and with False after."""
        self._lock: FileLock | None = None
        self._opened: Database | None = None
        self._is_acquired = False

    @property
    def is_open(self) -> bool:
        """Whether this object has the file open."""
        return self._opened is not None

    @property
    def database(self) -> Database:
        """The open database.

        Raises:
            LedgerError: the ledger is not open.
        """
        if self._opened is None:
            raise LedgerError("The ledger is not open: use `async with Ledger(path) as ledger:`.")
        return self._opened

    def acquire(self) -> None:
        """Reserve the open ledger for one run of this program.

        Raises:
            LedgerInUseError: another run has it.
        """
        if self._is_acquired:
            raise LedgerInUseError("Another run of this program has this ledger. Wait until it finishes.")
        self._is_acquired = True

    def release(self) -> None:
        """Allow the next run to acquire the ledger."""
        self._is_acquired = False

    async def open(self) -> None:
        """Lock the file, check it and mark it as open.

        Raises:
            LedgerInUseError: another run has it open.
            LedgerError: it cannot be used.
        """
        opening = asyncio.ensure_future(asyncio.to_thread(self._open))
        try:
            self._lock, self._opened = await asyncio.shield(opening)
        except asyncio.CancelledError:
            # The thread cannot be interrupted: close what it opens, or the next run finds the ledger in use.
            await asyncio.wait([opening])
            _close_unwanted(opening)
            raise

    async def aclose(self) -> None:
        """Write what is queued, and release the file. Closing twice is fine."""
        database, self._opened = self._opened, None
        lock, self._lock = self._lock, None
        try:
            if database is not None:
                await database.aclose()
        finally:
            if lock is not None:
                lock.release()

    def shorten_lock_waits(self) -> None:
        """Wait at most a second for other programs that have the file locked: the run is about to end."""
        if self._opened is not None:
            self._opened.shorten_lock_waits()

    async def claim(self, base_url: str, key: str, *, new_key: bool = False) -> None:
        """Check that the ledger belongs to this API and key; assign a new ledger to them. Choose the run's number.

        Every run claims its ledger before it looks for rows: this also upgrades the identities of an earlier version.

        Args:
            base_url: the API.
            key: the API key; only a salted hash of it is stored.
            new_key: accept another key, which belongs to the same team.

        Raises:
            LedgerOriginError: the ledger belongs to another API, or to another key.
            LedgerError: a later version wrote it.
        """
        self.run = await self.database.atomic(partial(_claim, base_url=base_url, key=key, new_key=new_key))

    # Reads

    async def pending(self, after: int, limit: int) -> list[PendingRecording]:
        """Return the next pending recordings of this run's list, by id: those with a higher id than `after`."""
        return await self._recordings(f"r.state = 'pending' AND r.id > :after AND {_LISTED}", limit, after=after)

    async def has_pending(self) -> bool:
        """Return whether this run's list has a pending recording."""
        return bool(await self.pending(0, 1))

    async def count_pending(self) -> int:
        """Return the number of recordings of this run's list that no job was accepted for."""
        query, values = _COUNT_PENDING, {"run": self.run}
        return await self.database.read(lambda connection: int(connection.execute(query, values).fetchone()[0]))

    async def submitted(self, after: int, limit: int) -> list[PendingRecording]:
        """Return the next recordings with an unfinished job, by id, of this run's list and of all earlier lists."""
        return await self._recordings("r.state = 'submitted' AND r.id > :after", limit, after=after)

    async def recording(self, recording_id: int) -> PendingRecording:
        """Return one recording."""
        return (await self._recordings("r.id = :id", 1, id=recording_id))[0]

    async def unknown_outcomes(self) -> list[UnknownOutcome]:
        """Return the submissions with an unknown outcome, by id."""
        return await self.database.read(self._intents.unknown_outcomes)

    async def unresolvable_outcomes(self) -> list[tuple[float, float]]:
        """Return the earliest and latest time of each intent whose outcome stays unknown.

        Its recording was submitted once more or erased. A job of that time may belong to it.
        """
        return await self.database.read(
            lambda connection: connection.execute("SELECT intended_from, intended_until FROM lost_intents").fetchall()
        )

    async def labels_of(self, ids: Iterable[int]) -> dict[int, tuple[str, ...]]:
        """Return the labels of some recordings."""

        def select(connection: sqlite3.Connection) -> dict[int, tuple[str, ...]]:
            query = "SELECT label FROM labels WHERE recording_id = ? ORDER BY position"
            return {id_: tuple(label for (label,) in connection.execute(query, (id_,))) for id_ in ids}

        return await self.database.read(select)

    async def newest_job(self) -> tuple[str, float] | None:
        """Return our newest job and when it was accepted: a listing that goes back to this time must contain it."""
        return await self.database.read(lambda connection: connection.execute(_NEWEST_JOB).fetchone())

    async def accepted_at(self, job_id: str) -> float | None:
        """Return when one of our jobs was accepted, if it is known."""
        query = "SELECT created_at FROM jobs WHERE job_id = ?"
        found = await self.database.read(lambda connection: connection.execute(query, (job_id,)).fetchone())
        return found[0] if found else None

    async def known_jobs(self, job_ids: Sequence[str]) -> dict[str, tuple[float | None, str | None]]:
        """Return when our jobs were accepted and for which model, by id. Ids of other programs' jobs are left out.

        Args:
            job_ids: ids of any jobs.
        """

        def select(connection: sqlite3.Connection) -> dict[str, tuple[float | None, str | None]]:
            rows = ((job_id, connection.execute(_KNOWN_JOB, (job_id,)).fetchone()) for job_id in job_ids)
            return {job_id: row for job_id, row in rows if row is not None}

        return await self.database.read(select)

    async def report(self) -> Report:
        """Count the rows of this run's list by state."""
        return await self.database.read(partial(read_report, run=self.run))

    async def count_unsent(self, count: Callable[[Iterable[UnsentRecording]], T]) -> T:
        """Return what a function makes of the recordings of this run's list without a known job, by id."""
        return await self.database.read(lambda connection: count(read_unsent(connection, self.run)))

    async def overdue(self, accepted_before: float) -> int:
        """Return the rows of this run's list whose unfinished job was accepted before this time."""
        values = {"run": self.run, "before": accepted_before}
        return await self.database.read(lambda connection: int(connection.execute(_OVERDUE, values).fetchone()[0]))

    async def new_jobs(self, jobs: int) -> int:
        """Return by how much this many more jobs exceed those that were agreed to; see `spending`."""
        return await self.database.read(
            lambda connection: max(0, spending.paid_jobs(connection) + jobs - spending.agreed_jobs(connection))
        )

    async def agree_to_jobs(self, jobs: int) -> None:
        """Record that the run begins a list with this many jobs to bill."""
        await self.database.atomic(partial(spending.record_agreed_jobs, jobs=jobs))

    # Steps of one submission

    async def record_intent(self, row: SubmittedRow, earliest: float, latest: float) -> None:
        """Record that a submission is about to be sent between these two times.

        Raises:
            LedgerError: the row is no longer pending; nothing must be sent.
        """

        def update(connection: sqlite3.Connection) -> None:
            values = {"earliest": earliest, "latest": latest, "id": row.id}
            if connection.execute(self._intents.record, values).rowcount != 1:
                raise LedgerError(
                    "A row that was about to be submitted is no longer pending: another program changed the ledger. "
                    "It was not submitted. Run again: the run then reads the ledger anew."
                )

        await self.database.atomic(update)

    async def withdraw_intent(self, row: SubmittedRow) -> None:
        """Record that the submission was not accepted."""
        await self._write(self._intents.withdraw, (row.id,))

    def withdraw_intent_later(self, row: SubmittedRow) -> None:
        """Queue `withdraw_intent` without waiting for the commit."""
        self.database.write_later(partial(_execute, statement=self._intents.withdraw, values=(row.id,)))

    async def extend_intent(self, row: SubmittedRow, until: float) -> None:
        """Record that a submission with an unknown outcome may have been sent as late as this."""
        await self._write(self._intents.extend, (until, row.id))

    async def record_upload(self, row: SubmittedRow, media_url: str, now: float) -> None:
        """Record the media URL of an uploaded file, which the API keeps for a day."""
        await self._write(self._intents.set_media_url, (media_url, now, row.id))

    async def record_job(self, recording: PendingRecording, job_id: str, accepted_at: float | None) -> bool:
        """Record the job of an accepted submission.

        Args:
            recording: the recording.
            job_id: its job.
            accepted_at: when its response arrived, in UTC epoch seconds by this machine's clock; None if unknown.

        Returns:
            False if the job belongs to another recording; then this recording is uncertain.
        """

        def update(connection: sqlite3.Connection) -> bool:
            values = {"job_id": job_id, "id": recording.id, "accepted_at": accepted_at}
            is_new = bool(connection.execute(_INSERT_JOB, values).rowcount)
            if is_new:
                connection.execute(_SET_SUBMITTED, (job_id, recording.id))
            else:
                error = f"The API returned job {job_id}, which belongs to another row."
                connection.execute(self._intents.set_uncertain, (error, recording.id))
            return is_new

        return await self.database.atomic(update, is_urgent=True)

    async def record_voiceprint(self, recording: PendingRecording, voiceprint: Voiceprint, now: float) -> None:
        """Record the voiceprint of a finished job."""
        values = (
            voiceprint.value,
            hashlib.sha256(voiceprint.value.encode()).hexdigest(),
            voiceprint.created_at.isoformat() if voiceprint.created_at else None,
            json.dumps(voiceprint.warnings),
            now,
            recording.id,
        )
        await self._write(_SET_SUCCEEDED, values)

    async def record_failure(self, recording: PendingRecording, error: str, reason: str, now: float) -> None:
        """Record why a recording has no voiceprint."""
        await self._write(_SET_FINISHED, (State.FAILED, error, reason, now, recording.id))

    async def record_expiry(self, recording: PendingRecording, error: str, now: float) -> None:
        """Record that a job was billed and its output deleted before it was fetched."""
        await self._write(_SET_FINISHED, (State.EXPIRED, error, "output-gone", now, recording.id))

    def write_run_state(self, state: RunState) -> None:
        """Queue the state of the run, to be committed together with the next write."""
        self.database.write_later(state.write)

    # Resolution of unknown outcomes

    async def resolve_not_accepted(self, ids: Iterable[int]) -> None:
        """Record that these submissions were not accepted."""
        await self._write_many(self._intents.withdraw, [(id_,) for id_ in ids])

    async def resolve_uncertain(self, ids: Iterable[int]) -> None:
        """Record that the outcome of these submissions cannot be determined."""
        await self._write_many(self._intents.set_uncertain, [(MAY_BE_ACCEPTED, id_) for id_ in ids])

    async def resolve_resubmit(self, ids: Iterable[int]) -> None:
        """Make recordings pending again although their submissions may have been accepted: they may be billed twice."""
        values = [(id_,) for id_ in ids]

        def update(connection: sqlite3.Connection) -> None:
            connection.executemany(self._intents.keep_unknown_outcome, values)
            connection.executemany(self._intents.withdraw, values)

        await self.database.atomic(update)

    async def record_unknown_jobs(self, jobs: Iterable[tuple[str, float | None]]) -> None:
        """Record jobs that other programs may have submitted: their ids, and when the API created them."""
        await self._write_many(_INSERT_UNKNOWN_JOB, list(jobs))

    def _open(self) -> tuple[FileLock, Database]:
        lock = lock_ledger(self.path, create=True)
        try:
            connection = open_writable(self.path, create=True)
            try:
                return lock, Database(connection, Path(os.path.realpath(self.path)), self._report_lock_wait)
            except BaseException:
                connection.close()
                raise
        except BaseException:
            lock.release()
            raise

    def _report_lock_wait(self, is_waiting: bool) -> None:  # noqa: FBT001 - a callback
        if self.on_lock_wait is not None:
            self.on_lock_wait(is_waiting)

    async def _recordings(self, where: str, limit: int, **values: int) -> list[PendingRecording]:
        values |= {"run": self.run, "limit": limit}

        def select(connection: sqlite3.Connection) -> list[PendingRecording]:
            query = _RECORDINGS.format(intact=intact(connection, "recordings", "r"), where=where)
            return [_to_recording(*check_intact(row)) for row in connection.execute(query, values)]

        return await self.database.read(select)

    async def _write(self, statement: str, values: Sequence[Any]) -> None:
        await self.database.atomic(partial(_execute, statement=statement, values=values))

    async def _write_many(self, statement: str, values: Sequence[Sequence[Any]]) -> None:
        await self.database.atomic(lambda connection: connection.executemany(statement, values).close())


def _claim(connection: sqlite3.Connection, *, base_url: str, key: str, new_key: bool) -> int:
    meta = dict(connection.execute("SELECT name, value FROM meta"))
    used = "SELECT 1 FROM (SELECT id FROM recordings UNION ALL SELECT id FROM identifications) LIMIT 1"
    if not connection.execute(used).fetchone():
        meta = {"salt": meta["salt"]} if "salt" in meta else {}  # an empty ledger belongs to nobody yet
    salt = meta.setdefault("salt", secrets.token_hex(16))
    # Not an f-string: formatting a secret hides its value, and all keys would have one fingerprint.
    fingerprint = hashlib.sha256((salt + " " + key).encode()).hexdigest()[:16]
    meta.setdefault("base_url", base_url)
    meta.setdefault("key", fingerprint)
    _check_origin(meta, base_url, None if new_key else fingerprint)
    # The number is stored when the list is applied: until then `ledger status` shows the last list.
    run = int(meta.pop("run", "0")) + 1
    meta["key"] = fingerprint
    connection.executemany("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", meta.items())
    upgrade_identities(connection)
    return run


def _check_origin(meta: Mapping[str, str], base_url: str, fingerprint: str | None) -> None:
    if meta["base_url"].rstrip("/") != base_url.rstrip("/"):
        raise LedgerOriginError(
            f"This ledger has the jobs of the API at {redact_url(meta['base_url'])}. "
            f"The API at {redact_url(base_url)} does not have these jobs. Choose another ledger, or the base URL that "
            "created this one."
        )
    if fingerprint is not None and meta["key"] != fingerprint:
        raise LedgerOriginError(
            "This ledger was created with another API key. If the new key belongs to the same team, confirm it "
            "(`--new-key`, or `new_key=True`); another team cannot read these jobs and needs another ledger."
        )


def _to_recording(*row: Any) -> PendingRecording:
    *known, segments, labels, extra = row
    return PendingRecording._make(
        (*known, segments_from_json(segments), tuple(json.loads(labels)), json.loads(extra or "{}"))
    )


def _execute(connection: sqlite3.Connection, *, statement: str, values: Sequence[Any]) -> None:
    connection.execute(statement, values)


def _close_unwanted(opening: asyncio.Future[tuple[FileLock, Database]]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        lock, database = opening.result()
        database.close()
        lock.release()
