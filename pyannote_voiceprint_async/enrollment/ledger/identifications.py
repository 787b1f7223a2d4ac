"""The identifications in a ledger: one row for each job, which is paid once.

The promises are those of `store`: the intent is on the disk before the first byte of the request leaves, the job id
before anything else happens, and the result before the recording is reported as done.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from pyannote_voiceprint_async.errors import LedgerError

from .checksums import intact
from .recordings import UnknownOutcome
from .store import LedgerStore, check_intact

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
_UNKNOWN = """
SELECT {intact}, id, intended_from, intended_until, state = 'uncertain', model
FROM identifications WHERE state IN ('submitting', 'uncertain') ORDER BY id
"""
_NEWEST = """
SELECT job_id, accepted_at FROM identifications WHERE job_id IS NOT NULL AND accepted_at IS NOT NULL
ORDER BY accepted_at DESC LIMIT 1
"""
_KNOWN = "SELECT accepted_at, model FROM identifications WHERE job_id = ?"
# The row is pending, or it has the same intent already: a request of which no byte was sent is repeated under it.
_RECORD_INTENT = """
UPDATE identifications SET state = 'submitting', intended_from = :earliest, intended_until = :latest
WHERE id = :id AND (state = 'pending' OR (state = 'submitting' AND intended_from = :earliest))
"""
_WITHDRAW = """
UPDATE identifications SET state = 'pending', error = NULL, intended_from = NULL, intended_until = NULL
WHERE id = ? AND state IN ('pending', 'submitting', 'uncertain')
"""
_EXTEND = "UPDATE identifications SET intended_until = max(intended_until, ?) WHERE id = ?"
_SET_SUBMITTED = """
UPDATE identifications SET state = 'submitted', job_id = ?, accepted_at = ?, intended_from = NULL,
intended_until = NULL, error = NULL WHERE id = ?
"""
_SET_UNCERTAIN = "UPDATE identifications SET state = 'uncertain', error = ? WHERE id = ?"
_SET_UPLOADED = "UPDATE identifications SET media_url = ?, uploaded_at = ? WHERE id = ?"
_SET_FINISHED = "UPDATE identifications SET state = ?, result = ?, error = ?, finished_at = ? WHERE id = ?"

_MAY_BE_ACCEPTED = "It may have been accepted: an unknown job was created when it was sent."


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
    """The same ledger as that of enrollments, with the rows of the identifications."""

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

    async def record_row_intent(self, row_id: int, earliest: float, latest: float) -> None:
        """Record that a submission is about to be sent between these two times.

        Raises:
            LedgerError: the row is no longer pending; nothing must be sent.
        """

        def update(connection: sqlite3.Connection) -> None:
            values = {"earliest": earliest, "latest": latest, "id": row_id}
            if connection.execute(_RECORD_INTENT, values).rowcount != 1:
                raise LedgerError(
                    "A recording that was about to be submitted is no longer pending: another program changed the "
                    "ledger. It was not sent. Run again: the run then reads the ledger anew."
                )

        await self.database.atomic(update)

    async def withdraw_row_intent(self, row_id: int) -> None:
        """Record that the submission was not accepted."""
        await self._write(_WITHDRAW, (row_id,))

    def withdraw_row_intent_later(self, row_id: int) -> None:
        """Queue `withdraw_row_intent` without waiting for the commit."""
        self.database.write_later(lambda connection: connection.execute(_WITHDRAW, (row_id,)))

    async def extend_row_intent(self, row_id: int, until: float) -> None:
        """Record that a submission with an unknown outcome may have been sent as late as this."""
        await self._write(_EXTEND, (until, row_id))

    async def record_row_upload(self, row_id: int, media_url: str, now: float) -> None:
        """Record the media URL of an uploaded file, which the API keeps for a day."""
        await self._write(_SET_UPLOADED, (media_url, now, row_id))

    async def record_row_job(self, row_id: int, job_id: str, accepted_at: float) -> bool:
        """Record the job of an accepted submission. Return False if another row has the job; this row is uncertain."""

        def update(connection: sqlite3.Connection) -> bool:
            other = "SELECT 1 FROM identifications WHERE job_id = ? AND id != ?"
            if connection.execute(other, (job_id, row_id)).fetchone():
                error = f"The API answered with job {job_id}, which belongs to another recording."
                connection.execute(_SET_UNCERTAIN, (error, row_id))
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

    async def unknown_outcomes(self) -> list[UnknownOutcome]:
        """Return the identifications with an unknown outcome, by id."""

        def select(connection: sqlite3.Connection) -> list[UnknownOutcome]:
            query = _UNKNOWN.format(intact=intact(connection, "identifications"))
            rows = map(check_intact, connection.execute(query))
            return [UnknownOutcome(row[0], row[1], row[2], bool(row[3]), row[4]) for row in rows]

        return await self.database.read(select)

    async def newest_job(self) -> tuple[str, float] | None:
        """Return the newest identification job and when it was accepted."""
        return await self.database.read(lambda connection: connection.execute(_NEWEST).fetchone())

    async def known_jobs(self, job_ids: Sequence[str]) -> dict[str, tuple[float | None, str | None]]:
        """Return when the jobs of this ledger were accepted and for which model, voiceprints included, by id."""

        def select(connection: sqlite3.Connection) -> dict[str, tuple[float | None, str | None]]:
            rows = ((job_id, connection.execute(_KNOWN, (job_id,)).fetchone()) for job_id in job_ids)
            return {job_id: row for job_id, row in rows if row is not None}

        return await super().known_jobs(job_ids) | await self.database.read(select)

    async def resolve_not_accepted(self, ids: Iterable[int]) -> None:
        """Record that these submissions were not accepted."""
        await self._write_many(_WITHDRAW, [(row_id,) for row_id in ids])

    async def resolve_uncertain(self, ids: Iterable[int]) -> None:
        """Record that the outcome of these submissions cannot be determined."""
        await self._write_many(_SET_UNCERTAIN, [(_MAY_BE_ACCEPTED, row_id) for row_id in ids])


def _find(connection: sqlite3.Connection, where: str, values: Sequence[Any]) -> IdentificationRow:
    query = _FIND.format(intact=intact(connection, "identifications"), where=where)
    *fields, result = check_intact(connection.execute(query, values).fetchone())
    return IdentificationRow._make((*fields, result and json.loads(result)))
