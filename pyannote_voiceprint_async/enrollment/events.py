"""The events of a run, its progress, and its report."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeAlias

import attrs

from pyannote_voiceprint_async.errors import Problem
from pyannote_voiceprint_async.models import Voiceprint

from .plan import DEFAULT_PRICE, RowWarning, RunPlan, join_warnings, split_warnings

__all__ = [
    "Event",
    "Finished",
    "Paused",
    "Progress",
    "Report",
    "Resumed",
    "RowExpired",
    "RowFailed",
    "RowSkipped",
    "RowSubmitted",
    "RowSucceeded",
    "RowUncertain",
    "RowWarning",
    "RunPlanned",
    "Stopping",
    "join_warnings",
    "split_warnings",
]


@attrs.frozen
class RowSkipped:
    """A row is invalid and is left out.

    Emitted with `skip_invalid` only, once for each row, after the list is read; for the first thousand rows.
    """

    problem: Problem
    """What is wrong, with the label and the line of the row."""


@attrs.frozen
class RunPlanned:
    """What the run is about to do, as its dry run reports it. Emitted once, after the list is read."""

    plan: RunPlan
    """Counts, jobs and cost, provided that no job fails."""


@attrs.frozen
class RowSubmitted:
    """A job was accepted for a row. Emitted when the job id is in the ledger."""

    label: str
    """The row."""
    job_id: str
    """The job."""


@attrs.frozen
class RowSucceeded:
    """A row has its voiceprint. Emitted when the voiceprint is in the ledger."""

    label: str
    """The row."""
    voiceprint: Voiceprint
    """The voiceprint. Keep its `.value` private."""


@attrs.frozen
class RowFailed:
    """A row has no voiceprint, and the row is at fault. Emitted when the failure is in the ledger; it is not billed."""

    label: str
    """The row."""
    error: str
    """What happened, as a sentence."""


@attrs.frozen
class RowUncertain:
    """The outcome of a row is unknown, and cannot be resolved: a job may exist. The row is not submitted again."""

    label: str
    """The row."""


@attrs.frozen
class RowExpired:
    """A row was billed, but its result expired before it was fetched. Emitted when this is in the ledger."""

    label: str
    """The row."""
    error: str
    """What happened, as a sentence."""


@attrs.frozen
class Paused:
    """The run submits nothing new for a while. Emitted when a pause begins: the API fails, or the run must wait."""

    reason: str
    """Why, as a sentence."""
    seconds: float
    """Seconds until the run tries again; 0 if this is not known."""


@attrs.frozen
class Resumed:
    """The run submits again. Emitted when a pause ends."""


@attrs.frozen
class Stopping:
    """An error ends the run. Emitted when the error occurs; submissions in flight are finished afterwards."""

    reason: str
    """The error, as a sentence. It is raised from the iteration after `Finished`."""


@attrs.frozen
class Report:
    """The result of a run: the state of each row of its list. Counts are rows, unless they are called jobs."""

    rows: int = 0
    """All rows of the list, without those that were left out."""
    succeeded: int = 0
    """Rows with a voiceprint, from this run or an earlier one."""
    failed: int = 0
    """Rows without a voiceprint, because the row is at fault. They are not billed."""
    uncertain: int = 0
    """Rows whose outcome is unknown, and could not be resolved: they may have a job."""
    expired: int = 0
    """Rows that were billed, but whose result expired before it was fetched."""
    submitted: int = 0
    """Rows with an accepted job that is not finished: the next run waits for it."""
    unresolved: int = 0
    """Rows of unknown outcome, which the next run resolves."""
    pending: int = 0
    """Rows that were not submitted, or were refused for now: the next run submits them."""
    invalid: int = 0
    """Invalid rows that were left out (`skip_invalid`)."""
    forgotten: int = 0
    """Rows that were left out because they were erased (`forget`)."""
    replaced: int = 0
    """Rows with another recording than in an earlier list; the earlier voiceprint no longer belongs to them."""
    jobs: int = 0
    """Jobs that were accepted in this run."""
    failed_jobs: int = 0
    """Jobs among them that failed or were canceled, which are not billed."""
    jobs_ever: int = 0
    """Jobs that were accepted in all runs on this ledger."""
    failed_jobs_ever: int = 0
    """Jobs among them that failed or were canceled."""
    price: float = DEFAULT_PRICE
    """The price of a job in EUR."""
    possibly_paid_twice: int = 0
    """Submissions, in all runs, that were repeated although the first one may have been accepted."""
    unknown_jobs: int = 0
    """Jobs, in all runs, that are not in the ledger and were created at the time of a submission of unknown outcome."""
    unsaved_jobs: Mapping[str, str] = attrs.field(factory=dict)
    """Labels by job id, for jobs that could not be written to the ledger, for example on a full disk. Keep the ids: the
    jobs are billed."""
    failures: Mapping[str, int] = attrs.field(factory=dict)
    """The number of failed rows for each error text, the most frequent first."""
    warnings: tuple[RowWarning, ...] = ()
    """The warnings about recordings that this run emitted."""
    problems: tuple[Problem, ...] = ()
    """The problems of the rows that this run left out; the first thousand."""
    interrupted: bool = False
    """Whether the run was stopped before its end."""
    stopped_by: str | None = None
    """The error that ended the run, as a sentence."""
    started_at: datetime | None = None
    """When the run began; None outside of a run."""
    finished_at: datetime | None = None
    """When the run was over."""

    @property
    def cost(self) -> float:
        """The cost of this run in EUR: of its jobs that did not fail."""
        return (self.jobs - self.failed_jobs) * self.price

    @property
    def cost_ever(self) -> float:
        """The cost of all runs on this ledger in EUR, at the price of this run."""
        return (self.jobs_ever - self.failed_jobs_ever) * self.price

    @property
    def duration(self) -> float:
        """The seconds from the start of the run to its end."""
        if self.started_at is None or self.finished_at is None:
            return 0.0
        return (self.finished_at - self.started_at).total_seconds()

    @property
    def is_complete(self) -> bool:
        """Whether each row has its voiceprint."""
        return self.succeeded == self.rows and not self.invalid

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; times as ISO 8601 in UTC."""
        times = {"started_at": _iso(self.started_at), "finished_at": _iso(self.finished_at)}
        money = {"cost": round(self.cost, 6), "cost_ever": round(self.cost_ever, 6)}
        return attrs.asdict(self) | times | {"duration": round(self.duration, 3)} | money


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")


