"""The state of a ledger and of its run, as another process sees it."""

import os
import sqlite3
from pathlib import Path

import attrs

from pyannote_voiceprint_async.enrollment.events import Report

from .connection import read_snapshot
from .file_lock import is_locked
from .identification_report import IdentificationReport, read_identification_report
from .ownership import read_owner
from .report import newest_run, read_origin, read_report
from .run_state import RunState, read_run_state

__all__ = ["LedgerStatus", "read_status"]

_LAST_ERROR = """
SELECT label, error FROM recordings JOIN labels ON recording_id = id
WHERE listed_in = ? AND state IN ('failed', 'expired') AND error IS NOT NULL ORDER BY finished_at DESC LIMIT 1
"""


@attrs.frozen
class LedgerStatus:
    """The rows of the newest list, and the last run."""

    report: Report
    """The rows by state."""
    origin: str | None
    """The base URL of the API, or the name that the runs gave it; None before the first run."""
    is_alive: bool
    """Whether the run is still running: its process has the ledger locked."""
    run: RunState | None
    """The last run, if it wrote its state."""
    last_error: tuple[str, str] | None
    """The label and the error of the row that failed last."""
    identifications: IdentificationReport = attrs.field(factory=IdentificationReport)
    """The identifications of all runs by state."""


def read_status(path: Path) -> LedgerStatus:
    """Return the status of a ledger. Works during a run.

    The function opens and closes the file, which on some systems releases the locks that this process has on it. Call
    it in a process that does not use the ledger otherwise.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    has_lock = is_locked(path)
    with read_snapshot(path) as connection:
        number = newest_run(connection)
        report, run, owner = read_report(connection, run=number), read_run_state(connection), read_owner(connection)
        is_run = run is not None and owner is not None and owner.process == run.process and run.ended_at is None
        return LedgerStatus(
            report=report,
            origin=read_origin(connection),
            is_alive=is_run and (_is_running(run) if has_lock is None else has_lock),
            run=run,
            last_error=_last_error(connection, number),
            identifications=read_identification_report(connection),
        )


def _last_error(connection: sqlite3.Connection, run: int) -> tuple[str, str] | None:
    found = connection.execute(_LAST_ERROR, (run,)).fetchone()
    return None if found is None else (found[0], found[1])


def _is_running(run: RunState | None) -> bool:
    """Return whether the process exists, where the lock cannot be tested."""
    try:
        os.kill(0 if run is None else run.process, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True
