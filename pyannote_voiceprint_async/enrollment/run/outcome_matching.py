"""What became of submissions whose outcome nobody knows: a pure decision.

A job does not say which URL it was made from, and the list of jobs has those of the whole team. So the only evidence is
time: a job that the submission made was made in its window, which begins with its intent and ends when a request that
was cut off cannot be inside the server any more. Where the window has no job but known ones, nothing was accepted.

Jobs are dated by another clock than intents. Our own jobs in the list show how far the two are apart: we know when each
was accepted. The windows are widened by that difference; where no job of ours shows it, by the largest one that is
plausible, so that the submission is held. A job of another type or model than the submission's is not its.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Self

import attrs

from pyannote_voiceprint_async.enrollment.ledger.recordings import UnresolvedSubmission

__all__ = ["SETTLING_SECONDS", "Offset", "OwnJob", "UnknownJob", "Verdict", "Window", "decide", "measure", "windows_of"]

SETTLING_SECONDS = 30.0
"""For so long after `Timeouts.total` a request that was cut off may still be inside the server."""
_SLACK = 5.0
"""An answer's `Date` is as old as its way; the server's own machines differ a little."""
_LISTED_FOR = 24 * 3600.0
"""Nobody promises that jobs are listed for longer than their outputs are kept."""
_UNMEASURED = 15 * 3600.0
"""How far clocks may be apart where nothing shows it: a time without its zone (up to 14 hours), and an hour of skew."""
_OTHER_TYPES = frozenset({"diarize", "diarization", "identify", "identification"})
"""Types of jobs that are not voiceprints, where no listed job of ours shows what the list calls those."""
_MODEL = re.compile(r"precision-\d+")
"""The API's own names of models: two different ones are two models."""


class UnknownJob(NamedTuple):
    """A job of the team that no ledger of ours knows."""

    job_id: str
    created_at: float | None
    """UTC epoch seconds; None could be any time."""
    type: str | None = None
    """Its type, where the list has it."""
    model: str | None = None
    """Its model, where the list has it."""


class OwnJob(NamedTuple):
    """A job of ours, as the list shows it, and as we know it."""

    created_at: float | None
    """UTC epoch seconds, by the API's clock."""
    accepted_at: float | None
    """UTC epoch seconds, by this machine's clock."""
    submitted_model: str | None
    """The model that we submitted it with."""
    type: str | None = None
    """Its type in the list."""
    model: str | None = None
    """Its model in the list."""


class Offset(NamedTuple):
    """How far the clock of `createdAt` may be ahead of the clocks that intents are written by, in seconds."""

    earliest: float
    latest: float
    is_measured: bool = True


_NO_OFFSET = Offset(0.0, 0.0)


def measure(ours: Iterable[OwnJob], total: float) -> Offset:
    """Measure the offset from our own jobs.

    Args:
        ours: listed jobs of ours.
        total: seconds for which one submission may be on its way (`Timeouts.total`): a job was made up to so long
            before we knew of it.
    """
    ahead = [
        job.created_at - job.accepted_at for job in ours if job.created_at is not None and job.accepted_at is not None
    ]
    return Offset(min(ahead), max(ahead) + total) if ahead else Offset(-_UNMEASURED, _UNMEASURED, is_measured=False)


class Window(NamedTuple):
    """When a job that belongs to an intent was made, by the server's clock."""

    begins: float
    ends: float

    def has(self, job: UnknownJob) -> bool:
        """Whether this job may be the one."""
        return job.created_at is None or self.begins <= job.created_at <= self.ends


@attrs.frozen
class Verdict:
    """What is known now."""

    unsent: Sequence[int]
    """Nothing was accepted of these."""
    held: Sequence[int]
    """Something may have been accepted of these."""
    adoptable: Mapping[int, str]
    """Those among them with exactly one unknown job in their window, which lies in no other window."""
    unknown: Sequence[UnknownJob]
    """The unknown jobs in the windows."""