@attrs.frozen
class Finished:
    """The run is over. Emitted as the last event."""

    report: Report
    """The result of the run."""


@attrs.define
class Progress:
    """The counts of a run, which can be read at any time."""

    read: int = 0
    """Rows of the list that were read so far."""
    checking: str | None = None
    """The name of the audio file that is being checked, which may take a while for hours of audio."""
    total: int = 0
    """Rows of the list, once it is read."""
    succeeded: int = 0
    """Rows with a voiceprint."""
    failed: int = 0
    """Rows without a voiceprint: failed, uncertain or expired."""
    queued: int = 0
    """Submissions that this run still has to make: they wait for an upload, for the rate limit, or for a pause to end.
    Rows with the same recording share one; `max_jobs` bounds it."""
    in_flight: int = 0
    """Submissions that were sent and have no response yet."""
    awaiting_result: int = 0
    """Accepted jobs without a result."""
    finished_now: int = 0
    """Rows that got their result in this run: a voiceprint or a failure."""
    paused_for: str | None = None
    """Why the run submits nothing new, as a sentence; None while it submits."""
    pause_seconds: float = 0.0
    """Seconds until the run tries again; 0 if there is no pause or its end is not known."""
    rows_per_minute: float | None = None
    """The rows that were finished in a minute, over the last minutes; None before the first."""
    seconds_left: float | None = None
    """Seconds until the last row has its result, as the rate limit and the durations of the jobs allow; None while the
    list is read. Before the first result the durations are not known, and this is too short."""


Event: TypeAlias = (
    RowSkipped
    | RowWarning
    | RunPlanned
    | RowSubmitted
    | RowSucceeded
    | RowFailed
    | RowUncertain
    | RowExpired
    | Paused
    | Resumed
    | Stopping
    | Finished
)
