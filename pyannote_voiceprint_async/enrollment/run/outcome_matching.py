"""Match submissions of unknown outcome with the team's list of jobs: a pure decision.

The list contains the jobs of the whole team, and does not show the URL of a job. The only evidence is the time at which
a job was created. Each submission has a window of time: it begins with the intent in the ledger, and ends when the
server can no longer accept a request that was cut off. The job of an accepted submission was created in this window.
If the window contains no unknown job, which is a job that is not in the ledger, the submission was not accepted.

The clock that dates jobs is not the clock that dates intents. Our own jobs in the list show the difference, because the
ledger has the time at which each of them was accepted. The windows are widened by this difference. If the list has no
job of ours, they are widened by the largest plausible difference: it is better to hold a submission than to be billed
for it twice. A job of another type or model than the submission is never its job.

The measured difference may be wrong for the lost job: the clock of `createdAt` may have been set since, or another
server of the API may have dated the job. A submission is therefore also held if an unknown job lies up to
`MINIMUM_SKEW` before or after its window. Such a job is never adopted.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Self

import attrs

from pyannote_voiceprint_async.enrollment.ledger.recordings import UnknownOutcome

__all__ = [
    "LATE_ACCEPTANCE_SECONDS",
    "MINIMUM_SKEW",
    "AcceptanceWindow",
    "ClockOffset",
    "MatchResult",
    "OwnJob",
    "UnknownJob",
    "acceptance_windows",
    "match_outcomes",
    "measure_offset",
]

LATE_ACCEPTANCE_SECONDS = 30.0
"""How long after `Timeouts.total` the server may still accept a request that was cut off."""
MINIMUM_SKEW = 600.0
"""Seconds by which the clock that dated one job may differ from the clocks that dated our own jobs in the list."""
_SERVER_CLOCK_TOLERANCE = 5.0
"""Seconds by which the server's time may be wrong: a `Date` is older than its response, and the machines of the server
differ a little."""
_LISTED_FOR = 24 * 3600.0
"""Seconds for which a job is certainly listed. The API documents no more than the time for which it keeps outputs."""
_MAX_CLOCK_DIFFERENCE = 15 * 3600.0
"""The largest plausible difference of the clocks, in seconds: 14 hours for a missing time zone, and an hour of skew."""
OTHER_TYPES = frozenset({"diarize", "diarization", "identify", "identification"})
"""Job types that are not voiceprints. Used if the list has no job of ours that shows how it writes our type."""
_MODEL = re.compile(r"precision-\d+")
"""The form of the API's own model names. Two different names of this form are two models."""


class UnknownJob(NamedTuple):
    """A listed job of the team that is not in the ledger."""

    job_id: str
    created_at: float | None
    """UTC epoch seconds. None: the list has no time, so the job may have been created at any time."""
    type: str | None = None
    """The listed type; None if the list has no types."""
    model: str | None = None
    """The listed model; None if the list has no models."""


class OwnJob(NamedTuple):
    """A listed job that is in the ledger, with the values of both."""

    created_at: float | None
    """UTC epoch seconds by the API's clock, from the list."""
    accepted_at: float | None
    """UTC epoch seconds by this machine's clock, from the ledger."""
    submitted_model: str | None
    """The model of the submission, from the ledger."""
    type: str | None = None
    """The listed type."""
    model: str | None = None
    """The listed model."""


class ClockOffset(NamedTuple):
    """The seconds by which the clock of `createdAt` may be ahead of the clocks that date intents."""

    lowest: float
    highest: float
    is_measured: bool = True
    """Whether our own jobs showed these values. If not, they are the largest plausible ones."""


_NO_OFFSET = ClockOffset(0.0, 0.0)


