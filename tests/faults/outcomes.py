"""The outcomes that a call may have, and the number of its requests."""

import asyncio
from typing import Any

import attrs

from pyannote_voiceprint_async import JobCreated, JobStatus, VoiceprintError


@attrs.frozen
class Outcome:
    """What a caller gets. `str()` is its text in the table."""

    kind: str
    """The class of the result or of the error."""
    retryable: bool = False
    outcome_unknown: bool = False
    tries: int | None = attrs.field(default=1, eq=False)
    """The number of requests of such a call; None if it is random."""
    met: int | None = attrs.field(default=None, eq=False)
    """The number of these requests that meet the fault; None for all."""

    @property
    def least_met(self) -> int:
        """The minimum number of requests that meet the fault."""
        return (self.tries or 0) if self.met is None else self.met

    def __str__(self) -> str:
        flags = {"retryable": self.retryable, "outcome unknown": self.outcome_unknown}
        return ", ".join([self.kind, *(name for name, is_set in flags.items() if is_set)])

    @classmethod
    def of(cls, ended: Any) -> "Outcome":
        """Return the outcome of a call.

        Args:
            ended: the result or the exception of the call.
        """
        if isinstance(ended, VoiceprintError):
            return cls(type(ended).__name__, ended.retryable, ended.outcome_unknown)
        # A job that was just accepted must never appear to be finished, even if its status was garbled.
        is_odd = isinstance(ended, JobCreated) and ended.status not in {JobStatus.PENDING, JobStatus.CREATED}
        return cls(type(ended).__name__ + " of an odd status" * is_odd)


def unknown(kind: type[VoiceprintError]) -> Outcome:
    """Return an error that is raised at once, because a job may have been accepted."""
    return Outcome(kind.__name__, outcome_unknown=True)


def repeated(kind: type[VoiceprintError]) -> Outcome:
    """Return a retryable error that is raised after the second and last try."""
    return Outcome(kind.__name__, retryable=True, tries=2)


def final(kind: type[VoiceprintError], tries: int = 1) -> Outcome:
    """Return an error that is raised at once, because another try would fail in the same way."""
    return Outcome(kind.__name__, tries=tries)


def later(outcome: Outcome) -> Outcome:
    """Return the same outcome, after a first try that met the fault."""
    return attrs.evolve(outcome, tries=2, met=1)


def by_chance(outcome: Outcome) -> Outcome:
    """Return the same outcome, after a random number of requests."""
    return attrs.evolve(outcome, tries=None, met=0)


ACCEPTED = Outcome("JobCreated")
READ = Outcome("Job")
ENROLLED = Outcome("Voiceprint", tries=None, met=0)
IDENTIFIED = Outcome("Identification", tries=None, met=0)
CANCELLED = Outcome(asyncio.CancelledError.__name__)