def windows_of(intents: Iterable[tuple[float, float]], patience: float, offset: Offset = _NO_OFFSET) -> list[Window]:
    """Return the windows of intents, each written between two moments.

    Args:
        intents: earliest and latest moment of each.
        patience: seconds for which a request may be inside the server (`Timeouts.total` and `SETTLING_SECONDS`).
        offset: how far the clocks are apart. It widens the windows, and never moves them: which clock was right when
            an intent was written is not known.
    """
    early, late = min(offset.earliest, 0.0), max(offset.latest, 0.0)
    return [Window(earliest + early - _SLACK, latest + late + patience + _SLACK) for earliest, latest in intents]


def decide(  # noqa: PLR0913 - all that is known, by keyword where it could be mixed up
    unresolved: Sequence[UnresolvedSubmission],
    given_up: Iterable[tuple[float, float]],
    jobs: Sequence[UnknownJob],
    *,
    patience: float,
    listed_since: float | None,
    now: float,
    offset: Offset = _NO_OFFSET,
    ours: Sequence[OwnJob] = (),
) -> Verdict:
    """Decide about submissions whose windows are over, while none is in flight.

    Args:
        unresolved: the submissions.
        given_up: intents whose outcome will never be known; a job in their windows may be theirs.
        jobs: the unknown jobs of the team.
        patience: see `windows_of`.
        listed_since: when the oldest job of the list was made; None where the list went back to its end.
        now: the time.
        offset: see `windows_of`.
        ours: our own jobs of the list: they show how it spells types and models.
    """
    intents = [(one.intended_from, one.intended_until) for one in unresolved]
    windows = windows_of(intents, patience, offset)
    others = windows_of(given_up, patience, offset)
    spelling = _Spelling.of(ours)
    candidates = {
        one.id: [job for job in jobs if window.has(job) and spelling.may_be(job, one.model)]
        for one, window in zip(unresolved, windows, strict=True)
    }
    claims = Counter(job.job_id for inside in candidates.values() for job in inside)
    unsent, held, adoptable = [], [], {}
    for one, window, precise in zip(unresolved, windows, _precise(intents, patience, offset), strict=True):
        inside = candidates[one.id]
        if not inside and _is_seen(window, listed_since, now):
            unsent.append(one.id)
            continue
        held.append(one.id)
        match inside:
            case [job] if precise.has(job) and claims[job.job_id] == 1 and not any(o.has(job) for o in others):
                adoptable[one.id] = job.job_id
    unknown = {job.job_id: job for inside in candidates.values() for job in inside}
    return Verdict(unsent, held, adoptable, list(unknown.values()))


def _precise(intents: Iterable[tuple[float, float]], patience: float, offset: Offset) -> list[Window]:
    """Return the windows that a job must be in to be adopted: moved by a measured offset, not widened by it."""
    early, late = (offset.earliest, offset.latest) if offset.is_measured else (0.0, 0.0)
    return [Window(earliest + early - _SLACK, latest + late + patience + _SLACK) for earliest, latest in intents]


@attrs.frozen
class _Spelling:
    """How the list writes the type and the models of our own jobs."""

    types: frozenset[str]
    models: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, ours: Sequence[OwnJob]) -> Self:
        models: dict[str, set[str]] = {}
        for job in ours:
            if job.submitted_model is not None and job.model is not None:
                models.setdefault(job.submitted_model, set()).add(job.model)
        return cls(
            frozenset(job.type for job in ours if job.type is not None),
            {model: frozenset(listed) for model, listed in models.items()},
        )

    def may_be(self, job: UnknownJob, model: str) -> bool:
        """Return whether a job may be a voiceprint by this model. What the list does not have excludes nothing."""
        return self._type_fits(job.type) and self._model_fits(job.model, model)

    def _type_fits(self, listed: str | None) -> bool:
        if listed is None:
            return True
        return listed in self.types if self.types else listed.casefold() not in _OTHER_TYPES

    def _model_fits(self, listed: str | None, model: str) -> bool:
        if listed is None:
            return True
        if model in self.models:
            return listed in self.models[model]
        return listed == model or not (_MODEL.fullmatch(listed) and _MODEL.fullmatch(model))


def _is_seen(window: Window, listed_since: float | None, now: float) -> bool:
    """Whether the list shows all jobs of the window: it goes back beyond it, or is too young to have lost any."""
    if listed_since is not None and listed_since < window.begins:
        return True
    return now - window.begins < _LISTED_FOR