def measure_offset(own_jobs: Iterable[OwnJob], max_submission_seconds: float) -> ClockOffset:
    """Return the clock offset that our own jobs show.

    Args:
        own_jobs: the listed jobs that are in the ledger.
        max_submission_seconds: the longest duration of one submission (`Timeouts.total`): the server may have created a
            job this long before we received its id.
    """
    ahead = [
        job.created_at - job.accepted_at
        for job in own_jobs
        if job.created_at is not None and job.accepted_at is not None
    ]
    if not ahead:
        return ClockOffset(-_MAX_CLOCK_DIFFERENCE, _MAX_CLOCK_DIFFERENCE, is_measured=False)
    return ClockOffset(min(ahead), max(ahead) + max_submission_seconds)


class AcceptanceWindow(NamedTuple):
    """The time in which the server must have created the job of a submission, by the server's clock."""

    begins: float
    ends: float

    def contains(self, job: UnknownJob) -> bool:
        """Return whether the job may have been created in the window."""
        return job.created_at is None or self.begins <= job.created_at <= self.ends

    def widened(self, seconds: float) -> Self:
        """Return a window that begins earlier and ends later by some seconds."""
        return self._replace(begins=self.begins - seconds, ends=self.ends + seconds)


@attrs.frozen
class MatchResult:
    """What the list of jobs shows about submissions of unknown outcome."""

    not_accepted: Sequence[int]
    """Ids of submissions that were certainly not accepted."""
    possibly_accepted: Sequence[int]
    """Ids of submissions that may have been accepted."""
    adoptable: Mapping[int, str]
    """The job id of each submission with exactly one unknown job in its window, if no other window has that job."""
    unknown_jobs: Sequence[UnknownJob]
    """The unknown jobs in the windows, and up to `MINIMUM_SKEW` before and after them."""


def acceptance_windows(
    intents: Iterable[tuple[float, float]], request_lifetime: float, offset: ClockOffset = _NO_OFFSET
) -> list[AcceptanceWindow]:
    """Return the window of each intent.

    Args:
        intents: for each intent, the earliest and the latest time at which it was written.
        request_lifetime: seconds after its intent in which a request may be accepted: `Timeouts.total` plus
            `LATE_ACCEPTANCE_SECONDS`.
        offset: the clock offset. It widens the windows, and never shifts them: the clocks may have agreed when the
            intent was written.
    """
    return _windows(intents, request_lifetime, min(offset.lowest, 0.0), max(offset.highest, 0.0))


def match_outcomes(  # noqa: PLR0913 - the whole evidence, by keyword where values could be mixed up
    unresolved: Sequence[UnknownOutcome],
    unresolvable_intents: Iterable[tuple[float, float]],
    unknown_jobs: Sequence[UnknownJob],
    *,
    request_lifetime: float,
    listed_since: float | None,
    now: float,
    offset: ClockOffset = _NO_OFFSET,
    own_jobs: Sequence[OwnJob] = (),
    other_types: frozenset[str] = OTHER_TYPES,
) -> MatchResult:
    """Match submissions with jobs. Call it when all their windows are over and no submission is in flight.

    Args:
        unresolved: the submissions.
        unresolvable_intents: the earliest and the latest time of each intent whose outcome stays unknown, because its
            row was submitted once more or erased. An unknown job in one of their windows is not adopted.
        unknown_jobs: the listed jobs that are not in the ledger.
        request_lifetime: see `acceptance_windows`.
        listed_since: creation time of the oldest listed job; None if the list was read to its end.
        now: UTC epoch seconds.
        offset: see `acceptance_windows`.
        own_jobs: the listed jobs of the same kind that are in the ledger. They show how the list writes types and
            models.
        other_types: the types of jobs of other kinds, which are used if no own job shows its type.
    """
    intents = [(submission.intended_from, submission.intended_until) for submission in unresolved]
    windows = acceptance_windows(intents, request_lifetime, offset)
    shifted_windows = _shifted_windows(intents, request_lifetime, offset)
    unresolvable_windows = acceptance_windows(unresolvable_intents, request_lifetime, offset)
    listed_forms = _ListedForms.of(own_jobs, other_types)
    possible = {
        submission.id: [
            job
            for job in unknown_jobs
            if window.widened(MINIMUM_SKEW).contains(job) and listed_forms.may_be(job, submission.model)
        ]
        for submission, window in zip(unresolved, windows, strict=True)
    }
    candidates = {
        submission.id: [job for job in possible[submission.id] if window.contains(job)]
        for submission, window in zip(unresolved, windows, strict=True)
    }
    claims = Counter(job.job_id for jobs in candidates.values() for job in jobs)
    not_accepted, possibly_accepted, adoptable = [], [], {}
    for submission, window, shifted in zip(unresolved, windows, shifted_windows, strict=True):
        if not possible[submission.id] and _is_listed(window.widened(MINIMUM_SKEW), listed_since, now):
            not_accepted.append(submission.id)
            continue
        possibly_accepted.append(submission.id)
        match candidates[submission.id]:
            case [job] if (
                shifted.contains(job)
                and claims[job.job_id] == 1
                and not any(other.contains(job) for other in unresolvable_windows)
            ):
                adoptable[submission.id] = job.job_id
    found = {job.job_id: job for jobs in possible.values() for job in jobs}
    return MatchResult(not_accepted, possibly_accepted, adoptable, list(found.values()))


