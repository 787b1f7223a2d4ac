"""The ledger: what a run must know when it is killed at any instant, and begun again.

Three promises hold the money together. The intent to submit is on the disk before the request's first byte leaves; the
job id is there before anything else happens; the voiceprint is there before the row is called done.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import secrets
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pyannote_voiceprint_async.enrollment.events import Report
from pyannote_voiceprint_async.enrollment.manifest.rows import State
from pyannote_voiceprint_async.enrollment.manifest.segments import segments_from_json
from pyannote_voiceprint_async.errors import LedgerError, LedgerInUseError, LedgerOriginError
from pyannote_voiceprint_async.models import Voiceprint
from pyannote_voiceprint_async.redaction import redact_url
from pyannote_voiceprint_async.reprs import safe_repr

from .checksums import CHECKSUMS, whole
from .counts import report_of
from .database import Database, Step, connect, connect_to_read, damaged, make_private, unusable
from .file_lock import FileLock, in_use
from .ownership import OWNER, owner_of
from .recordings import PendingRecording, UnresolvedSubmission

__all__ = [
    "LedgerStore",
    "lock_file",
    "open_connection",
    "open_to_read",
]

_APPLICATION = 0x70766C67  # "pvlg"

_STEPS = (
    Step(
        "recordings, labels, jobs",
        """
        CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

        -- One recording under one model: what is paid for. Its identity is the URL without the signing query, or the
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
            -- Between these two, by the server's clock, the last intent was written.
            intended_from REAL,
            intended_until REAL,
            job_id TEXT,
            voiceprint TEXT,
            voiceprint_hash TEXT,
            created_at TEXT,
            warnings TEXT,
            finished_at REAL,
            error TEXT,
            -- Why it failed, in one word, where the program acts on it.
            reason TEXT,
            UNIQUE (identity, model)
        );
        CREATE INDEX recordings_by_state ON recordings (state, id);
        CREATE INDEX recordings_by_file ON recordings (source) WHERE is_file;

        CREATE TABLE labels (
            label TEXT PRIMARY KEY,
            recording_id INTEGER NOT NULL REFERENCES recordings (id),
            -- The last run whose list had it, and where it stood there.
            listed_in INTEGER NOT NULL,
            position INTEGER NOT NULL,
            extra TEXT NOT NULL
        ) WITHOUT ROWID;
        CREATE INDEX labels_by_recording ON labels (recording_id);

        -- Every job id ever seen. Of jobs that are not ours only the id is kept.
        CREATE TABLE jobs (
            job_id TEXT PRIMARY KEY,
            is_ours INTEGER NOT NULL,
            recording_id INTEGER,
            created_at REAL
        ) WITHOUT ROWID;

        -- Intents that were given up without knowing what became of them: jobs in their windows may be theirs.
        CREATE TABLE lost_intents (
            id INTEGER PRIMARY KEY,
            was_resubmitted INTEGER NOT NULL,
            intended_from REAL NOT NULL,
            intended_until REAL NOT NULL
        );

        CREATE TABLE forgotten (hash BLOB PRIMARY KEY) WITHOUT ROWID
        """,
    ),
    Step(
        "parts of recordings",
        """
        -- What is cut out of the file, as JSON; nothing is all of it. And how it was looked at.
        ALTER TABLE recordings ADD COLUMN pieces TEXT;
        ALTER TABLE recordings ADD COLUMN asked TEXT NOT NULL DEFAULT ''
        """,
    ),
    Step(
        "notes on recordings",
        """
        -- What was found by looking at the file, as a JSON list of sentences.
        ALTER TABLE recordings ADD COLUMN notes TEXT
        """,
    ),
    Step(
        "looks at files of lists that were refused",
        """
        -- What was heard of a file, until a list that has it is loaded: hours of audio are not heard twice.
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
    Step("the owner of the ledger", OWNER),
    Step("checksums of all rows", CHECKSUMS),
)

