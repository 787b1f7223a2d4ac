"""How a call may end, and how often its request may leave."""

import asyncio
from typing import Any

import attrs

from pyannote_voiceprint_async import JobCreated, JobStatus, VoiceprintError


@attrs.frozen
class Outcome:
    """What a caller gets. `str` says it in a table."""

    kind: str
    """The class of the answer or of the error."""
    retryable: bool = False
    outcome_unknown: bool = False
    tries: int | None = attrs.field(default=1, eq=False)
    """Requests that such a call makes; None where that is left to chance."""
    met: int | None = attrs.field(default=None, eq=False)
    """Requests of them that meet the fault; None for all of them."""

    @property
    def least_met(self) -> int:
        """Requests that meet the fault, however chance decides."""
        return (self.tries or 0) if self.met is None else self.met

    def __str__(self) -> str:
        flags = {"retryable": self.retryable, "outcome unknown": self.outcome_unknown}
        return ", ".join([self.kind, *(name for name, is_set in flags.items() if is_set)])

    @classmethod
    def of(cls, ended: Any) -> "Outcome":
        """Say how a call ended.

        Args:
            ended: what it gave, or what it raised.
        """
        if isinstance(ended, VoiceprintError):
            return cls(type(ended).__name__, ended.retryable, ended.outcome_unknown)
        # Whatever became of a status on its way, a job that has just been accepted is never said to be over.
        is_odd = isinstance(ended, JobCreated) and ended.status not in {JobStatus.PENDING, JobStatus.CREATED}
        return cls(type(ended).__name__ + " of an odd status" * is_odd)


def unknown(kind: type[VoiceprintError]) -> Outcome:
    """Raised at once, because a job may have been accepted."""
    return Outcome(kind.__name__, outcome_unknown=True)


def repeated(kind: type[VoiceprintError]) -> Outcome:
    """Raised after the second and last try, and a caller may go on."""
    return Outcome(kind.__name__, retryable=True, tries=2)


def final(kind: type[VoiceprintError], tries: int = 1) -> Outcome:
    """Raised at once, because nothing else would come of another try."""
    return Outcome(kind.__name__, tries=tries)


def later(outcome: Outcome) -> Outcome:
    """The same, after a first try that met the fault."""
    return attrs.evolve(outcome, tries=2, met=1)


def by_chance(outcome: Outcome) -> Outcome:
    """The same, after who knows how many requests."""
    return attrs.evolve(outcome, tries=None, met=0)


ACCEPTED = Outcome("JobCreated")
READ = Outcome("VoiceprintJob")
ENROLLED = Outcome("Voiceprint", tries=None, met=0)
CANCELLED = Outcome(asyncio.CancelledError.__name__)
