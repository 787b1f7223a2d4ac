"""The identifications in a ledger: one row for each pair of a recording and a request. A row is billed once.

As in `store`, the intent is on the disk before the first byte of the request is sent, the job id before anything else
happens, and the result before the recording is reported as done.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pyannote_voiceprint_async.enrollment.manifest.names import normalize_name
from pyannote_voiceprint_async.enrollment.manifest.rows import State

from .checksums import check_intact, intact
from .identification_jobs import identification_name, record_identification_job
from .intents import IntentTable
from .store import LedgerStore

__all__ = ["IdentificationKey", "IdentificationRow", "IdentificationStore"]

_INSERT = "INSERT OR IGNORE INTO identifications (identity, request, model) VALUES (?, ?, ?)"
_FIND = """
SELECT {intact}, id, identity, request, model, state, job_id,
    (SELECT accepted_at FROM identification_jobs AS jobs WHERE jobs.job_id = identifications.job_id),
    media_url, uploaded_at, error, result
FROM identifications WHERE {where}
"""
# The row will get another job. The table `identification_jobs` keeps the old one.
_RETRY = """
UPDATE identifications SET state = 'pending', job_id = NULL, error = NULL, finished_at = NULL WHERE id = ?
"""
# A job that `ledger accept` recorded, or that an earlier version wrote, has no length yet.
_SET_LENGTH = "UPDATE identification_jobs SET seconds = ? WHERE identification_id = ? AND seconds IS NULL"
_NEWEST = """
SELECT job_id, accepted_at FROM identification_jobs WHERE accepted_at IS NOT NULL ORDER BY accepted_at DESC LIMIT 1
"""
_KNOWN = """
SELECT jobs.accepted_at, model FROM identification_jobs AS jobs LEFT JOIN identifications ON id = identification_id
WHERE jobs.job_id = ?
"""
_SET_FINISHED = """
UPDATE identifications SET state = ?, result = ?, error = ?, finished_at = ?, intended_from = NULL,
intended_until = NULL WHERE id = ?
"""
_SET_FREE = """
UPDATE identification_jobs SET is_free = 1 WHERE job_id = (SELECT job_id FROM identifications WHERE id = ?)
"""


class IdentificationKey(NamedTuple):
    """What identifies a row, and the length of its recording."""

    identity: str
    """The identity of the recording."""
    request: str
    """The hash of the request."""
    model: str
    seconds: float | None
    """The length of the recording in seconds, if it is known."""


class IdentificationRow(NamedTuple):
    """A recording with one request, and how far its submission has come."""

    id: int
    identity: str
    request: str
    model: str
    state: str
    job_id: str | None
    accepted_at: float | None
    """When the job was accepted, in UTC epoch seconds by this machine's clock."""
    media_url: str | None
    uploaded_at: float | None
    """When the file was uploaded to the media URL, in UTC epoch seconds."""
    error: str | None
    result: Mapping[str, Any] | None
    """The fields of the identification, once there is one."""

    @property
    def name(self) -> str:
        """The name for messages and for `ledger accept`."""
        return identification_name(self.identity, self.request)