_WITHDRAW = (
    "UPDATE recordings SET state = 'pending', error = NULL, intended_from = NULL, intended_until = NULL "
    "WHERE id = ? AND state IN ('pending', 'submitting', 'uncertain')"
)


def open_connection(path: Path, *, create: bool = False, recovers: bool = False) -> sqlite3.Connection:
    """Open a ledger as plain SQLite, to write it. Its lock is another matter.

    Args:
        path: the file.
        create: make it, if it is not there.
        recovers: open it although its journal is lost.

    Raises:
        LedgerError: it is missing, none, or cannot be used.
    """
    real = Path(os.path.realpath(path))
    return connect(real, application=_APPLICATION, steps=_STEPS, create=create, recovers=recovers)


def lock_file(path: Path, *, create: bool = False) -> FileLock:
    """Lock the file of a ledger, by whatever name it is called.

    Raises:
        LedgerInUseError: a run has it.
        LedgerError: it is missing, or cannot be opened.
    """
    real = Path(os.path.realpath(path))
    make_private(real, create=create)
    try:
        return FileLock.of(real)
    except LedgerInUseError:
        raise in_use(_holder(real)) from None
    except OSError as exc:
        raise unusable(real, exc) from None


def open_to_read(path: Path) -> sqlite3.Connection:
    """Open a ledger in a way that cannot change it, while a run has it or not.

    Raises:
        LedgerError: it is missing, none, or cannot be read.
    """
    return connect_to_read(path, application=_APPLICATION, steps=_STEPS)


def _holder(path: Path) -> int | None:
    """Return the id of the process that has a ledger open, as far as the ledger tells."""
    with suppress(LedgerError, sqlite3.Error), closing(open_to_read(path)) as connection:
        owner = owner_of(connection)
        return None if owner is None else owner.process
    return None


