"""The intents of one table: when a row may have been submitted, and how that ended.

The table has the columns `id`, `state`, `model`, `intended_from`, `intended_until`, `error`, `media_url` and
`uploaded_at`.
"""

import sqlite3
from typing import Protocol

from .checksums import check_intact, intact
from .recordings import UnknownOutcome

__all__ = ["MAY_BE_ACCEPTED", "IntentTable", "SubmittedRow"]

MAY_BE_ACCEPTED = "The submission may have been accepted: a job that is not in the ledger was created at that time."
"""The error of a row whose outcome cannot be determined."""

# The row is pending, or it has the same intent already: a request of which no byte was sent is repeated under it.
_RECORD = """
UPDATE {table} SET state = 'submitting', intended_from = :earliest, intended_until = :latest
WHERE id = :id AND (state = 'pending' OR (state = 'submitting' AND intended_from = :earliest))
"""
_WITHDRAW = """
UPDATE {table} SET state = 'pending', error = NULL, intended_from = NULL, intended_until = NULL
WHERE id = ? AND state IN ('pending', 'submitting', 'uncertain')
"""
_EXTEND = "UPDATE {table} SET intended_until = max(intended_until, ?) WHERE id = ?"
_SET_UNCERTAIN = """
UPDATE {table} SET state = 'uncertain', error = ? WHERE id = ? AND state IN ('pending', 'submitting', 'uncertain')
"""
_SET_MEDIA_URL = "UPDATE {table} SET media_url = ?, uploaded_at = ? WHERE id = ?"
_KEEP_UNKNOWN_OUTCOME = """
INSERT INTO lost_intents (was_resubmitted, intended_from, intended_until)
SELECT 1, coalesce(intended_from, 0), coalesce(intended_until, 0) FROM {table} WHERE id = ?
"""
_UNKNOWN_OUTCOMES = """
SELECT {intact}, id, intended_from, intended_until, state = 'uncertain', model
FROM {table} WHERE state IN ('submitting', 'uncertain') ORDER BY id
"""


class SubmittedRow(Protocol):
    """A row of such a table."""

    @property
    def id(self) -> int:
        """The id of the row."""


class IntentTable:
    """The statements of one table.

    Args:
        name: the name of the table.
    """

    def __init__(self, name: str) -> None:
        self.record = _RECORD.format(table=name)
        """Record that a row is about to be sent. Changes nothing if the row is no longer pending."""
        self.withdraw = _WITHDRAW.format(table=name)
        """Make a row pending again: it was not accepted."""
        self.extend = _EXTEND.format(table=name)
        """Record a later time at which a row may have been sent."""
        self.set_uncertain = _SET_UNCERTAIN.format(table=name)
        """Hold a row that may have been accepted, with an error."""
        self.set_media_url = _SET_MEDIA_URL.format(table=name)
        """Record the media URL of an upload, and its time."""
        self.keep_unknown_outcome = _KEEP_UNKNOWN_OUTCOME.format(table=name)
        """Keep the times at which a row may have been accepted, before it is submitted once more."""
        self._name = name

    def unknown_outcomes(self, connection: sqlite3.Connection) -> list[UnknownOutcome]:
        """Return the rows with an unknown outcome, by id."""
        query = _UNKNOWN_OUTCOMES.format(table=self._name, intact=intact(connection, self._name))
        rows = map(check_intact, connection.execute(query))
        return [UnknownOutcome(row[0], row[1], row[2], bool(row[3]), row[4]) for row in rows]