def _shifted_windows(
    intents: Iterable[tuple[float, float]], request_lifetime: float, offset: ClockOffset
) -> list[AcceptanceWindow]:
    """Return the narrower windows in which a job is adopted: shifted by the measured offset, not widened by it."""
    early, late = (offset.lowest, offset.highest) if offset.is_measured else (0.0, 0.0)
    return _windows(intents, request_lifetime, early, late)


def _windows(
    intents: Iterable[tuple[float, float]], request_lifetime: float, early: float, late: float
) -> list[AcceptanceWindow]:
    return [
        AcceptanceWindow(earliest + early, latest + late + request_lifetime).widened(_SERVER_CLOCK_TOLERANCE)
        for earliest, latest in intents
    ]


@attrs.frozen
class _ListedForms:
    """The forms in which the list writes the type and the models of our own jobs. They may differ from ours."""

    types: frozenset[str]
    models: Mapping[str, frozenset[str]]
    """The listed forms of each submitted model."""
    other_types: frozenset[str]

    @classmethod
    def of(cls, own_jobs: Sequence[OwnJob], other_types: frozenset[str]) -> Self:
        models: dict[str, set[str]] = {}
        for job in own_jobs:
            if job.submitted_model is not None and job.model is not None:
                models.setdefault(job.submitted_model, set()).add(job.model)
        return cls(
            frozenset(job.type for job in own_jobs if job.type is not None),
            {model: frozenset(listed) for model, listed in models.items()},
            other_types,
        )

    def may_be(self, job: UnknownJob, model: str) -> bool:
        """Return whether a job may be a voiceprint of this model. A type or model that is not listed may be any."""
        return self._may_be_voiceprint(job.type) and self._may_be_model(job.model, model)

    def _may_be_voiceprint(self, listed: str | None) -> bool:
        if listed is None:
            return True
        return listed in self.types if self.types else listed.casefold() not in self.other_types

    def _may_be_model(self, listed: str | None, model: str) -> bool:
        if listed is None:
            return True
        if model in self.models:
            return listed in self.models[model]
        return listed == model or not (_MODEL.fullmatch(listed) and _MODEL.fullmatch(model))


def _is_listed(window: AcceptanceWindow, listed_since: float | None, now: float) -> bool:
    """Return whether the list must contain every job of a window.

    It must if its oldest job was created before the window, or if the window is so recent that each of its jobs is
    still listed.
    """
    if listed_since is not None and listed_since < window.begins:
        return True
    return now - window.begins < _LISTED_FOR