@safe_repr
class LedgerStore:
    """An opened ledger. One run at a time may have it; readers work meanwhile.

    Use it with `async with`, or give `enroll` the path.

    Args:
        path: the file; it is made when it is not there, private to its owner.

    Raises:
        LedgerInUseError: another run has it.
        LedgerError: it cannot be used.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.run = 0
        self.on_lock_wait: Callable[[bool], None] | None = None
        """Called with True when another program has kept the ledger locked for some seconds, and with False after."""
        self._lock: FileLock | None = None
        self._opened: Database | None = None
        self._is_taken = False

    def __repr__(self) -> str:
        return f"<Ledger {'open' if self._opened else 'closed'}>"

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def is_open(self) -> bool:
        """Whether this program has it."""
        return self._opened is not None

    @property
    def database(self) -> Database:
        """Where it is written."""
        if self._opened is None:
            raise LedgerError("The ledger is not open: use `async with Ledger(path) as ledger:`.")
        return self._opened

    def acquire(self) -> None:
        """Let one run of this program have it.

        Raises:
            LedgerInUseError: another one has it.
        """
        if self._is_taken:
            raise LedgerInUseError("Another run of this program has this ledger. Let it finish first.")
        self._is_taken = True

    def release(self) -> None:
        """Let the next run have it."""
        self._is_taken = False

    async def open(self) -> None:
        """Take it for one run."""

        def opened() -> tuple[FileLock, Database]:
            lock = lock_file(self.path, create=True)
            try:
                connection = open_connection(self.path, create=True)
                try:
                    return lock, Database(connection, Path(os.path.realpath(self.path)), self._report_waiting)
                except BaseException:
                    connection.close()
                    raise
            except BaseException:
                lock.release()
                raise

        opening = asyncio.ensure_future(asyncio.to_thread(opened))
        try:
            self._lock, self._opened = await asyncio.shield(opening)
        except asyncio.CancelledError:
            # The thread goes on, and what it opens would stay open; who comes next must find it free.
            await asyncio.wait([opening])
            _close_unwanted(opening)
            raise

    async def aclose(self) -> None:
        """Write what was handed over, and let others have it. Closing twice is fine."""
        database, self._opened = self._opened, None
        lock, self._lock = self._lock, None
        try:
            if database is not None:
                await database.aclose()
        finally:
            if lock is not None:
                lock.release()

    def shorten_lock_waits(self) -> None:
        """Wait no longer than a second for other programs that have the file locked: the run is to end."""
        if self._opened is not None:
            self._opened.hurry()

    def _report_waiting(self, is_waiting: bool) -> None:  # noqa: FBT001 - a callback
        if self.on_lock_wait is not None:
            self.on_lock_wait(is_waiting)

    # Whose it is

    async def claim(self, base_url: str, key: str, *, new_key: bool = False) -> None:
        """Make sure that the ledger belongs to this API and this key; a new one is made to.

        Args:
            base_url: where the API is.
            key: the API key; only a salted hash of it is kept.
            new_key: this key is another one of the same team.

        Raises:
            LedgerOriginError: it belongs to another API, or to another key.
        """

        def claimed(connection: sqlite3.Connection) -> None:
            meta = dict(connection.execute("SELECT name, value FROM meta"))
            if not connection.execute("SELECT 1 FROM recordings LIMIT 1").fetchone():
                meta = {"salt": meta["salt"]} if "salt" in meta else {}  # nothing in it is anybody's yet
            salt = meta.setdefault("salt", secrets.token_hex(16))
            fingerprint = hashlib.sha256((salt + " " + key).encode()).hexdigest()[:16]
            if meta.setdefault("base_url", base_url).rstrip("/") != base_url.rstrip("/"):
                raise LedgerOriginError(
                    f"This ledger was made with the API at {redact_url(meta['base_url'])}, and {redact_url(base_url)} "
                    "does not know its jobs. Give another ledger, or the base URL it was made with."
                )
            if not new_key and meta.setdefault("key", fingerprint) != fingerprint:
                raise LedgerOriginError(
                    "This ledger was made with another API key. If the new key is of the same team, confirm it "
                    "(`--new-key`, or `new_key=True`); another team does not know its jobs, and needs another ledger."
                )
            # Not written before the list is loaded: until then the last list is what `ledger status` shows.
            self.run = int(meta.pop("run", "0")) + 1
            meta["key"] = fingerprint
            connection.executemany("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", meta.items())

        await self.database.atomic(claimed)

    # What is to be done

    async def pending(self, after: int, many: int) -> list[PendingRecording]:
        """Give the next recordings of this run's list that nothing was accepted of, by their number."""
        listed = "EXISTS (SELECT 1 FROM labels WHERE recording_id = r.id AND listed_in = :run)"
        return await self._tasks(f"r.state = 'pending' AND r.id > :after AND {listed}", after, many)

    async def submitted(self, after: int, many: int) -> list[PendingRecording]:
        """Give the next recordings whose jobs are waited for, whether they are still listed or not."""
        return await self._tasks("r.state = 'submitted' AND r.id > :after", after, many)

    async def unresolved(self) -> list[UnresolvedSubmission]:
        """Give the submissions whose outcome nobody knows."""

        def found(connection: sqlite3.Connection) -> list[UnresolvedSubmission]:
            rows = connection.execute(
                f"SELECT {whole('recordings')}, id, intended_from, intended_until, state = 'uncertain', model "  # noqa: S608 - nothing of it is from outside
                "FROM recordings WHERE state IN ('submitting', 'uncertain') ORDER BY id"
            )
            return [UnresolvedSubmission(row[0], row[1], row[2], bool(row[3]), row[4]) for row in map(_checked, rows)]

        return await self.database.read(found)

    async def abandoned_windows(self) -> list[tuple[float, float]]:
        """Give the windows of intents that were given up."""
        return await self.database.read(
            lambda connection: connection.execute("SELECT intended_from, intended_until FROM lost_intents").fetchall()
        )

    async def labels_of(self, ids: Iterable[int]) -> dict[int, tuple[str, ...]]:
        """Give the labels of some recordings."""

        def found(connection: sqlite3.Connection) -> dict[int, tuple[str, ...]]:
            ask = "SELECT label FROM labels WHERE recording_id = ? ORDER BY position"
            return {number: tuple(label for (label,) in connection.execute(ask, (number,))) for number in ids}

        return await self.database.read(found)

    async def newest_job(self) -> tuple[str, float] | None:
        """Give our last job, and when it was accepted: a list of jobs that goes back to it must have it."""
        return await self.database.read(
            lambda connection: connection.execute(
                "SELECT job_id, created_at FROM jobs WHERE is_ours AND created_at IS NOT NULL "
                "ORDER BY created_at DESC LIMIT 1"
            ).fetchone()
        )

    async def accepted_at(self, job_id: str) -> float | None:
        """Give when one of our jobs was accepted."""
        found = await self.database.read(
            lambda connection: connection.execute("SELECT created_at FROM jobs WHERE job_id = ?", (job_id,)).fetchone()
        )
        return found[0] if found else None

    async def known_jobs(self, job_ids: Sequence[str]) -> dict[str, tuple[float | None, str | None]]:
        """Return those of some job ids that are ours, each with when it was accepted and for which model."""

        def found(connection: sqlite3.Connection) -> dict[str, tuple[float | None, str | None]]:
            ask = (
                "SELECT jobs.created_at, model FROM jobs LEFT JOIN recordings ON id = recording_id "
                "WHERE jobs.job_id = ? AND is_ours"
            )
            rows = ((job_id, connection.execute(ask, (job_id,)).fetchone()) for job_id in job_ids)
            return {job_id: row for job_id, row in rows if row is not None}

        return await self.database.read(found)

    async def has_pending(self) -> bool:
        """Whether anything of this run's list is still to be sent."""
        return bool(await self.pending(0, 1))

    async def recording(self, number: int) -> PendingRecording:
        """Give one recording."""
        return (await self._tasks("r.id = :after", number, 1))[0]

    async def voiceprints(self) -> AsyncIterator[tuple[str, Voiceprint]]:
        """Give the label and the voiceprint of every row that has one, of this run or an earlier one, by label."""
        last = ""
        while page := await self.database.read(partial(_voiceprints_after, last=last)):
            for label, voiceprint in page:
                yield label, voiceprint
                last = label

    async def report(self) -> Report:
        """Count the rows of this run's list by state."""
        return await self.database.read(partial(report_of, run=self.run))

    # What happens to a row

    async def record_intent(self, task: PendingRecording, earliest: float, latest: float) -> None:
        """Write down that a submission is about to leave, between these two moments.

        The row must be pending, or have this very intent: a request that never left is repeated under it.

        Raises:
            LedgerError: the row is something else by now; nothing must be sent.
        """

        def intended(connection: sqlite3.Connection) -> None:
            changed = connection.execute(
                "UPDATE recordings SET state = 'submitting', intended_from = :earliest, intended_until = :latest "
                "WHERE id = :id AND (state = 'pending' OR (state = 'submitting' AND intended_from = :earliest))",
                {"earliest": earliest, "latest": latest, "id": task.id},
            ).rowcount
            if changed != 1:
                raise LedgerError(
                    "A row was to be submitted that is not pending any more: something else changed the ledger. It was "
                    "not sent. Run again: the run then reads the ledger anew."
                )

        await self.database.atomic(intended)

    async def withdraw_intent(self, task: PendingRecording) -> None:
        """Write down that nothing was accepted."""
        await self._write(_WITHDRAW, (task.id,))

    def withdraw_intent_later(self, task: PendingRecording) -> None:
        """Let that be written, without waiting for it."""
        self.database.write_soon(partial(_execute, statement=_WITHDRAW, values=(task.id,)))

    async def extend_intent(self, task: PendingRecording, until: float) -> None:
        """Write down that a submission of which nobody knows may have left as late as this."""
        await self._write(
            "UPDATE recordings SET intended_until = max(intended_until, ?) WHERE id = ?", (until, task.id)
        )

    async def record_job(self, task: PendingRecording, job_id: str, created_at: float | None) -> bool:
        """Write down the job.

        Args:
            task: the row.
            job_id: its job.
            created_at: when it was accepted, by this machine's clock; None where that is not known.

        Returns:
            False where another recording has this job: then the row is uncertain.
        """

        def accepted(connection: sqlite3.Connection) -> bool:
            is_new = connection.execute(
                "INSERT INTO jobs (job_id, is_ours, recording_id, created_at) VALUES (?, 1, ?, ?) "
                "ON CONFLICT (job_id) DO UPDATE SET is_ours = 1, recording_id = excluded.recording_id "
                "WHERE NOT is_ours OR recording_id = ?",
                (job_id, task.id, created_at, task.id),
            ).rowcount
            if is_new:
                connection.execute(
                    "UPDATE recordings SET state = 'submitted', job_id = ?, intended_from = NULL, "
                    "intended_until = NULL, error = NULL, reason = NULL WHERE id = ?",
                    (job_id, task.id),
                )
            else:
                connection.execute(
                    "UPDATE recordings SET state = 'uncertain', error = ? WHERE id = ?",
                    (f"The API answered with job {job_id}, which belongs to another row.", task.id),
                )
            return bool(is_new)

        return await self.database.atomic(accepted, is_urgent=True)

    async def record_voiceprint(self, task: PendingRecording, voiceprint: Voiceprint, now: float) -> None:
        """Write down the voiceprint."""
        stored = (
            voiceprint.value,
            hashlib.sha256(voiceprint.value.encode()).hexdigest(),
            voiceprint.created_at.isoformat() if voiceprint.created_at else None,
            json.dumps(voiceprint.warnings),
            now,
            task.id,
        )
        await self._write(
            "UPDATE recordings SET state = 'succeeded', voiceprint = ?, voiceprint_hash = ?, created_at = ?, "
            "warnings = ?, finished_at = ?, error = NULL, reason = NULL WHERE id = ?",
            stored,
        )

    async def record_failure(self, task: PendingRecording, error: str, reason: str, now: float) -> None:
        """Write down why it has no voiceprint."""
        await self._end(task, State.FAILED, error, reason, now)

    async def record_expiry(self, task: PendingRecording, error: str, now: float) -> None:
        """Write down that it was paid, and that its output is gone."""
        await self._end(task, State.EXPIRED, error, "output-gone", now)

    async def record_upload(self, task: PendingRecording, media_url: str, now: float) -> None:
        """Write down where its audio is, for a day."""
        await self._write(
            "UPDATE recordings SET media_url = ?, uploaded_at = ? WHERE id = ?", (media_url, now, task.id)
        )

    # What becomes of submissions whose outcome was not known

    async def resolve_unsent(self, ids: Iterable[int]) -> None:
        """Write down that nothing was accepted of these."""
        await self._write_many(_WITHDRAW, ids)

    async def resolve_uncertain(self, ids: Iterable[int]) -> None:
        """Write down that nobody can know about these."""
        await self._write_many(
            "UPDATE recordings SET state = 'uncertain', "
            "error = 'It may have been accepted: an unknown job was made when it was sent.' WHERE id = ?",
            ids,
        )

    async def resolve_resubmit(self, ids: Iterable[int]) -> None:
        """Write down that these may be sent once more, and so be paid twice."""

        def settled(connection: sqlite3.Connection) -> None:
            for number in ids:
                connection.execute(
                    "INSERT INTO lost_intents (was_resubmitted, intended_from, intended_until) "
                    "SELECT 1, coalesce(intended_from, 0), coalesce(intended_until, 0) FROM recordings WHERE id = ?",
                    (number,),
                )
                connection.execute(_WITHDRAW, (number,))

        await self.database.atomic(settled)

    async def record_unknown_jobs(self, jobs: Iterable[tuple[str, float | None]]) -> None:
        """Keep the ids of jobs that nobody here made; never their outputs."""
        kept = list(jobs)
        await self.database.atomic(
            lambda connection: connection.executemany(
                "INSERT OR IGNORE INTO jobs (job_id, is_ours, created_at) VALUES (?, 0, ?)", kept
            ).close()
        )

    # Helpers

    async def _tasks(self, where: str, after: int, many: int) -> list[PendingRecording]:
        # The label that this run's list has comes first, where several share the recording.
        labels = "FROM labels WHERE recording_id = r.id ORDER BY listed_in DESC, position"

        def found(connection: sqlite3.Connection) -> list[PendingRecording]:
            rows = connection.execute(
                f"SELECT {whole('recordings', 'r')}, "  # noqa: S608 - nothing of it is from outside
                "id, identity, source, is_file, model, size, modified_ns, expires_at, media_url, uploaded_at, "
                f"job_id, pieces, (SELECT json_group_array(label) FROM (SELECT label {labels})), "
                f"(SELECT extra {labels} LIMIT 1)"
                f" FROM recordings r WHERE {where} ORDER BY id LIMIT :many",
                {"run": self.run, "after": after, "many": many},
            )
            return [_task(*_checked(row)) for row in rows]

        return await self.database.read(found)

    async def _end(self, task: PendingRecording, state: State, error: str, reason: str, now: float) -> None:
        await self._write(
            "UPDATE recordings SET state = ?, error = ?, reason = ?, finished_at = ?, intended_from = NULL, "
            "intended_until = NULL WHERE id = ?",
            (state, error, reason, now, task.id),
        )

    async def _write(self, statement: str, values: tuple[Any, ...]) -> None:
        await self.database.atomic(partial(_execute, statement=statement, values=values))

    async def _write_many(self, statement: str, ids: Iterable[int]) -> None:
        values = [(number,) for number in ids]
        await self.database.atomic(lambda connection: connection.executemany(statement, values).close())


