"""The identifications in a ledger: one row for each job, which is paid once.

The promises are those of `store`: the intent is on the disk before the first byte of the request leaves, the job id
before anything else happens, and the result before the recording is reported as done.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .checksums import check_intact, intact
from .intents import IntentTable
from .store import LedgerStore

__all__ = ["IdentificationRow", "IdentificationStore"]

_INSERT = "INSERT OR IGNORE INTO identifications (identity, request, model) VALUES (?, ?, ?)"
_FIND = """
SELECT {intact}, id, model, state, job_id, media_url, uploaded_at, error, result FROM identifications WHERE {where}
"""
# A failed job is free, so that a new run submits it again.
_RENEW_FAILED = """
UPDATE identifications SET state = 'pending', job_id = NULL, accepted_at = NULL, error = NULL
WHERE identity = ? AND request = ? AND state = 'failed'
"""
_NEWEST = """
SELECT job_id, accepted_at FROM identifications WHERE job_id IS NOT NULL AND accepted_at IS NOT NULL
ORDER BY accepted_at DESC LIMIT 1
"""
_KNOWN = "SELECT accepted_at, model FROM identifications WHERE job_id = ?"
_SET_SUBMITTED = """
UPDATE identifications SET state = 'submitted', job_id = ?, accepted_at = ?, intended_from = NULL,
intended_until = NULL, error = NULL WHERE id = ?
"""
_SET_FINISHED = "UPDATE identifications SET state = ?, result = ?, error = ?, finished_at = ? WHERE id = ?"


class IdentificationRow(NamedTuple):
    """One job: a recording, and the request that it is submitted with."""

    id: int
    model: str
    state: str
    job_id: str | None
    media_url: str | None
    uploaded_at: float | None
    error: str | None
    result: Mapping[str, Any] | None
    """The fields of the identification, once there is one."""


class IdentificationStore(LedgerStore):
    """The same ledger as that of enrollments. The steps of a submission change the rows of the identifications."""

    _intents = IntentTable("identifications")

    async def rows(self, keys: Sequence[tuple[str, str, str]]) -> list[IdentificationRow]:
        """Return the row of each job, in order. Missing rows are added, and failed ones become pending again.

        Args:
            keys: the identity of the recording, the hash of the request, and the model.
        """

        def add(connection: sqlite3.Connection) -> list[IdentificationRow]:
            connection.executemany(_INSERT, keys)
            connection.executemany(_RENEW_FAILED, [key[:2] for key in keys])
            return [_find(connection, "identity = ? AND request = ?", key[:2]) for key in keys]

        return await self.database.atomic(add)

    async def row(self, row_id: int) -> IdentificationRow:
        """Return one row."""
        return await self.database.read(lambda connection: _find(connection, "id = ?", (row_id,)))

    # Steps of one submission

    async def record_row_job(self, row_id: int, job_id: str, accepted_at: float) -> bool:
        """Record the job of an accepted submission. Return False if another row has the job; this row is uncertain."""

        def update(connection: sqlite3.Connection) -> bool:
            other = "SELECT 1 FROM identifications WHERE job_id = ? AND id != ?"
            if connection.execute(other, (job_id, row_id)).fetchone():
                error = f"The API answered with job {job_id}, which belongs to another recording."
                connection.execute(self._intents.set_uncertain, (error, row_id))
                return False
            connection.execute(_SET_SUBMITTED, (job_id, accepted_at, row_id))
            return True

        return await self.database.atomic(update, is_urgent=True)

    async def record_row_result(self, row_id: int, result: str, now: float) -> None:
        """Record the identification of a finished job, as JSON."""
        await self._write(_SET_FINISHED, ("succeeded", result, None, now, row_id))

    async def record_row_failure(self, row_id: int, state: str, error: str, now: float) -> None:
        """Record why a job has no identification: its state is `failed` or `expired`."""
        await self._write(_SET_FINISHED, (state, None, error, now, row_id))

    # What the resolver of unknown outcomes reads and writes

    async def newest_job(self) -> tuple[str, float] | None:
        """Return the newest identification job and when it was accepted."""
        return await self.database.read(lambda connection: connection.execute(_NEWEST).fetchone())

    async def known_jobs(self, job_ids: Sequence[str]) -> dict[str, tuple[float | None, str | None]]:
        """Return when the jobs of this ledger were accepted and for which model, voiceprints included, by id."""

        def select(connection: sqlite3.Connection) -> dict[str, tuple[float | None, str | None]]:
            rows = ((job_id, connection.execute(_KNOWN, (job_id,)).fetchone()) for job_id in job_ids)
            return {job_id: row for job_id, row in rows if row is not None}

        return await super().known_jobs(job_ids) | await self.database.read(select)


def _find(connection: sqlite3.Connection, where: str, values: Sequence[Any]) -> IdentificationRow:
    query = _FIND.format(intact=intact(connection, "identifications"), where=where)
    *fields, result = check_intact(connection.execute(query, values).fetchone())
    return IdentificationRow._make((*fields, result and json.loads(result)))
