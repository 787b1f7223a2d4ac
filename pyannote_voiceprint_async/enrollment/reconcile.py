"""What became of submissions whose outcome nobody knows: a pure decision.

A job does not say which URL it was made from, and the list of jobs has those of the whole team. So the only evidence is
time: a job that the submission made was made in its window, which begins with its intent and ends when a request that
was cut off cannot be inside the server any more. Where the window has no job but known ones, nothing was accepted.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import attrs

from .ledger import Unresolved

__all__ = ["SETTLING_SECONDS", "UnknownJob", "Verdict", "Window", "decide", "windows_of"]

SETTLING_SECONDS = 30.0
"""For so long after `Timeouts.total` a request that was cut off may still be inside the server."""
_SLACK = 5.0
"""An answer's `Date` is as old as its way; the server's own machines differ a little."""
_LISTED_FOR = 24 * 3600.0
"""Nobody promises that jobs are listed for longer than their outputs are kept."""


class UnknownJob(NamedTuple):
    """A job of the team that no ledger of ours knows."""

    job_id: str
    created_at: float | None
    """UTC epoch seconds; None could be any time."""


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


def windows_of(intents: Iterable[tuple[float, float]], patience: float) -> list[Window]:
    """Give the windows of intents, each written between two moments of the server's clock.

    Args:
        intents: earliest and latest moment of each.
        patience: seconds for which a request may be inside the server (`Timeouts.total` and `SETTLING_SECONDS`).
    """
    return [Window(earliest - _SLACK, latest + patience + _SLACK) for earliest, latest in intents]


def decide(  # noqa: PLR0913 - all that is known, by keyword where it could be mixed up
    unresolved: Sequence[Unresolved],
    given_up: Iterable[tuple[float, float]],
    jobs: Iterable[UnknownJob],
    *,
    patience: float,
    listed_since: float | None,
    now: float,
) -> Verdict:
    """Decide about submissions whose windows are over, while none is in flight.

    Args:
        unresolved: the submissions.
        given_up: intents whose outcome will never be known; a job in their windows may be theirs.
        jobs: the unknown jobs of the team.
        patience: see `windows_of`.
        listed_since: when the oldest job of the list was made; None where the list went back to its end.
        now: the server's time.
    """
    windows = windows_of(((one.intended_from, one.intended_until) for one in unresolved), patience)
    others = windows_of(given_up, patience)
    unknown = [job for job in jobs if any(window.has(job) for window in windows)]
    claims = {job.job_id: sum(window.has(job) for window in [*windows, *others]) for job in unknown}
    unsent, held, adoptable = [], [], {}
    for one, window in zip(unresolved, windows, strict=True):
        inside = [job for job in unknown if window.has(job)]
        if not inside and _is_seen(window, listed_since, now):
            unsent.append(one.id)
            continue
        held.append(one.id)
        if len(inside) == 1 and claims[inside[0].job_id] == 1:
            adoptable[one.id] = inside[0].job_id
    return Verdict(unsent, held, adoptable, unknown)


def _is_seen(window: Window, listed_since: float | None, now: float) -> bool:
    """Whether the list shows all jobs of the window: it goes back beyond it, or is too young to have lost any."""
    if listed_since is not None and listed_since < window.begins:
        return True
    return now - window.begins < _LISTED_FOR
