"""Read the list of a run into the staging table of the ledger."""

import asyncio
from collections.abc import AsyncIterable, Iterable

from pyannote_voiceprint_async.enrollment.ledger.staging import Staging
from pyannote_voiceprint_async.enrollment.manifest.rows import Problem, Row
from pyannote_voiceprint_async.errors import EnrollmentError

__all__ = ["stage_rows"]


async def stage_rows(staging: Staging, rows: Iterable[Row | Problem] | AsyncIterable[Row | Problem]) -> None:
    """Read and check the list; see `Staging.stage`.

    Raises:
        EnrollmentError: the iterable raised `CancelledError`, although the run was not cancelled. A cancelled run ends
            without an error, so this must not look the same.
    """
    try:
        await staging.stage(rows)
    except asyncio.CancelledError as exc:
        if (this := asyncio.current_task()) is None or this.cancelling():
            raise
        raise EnrollmentError(
            "The list of speakers was cancelled while it was read: its iterable raised CancelledError. The list is "
            "incomplete, so nothing was sent. Check what the iterable waits for, and run again."
        ) from exc
