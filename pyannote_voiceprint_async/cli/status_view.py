"""The status of a ledger as a record, and as lines for people."""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self

import attrs

from pyannote_voiceprint_async.enrollment.ledger.run_state import RunState
from pyannote_voiceprint_async.enrollment.ledger.status import LedgerStatus, read_status

from .formatting import format_cost, format_duration
from .log_format import format_time
from .report_text import billed_audio, failure_reasons, identification_counts, job_counts, row_counts
from .text_layout import field_lines, wrap

__all__ = ["SANDBOX_ORIGIN", "StatusView"]

SANDBOX_ORIGIN = "sandbox"
"""The name of the embedded sandbox in a ledger, because its URL differs in each run."""

# Fields of a `Report` that only a run can fill.
_RUN_FIELDS = (
    "forgotten", "replaced", "jobs", "failed_jobs", "price", "unsaved_jobs", "warnings", "problems", "interrupted",
    "stopped_by", "started_at", "finished_at",
)  # fmt: skip


@attrs.frozen
class StatusView:
    """The status of a ledger at one moment."""

    path: Path
    """The ledger."""
    status: LedgerStatus
    """Its status."""
    price: float
    """The price of a job in EUR."""
    now: float
    """UTC epoch seconds."""

    @classmethod
    def read(cls, path: Path, price: float) -> Self:
        """Read the status of a ledger.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        status = read_status(path)
        return cls(path, status, 0.0 if status.origin == SANDBOX_ORIGIN else price, time.time())

    @property
    def billed_jobs(self) -> int:
        """Accepted jobs of all runs that did not fail."""
        return self.status.report.jobs_ever - self.status.report.failed_jobs_ever

    @property
    def record(self) -> dict[str, Any]:
        """The status as plain JSON types."""
        status, run = self.status, self.status.run
        label, error = status.last_error or (None, None)
        report = {name: value for name, value in attrs.asdict(status.report).items() if name not in _RUN_FIELDS}
        return {
            "alive": status.is_alive,
            **({} if run is None else self._run_record(run)),
            **report,
            "billed_jobs": self.billed_jobs,
            "price": self.price,
            "cost": round(self.billed_jobs * self.price, 3),
            "last_failed": label,
            "last_error": error,
            "identifications": attrs.asdict(status.identifications)
            | {"billed_jobs": status.identifications.billed_jobs},
        }

    def lines(self, width: int) -> Iterable[str]:
        """Return the status as lines for a terminal of this width."""
        report, identifications = self.status.report, self.status.identifications
        yield from field_lines(self._fields(), width)
        # A ledger that has only identifications has no list of speakers.
        has_list = report.rows or report.invalid or not identifications.rows
        counts = (*row_counts(report), *job_counts(report)) if has_list else ()
        for line in (*counts, *failure_reasons(report, self.path), *identification_counts(identifications, self.path)):
            yield from wrap(line, width)

    def _run_record(self, run: RunState) -> dict[str, Any]:
        return {
            "process": run.process,
            "started_at": format_time(run.started_at),
            "updated_at": format_time(run.updated_at),
            "ended_at": None if run.ended_at is None else format_time(run.ended_at),
            "stopped_by": run.stopped_by,
            "rows_per_minute": None if run.rows_per_minute is None else round(run.rows_per_minute, 1),
            "seconds_left": self._seconds_until(run.ends_at),
            "paused_for": run.paused_for if self.status.is_alive else None,
            "pause_seconds": self._seconds_until(run.next_attempt_at),
        }

    def _seconds_until(self, when: float | None) -> float | None:
        return None if when is None or not self.status.is_alive else max(0.0, round(when - self.now, 1))

    def _fields(self) -> Iterator[tuple[str, str]]:
        status = self.status
        yield "Run", self._run_text()
        if status.is_alive and status.run is not None:
            yield "Pace", self._pace_text(status.run)
            yield "Paused", self._pause_text(status.run)
        yield "Cost", self._cost_text()
        if status.last_error is not None:
            yield "Last error", ": ".join(status.last_error)

    def _cost_text(self) -> str:
        if self.status.origin == SANDBOX_ORIGIN:
            return "free in the sandbox"
        voiceprints = format_cost(self.billed_jobs, self.price)
        if not self.status.identifications.billed_jobs:
            return f"{voiceprints} so far; failed jobs are free"
        audio = f"{billed_audio(self.status.identifications)} for identifications"
        if not self.billed_jobs:
            return f"{audio} so far; failed jobs are free"
        return f"{voiceprints} for voiceprints, and {audio}, so far; failed jobs are free"

    def _run_text(self) -> str:
        run = self.status.run
        if run is None:
            return "none since this version of the program"
        started = f"started {format_time(run.started_at)}"
        if self.status.is_alive:
            return f"alive, process {run.process}, {started}, {format_duration(self.now - run.started_at)} ago"
        if run.ended_at is None:
            seen = format_time(run.updated_at)
            return (
                f"not alive: process {run.process}, {started}, was killed after {seen}. To continue, run the same "
                "command again."
            )
        return f"not alive, ended {format_time(run.ended_at)}{f': {run.stopped_by}' if run.stopped_by else ''}"

    def _pace_text(self, run: RunState) -> str:
        rate = "" if run.rows_per_minute is None else f"{run.rows_per_minute:.0f} a minute"
        left = self._seconds_until(run.ends_at)
        return ", ".join(part for part in (rate, "" if left is None else f"{format_duration(left)} left") if part)

    def _pause_text(self, run: RunState) -> str:
        seconds = self._seconds_until(run.next_attempt_at)
        again = f" The next attempt is in {format_duration(seconds)}." if seconds else ""
        return "" if run.paused_for is None else f"{run.paused_for}{again}"
