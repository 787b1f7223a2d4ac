"""The recordings without a known job, as a plan counts them: few columns, because a list may have millions of rows."""

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["UnsentRecording", "read_unsent"]

_UNSENT = """
SELECT state = 'pending', is_file, expires_at, media_url, uploaded_at,
    (SELECT count(*) FROM labels WHERE recording_id = r.id AND listed_in = :run) AS labels
FROM recordings r WHERE state IN ('pending', 'submitting', 'uncertain') AND labels ORDER BY id
"""


class UnsentRecording(NamedTuple):
    """A recording without a known job."""

    is_pending: bool
    """Whether it is certain that no submission was accepted."""
    is_file: bool
    expires_at: float | None
    media_url: str | None
    uploaded_at: float | None
    rows: int
    """The rows of the list that have this recording."""


def read_unsent(connection: sqlite3.Connection, run: int) -> Iterator[UnsentRecording]:
    """Yield the recordings of a run's list without a known job, in the order in which the run submits them."""
    yield from map(UnsentRecording._make, connection.execute(_UNSENT, {"run": run}))
