"""What a run will do and what it will cost: the result of a dry run, and the first lines of the run itself."""

from collections.abc import Sequence
from typing import Any

import attrs

from pyannote_voiceprint_async.api.endpoints import DEFAULT_LIMITS
from pyannote_voiceprint_async.errors import Problem
from pyannote_voiceprint_async.settings import RateLimit

__all__ = ["DEFAULT_PRICE", "RowWarning", "RunPlan", "join_warnings", "split_warnings"]

DEFAULT_PRICE = 0.015
"""The price of a voiceprint in EUR: an estimate from public documentation and programs, as of October 2026.

The plan page of the dashboard has the price of an account: https://docs.pyannote.ai/administration/billing
"""

_DOCUMENTED_LIMIT = RateLimit(DEFAULT_LIMITS["submissions"])


@attrs.frozen
class RowWarning:
    """The check of a recording found something that does not prevent its enrollment, such as low volume.

    Emitted once for each row, after the list is read; for the first thousand rows of a long list.
    """

    label: str
    """The row."""
    message: str
    """What was found and what to do. It begins in lower case, to be printed after the label. A message about the whole
    list, for example about skipped files, is a complete sentence in the warning of the first row."""


_SEPARATOR = ". Also: "


def join_warnings(warnings: Sequence[str]) -> str:
    """Return the message of a `RowWarning` for one or more warnings."""
    return _SEPARATOR.join([*(warning.removesuffix(".") for warning in warnings[:-1]), *warnings[-1:]])


def split_warnings(message: str) -> list[str]:
    """Return the warnings in the message of a `RowWarning`. All but the last one are without their final period."""
    return message.split(_SEPARATOR)


@attrs.frozen
class RunPlan:
    """What a run would do, provided that no job fails. Counts are rows, unless they are called jobs or uploads."""

    rows: int = 0
    """All rows of the list, without those that would be left out."""
    succeeded: int = 0
    """Rows that already have their voiceprint."""
    submitted: int = 0
    """Rows with an accepted job that the run would wait for."""
    overdue: int = 0
    """Rows among them whose job was accepted more than 24 hours ago: their results have probably expired."""
    unresolved: int = 0
    """Rows of unknown outcome, which the run would resolve first. Only the API knows whether they were accepted, so
    they are not promised a voiceprint."""
    resubmitted: int = 0
    """Rows of unknown outcome that would be submitted again (`on_unknown="resubmit"`), possibly billed twice."""
    failed: int = 0
    """Rows that failed and would not be retried."""
    expired: int = 0
    """Rows that were billed, whose result expired, and that would not be resubmitted."""
    expiring: int = 0
    """Rows that would fail because their presigned URL has expired, or would expire before its turn; not billed."""
    invalid: int = 0
    """Invalid rows, which would be left out."""
    forgotten: int = 0
    """Rows that were erased, which would be left out."""
    replaced: int = 0
    """Rows with another recording than in an earlier list, which was billed."""
    left: int = 0
    """Rows that `max_jobs` would leave to a later run."""
    jobs: int = 0
    """Jobs that would be submitted and billed."""
    possible_jobs: int = 0
    """Further jobs, if rows of unknown outcome turn out not to be accepted."""
    new_jobs: int = 0
    """Jobs of this list beyond those of lists that were begun before: what a person has not agreed to yet."""
    uploads: int = 0
    """Jobs that need an upload of a local file."""
    seconds: float = 0.0
    """The shortest time for the submissions that the rate limit allows, in seconds."""
    limit: RateLimit = _DOCUMENTED_LIMIT
    """The rate limit of submissions that `seconds` follows from."""
    price: float = DEFAULT_PRICE
    """The price of a job in EUR."""
    warnings: tuple[RowWarning, ...] = ()
    """The warnings about recordings; the first thousand."""
    problems: tuple[Problem, ...] = ()
    """The problems of the rows that would be left out; the first thousand."""

    @property
    def cost(self) -> float:
        """The cost of the jobs in EUR, without `possible_jobs`."""
        return self.jobs * self.price

    @property
    def is_complete(self) -> bool:
        """Whether each row would have its voiceprint, provided that no job fails: the run then ends with success."""
        missing = self.failed + self.expired + self.expiring + self.overdue + self.unresolved
        return not (self.invalid or missing or self.left)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return attrs.asdict(self) | {"cost": round(self.cost, 6)}
