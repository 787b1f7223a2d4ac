"""What a run tells as it goes on, and at its end."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import attrs

from pyannote_voiceprint_async.errors import Problem
from pyannote_voiceprint_async.models import Voiceprint

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
    "Stopping",
]


@attrs.frozen
class RowWarning:
    """A row's recording is worth a look, and no reason not to enroll it.

    It is told once, after the list is read; of a long list, the first thousand.
    """

    label: str
    """The row."""
    message: str
    """What it is, and what to do. It begins in lower case: it goes on after the label."""


@attrs.frozen
class RowSkipped:
    """A row is wrong, and is left out (`skip_invalid`). It is told once, as `RowWarning` is."""

    problem: Problem
    """What is wrong, whose row it is, and its line."""


@attrs.frozen
class RowSubmitted:
    """A job was accepted, and its id is in the ledger."""

    label: str
    """The row."""
    job_id: str
    """Its job."""


@attrs.frozen
class RowSucceeded:
    """A voiceprint is in the ledger."""

    label: str
    """The row."""
    voiceprint: Voiceprint
    """What it was all for; `.value` is to be kept private."""


@attrs.frozen
class RowFailed:
    """A row has no voiceprint, for a reason of its own. It costs nothing."""

    label: str
    """The row."""
    error: str
    """What happened, as a sentence."""


@attrs.frozen
class RowUncertain:
    """A job of this row may exist whose id nobody knows: it was not sent again."""

    label: str
    """The row."""


@attrs.frozen
class RowExpired:
    """A row was paid, and its output was deleted before it was read."""

    label: str
    """The row."""
    error: str
    """What happened, as a sentence."""


@attrs.frozen
class Paused:
    """Nothing new is sent for now, for a reason that is not a row's own."""

    reason: str
    """Why, as a sentence."""
    seconds: float
    """When it is tried again."""


@attrs.frozen
class Resumed:
    """It goes on after a pause."""


@attrs.frozen
class Stopping:
    """Nothing new is sent any more, because of an error that ends the run. What is under way is finished first."""

    reason: str
    """The error, as a sentence. It is raised out of the iteration after `Finished`."""


@attrs.frozen
class Report:
    """How the rows of a list stand. What is counted is rows, but where it says jobs."""

    rows: int = 0
    """All rows of this run's list, but for those that are left out."""
    succeeded: int = 0
    """With a voiceprint, of this run or an earlier one."""
    failed: int = 0
    """Without, for a reason of their own; they cost nothing."""
    uncertain: int = 0
    """A job of theirs may exist whose id nobody knows."""
    expired: int = 0
    """Paid, and the output was deleted before it was read."""
    submitted: int = 0
    """Accepted and not done: the next run waits for them."""
    unanswered: int = 0
    """Sent, and no answer is known: the next run finds out."""
    pending: int = 0
    """Not sent, or refused for now: the next run sends them."""
    invalid: int = 0
    """Wrong, and left out (`skip_invalid`)."""
    forgotten: int = 0
    """Left out because somebody had them erased."""
    replaced: int = 0
    """Rows that have another recording than in an earlier list; the voiceprint of that is no longer theirs."""
    jobs: int = 0
    """Jobs accepted by this run. Those that succeed are paid."""
    jobs_ever: int = 0
    """Jobs accepted by all runs on this ledger."""
    possibly_paid_twice: int = 0
    """Submissions that were repeated although the first may have been accepted, in all runs."""
    unknown_jobs: int = 0
    """Jobs of the team that nobody here made, at the time of a submission whose outcome is not known; in all runs."""
    unsaved_jobs: Mapping[str, str] = attrs.field(factory=dict)
    """Labels by the ids of jobs that could not be written into the ledger: the disk was full. Keep them."""
    failures: Mapping[str, int] = attrs.field(factory=dict)
    """How many rows failed with which text; the most frequent first."""
    warnings: tuple[RowWarning, ...] = ()
    """What this run told of recordings."""
    problems: tuple[Problem, ...] = ()
    """What is wrong with the rows that this run left out; the first thousand."""
    interrupted: bool = False
    """It was stopped before its end."""
    stopped_by: str | None = None
    """The error that ended it, as a sentence."""

    @property
    def is_complete(self) -> bool:
        """Whether each row has its voiceprint."""
        return self.succeeded == self.rows and not self.invalid

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain JSON types."""
        return attrs.asdict(self)


@attrs.frozen
class Finished:
    """The last event."""

    report: Report
    """How the rows stand."""


@attrs.define
class Progress:
    """How far a run is, at any moment."""

    read: int = 0
    """Rows of the list that were read so far."""
    listening_to: str | None = None
    """Which file is being looked at, by its name: hours of audio take their time."""
    total: int = 0
    """Rows of the list, once it is read."""
    succeeded: int = 0
    """With a voiceprint."""
    failed: int = 0
    """Without one: failed, uncertain or expired."""
    waiting: int = 0
    """Accepted, and waited for."""
    sending: int = 0
    """Uploaded, queued for the rate limit, or on the wire."""
    finished_now: int = 0
    """Done by this run."""
    paused_for: str | None = None
    """Why nothing new is sent."""


Event: TypeAlias = (
    RowSkipped
    | RowWarning
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