def _voiceprints_after(connection: sqlite3.Connection, *, last: str) -> list[tuple[str, Voiceprint]]:
    rows = connection.execute(
        f"SELECT {whole('recordings')} AND {whole('labels')}, label, voiceprint, model, job_id, created_at, warnings "  # noqa: S608 - nothing of it is from outside
        "FROM labels JOIN recordings ON id = recording_id "
        "WHERE label > ? AND voiceprint IS NOT NULL ORDER BY label LIMIT 256",
        (last,),
    )
    return [
        (
            label,
            Voiceprint.from_dict(
                {
                    "value": value,
                    "model": model,
                    "job_id": job_id,
                    "created_at": created_at,
                    "warnings": json.loads(warnings or "[]"),
                }
            ),
        )
        for label, value, model, job_id, created_at, warnings in map(_checked, rows)
    ]


def _checked(row: Sequence[Any]) -> Sequence[Any]:
    """Return a row without its first column, which tells whether the row is as it was written."""
    is_whole, *rest = row
    if not is_whole:
        raise LedgerError(damaged("a row that was to be read"))
    return rest


def _task(*row: Any) -> PendingRecording:
    *known, pieces, labels, extra = row
    return PendingRecording._make(
        (*known, segments_from_json(pieces), tuple(json.loads(labels)), json.loads(extra or "{}"))
    )


def _execute(connection: sqlite3.Connection, *, statement: str, values: tuple[Any, ...]) -> None:
    connection.execute(statement, values)


def _close_unwanted(opening: asyncio.Future[tuple[FileLock, Database]]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        lock, database = opening.result()
        database.close()
        lock.release()