class IdentificationStore(LedgerStore):
    """A ledger whose steps of a submission change the rows of identifications instead of recordings."""

    _intents = IntentTable("identifications")

    async def rows(
        self, keys: Sequence[IdentificationKey], *, retry_failed: str | None = None, retry_expired: bool = False
    ) -> list[IdentificationRow]:
        """Return the row of each key, in order. Missing rows are added.

        Args:
            keys: the keys.
            retry_failed: make failed rows pending whose error contains this text; an empty text makes all of them
                pending, and None none.
            retry_expired: make rows pending whose result expired before it was fetched (billed again).
        """

        def must_retry(row: IdentificationRow) -> bool:
            if row.state == State.FAILED and retry_failed is not None:
                return normalize_name(retry_failed).lower() in normalize_name(row.error or "").lower()
            return row.state == State.EXPIRED and retry_expired

        def add(connection: sqlite3.Connection) -> list[IdentificationRow]:
            connection.executemany(_INSERT, [key[:3] for key in keys])
            rows = [_find(connection, "identity = ? AND request = ?", key[:2]) for key in keys]
            connection.executemany(_RETRY, [(row.id,) for row in rows if must_retry(row)])
            lengths = [(key.seconds, row.id) for key, row in zip(keys, rows, strict=True) if key.seconds is not None]
            connection.executemany(_SET_LENGTH, lengths)
            return [_find(connection, "id = ?", (row.id,)) for row in rows]

        return await self.database.atomic(add)

    async def row(self, row_id: int) -> IdentificationRow:
        """Return one row."""
        return await self.database.read(lambda connection: _find(connection, "id = ?", (row_id,)))

    # Steps of one submission

    async def record_row_job(self, row_id: int, job_id: str, accepted_at: float, seconds: float | None = None) -> bool:
        """Record the job of an accepted submission.

        Args:
            row_id: the row.
            job_id: its job.
            accepted_at: when the job was accepted, in UTC epoch seconds.
            seconds: the length of the recording, if it is known.

        Returns:
            False if another row has the job. Then this row becomes uncertain.
        """

        def update(connection: sqlite3.Connection) -> bool:
            is_new = record_identification_job(connection, row_id, job_id, accepted_at, seconds)
            if not is_new:
                error = f"The API returned job {job_id}, which belongs to another recording."
                connection.execute(self._intents.set_uncertain, (error, row_id))
            return is_new

        return await self.database.atomic(update, is_urgent=True)

    async def record_row_result(self, row_id: int, result: str, now: float) -> None:
        """Record the identification of a finished job, as JSON."""
        await self._write(_SET_FINISHED, (State.SUCCEEDED, result, None, now, row_id))

    async def record_row_failure(self, row_id: int, error: str, now: float, *, is_free: bool) -> None:
        """Record why a row has no identification.

        Args:
            row_id: the row.
            error: the reason, as a sentence.
            now: UTC epoch seconds.
            is_free: whether its job failed or was canceled, which is not billed.
        """

        def update(connection: sqlite3.Connection) -> None:
            connection.execute(_SET_FINISHED, (State.FAILED, None, error, now, row_id))
            if is_free:
                connection.execute(_SET_FREE, (row_id,))

        await self.database.atomic(update)

    async def record_row_expiry(self, row_id: int, error: str, now: float) -> None:
        """Record that a job was billed, but its output expired before it was fetched."""
        await self._write(_SET_FINISHED, (State.EXPIRED, None, error, now, row_id))

    # What the resolver of unknown outcomes reads and writes

    async def newest_job(self) -> tuple[str, float] | None:
        """Return the newest identification job and when it was accepted."""
        return await self.database.read(lambda connection: connection.execute(_NEWEST).fetchone())

    async def accepted_at(self, job_id: str) -> float | None:
        """Return when an identification job of this ledger was accepted, if it is known."""
        found = await self.database.read(lambda connection: connection.execute(_KNOWN, (job_id,)).fetchone())
        return found[0] if found else None

    async def known_jobs(self, job_ids: Sequence[str]) -> dict[str, tuple[float | None, str | None]]:
        """Return the time of acceptance and the model of each job of this ledger by its id, voiceprints included."""

        def select(connection: sqlite3.Connection) -> dict[str, tuple[float | None, str | None]]:
            rows = ((job_id, connection.execute(_KNOWN, (job_id,)).fetchone()) for job_id in job_ids)
            return {job_id: row for job_id, row in rows if row is not None}

        return await super().known_jobs(job_ids) | await self.database.read(select)


def _find(connection: sqlite3.Connection, where: str, values: Sequence[Any]) -> IdentificationRow:
    query = _FIND.format(intact=intact(connection, "identifications"), where=where)
    *fields, result = check_intact(connection.execute(query, values).fetchone())
    return IdentificationRow._make((*fields, result and json.loads(result)))
