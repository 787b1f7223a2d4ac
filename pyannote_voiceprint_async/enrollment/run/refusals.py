"""Whose fault it is when a submission is refused: the row's, or the API's and the way to it. A pure decision."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from enum import Enum

import attrs

__all__ = ["Blame", "Refusals"]

# A row that is refused so often is refused for a reason of its own, if others are accepted.
_OWN_FAULT = 3
# The same refusal of so many rows in a row is the fault of none of them.
_SEVERAL = 5
# For so long a run that had jobs accepted goes on trying while every submission is refused.
_PATIENCE = 3600.0
_LONGEST_DELAY = 60.0


class Blame(Enum):
    """What to do after a refusal."""

    OPEN = "try this row again later, and others meanwhile"
    ROW = "the row is refused for a reason of its own: fail it"
    PAUSE = "all rows are refused now: pause, then let another row try"
    STOP = "all rows are refused, and nothing shows that any would be accepted: stop"


@attrs.define
class _Row:
    accepted: int
    """Jobs that the run had when this row was first refused."""
    tries: int = 0


class Refusals:
    """Refusals that name no fault of the row (404, 409, 413, a redirect …), and what they mean together.

    Args:
        now: seconds of a clock that never goes back.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.accepted = 0
        """Jobs accepted in this run."""
        self.accepted_before = False
        """Whether an earlier run had jobs accepted: base URL and key are right in principle."""
        self._now = now
        self._rows: dict[int, _Row] = {}
        self._streak: dict[int, object] = {}
        self._since = 0.0

    def accept(self, row: int) -> None:
        """Note that a row was accepted."""
        self.accepted += 1
        self._rows.pop(row, None)
        self._streak.clear()

    def delay(self, row: int) -> float:
        """Return the seconds for which a row is to be held back: none if it was never refused."""
        known = self._rows.get(row)
        return 0.0 if known is None else min(_LONGEST_DELAY, 2.0 ** (known.tries - 1))

    def alike(self, kind: object) -> int:
        """Return how many rows have had this refusal since the last acceptance."""
        return sum(one == kind for one in self._streak.values())

    def others(self, active: AbstractSet[int]) -> bool:
        """Return whether any of the rows that are under way was not refused since the last acceptance."""
        return not active <= self._streak.keys()

    def refuse(self, row: int, kind: object, *, others: bool, is_final: bool = False) -> Blame:
        """Decide about a refusal.

        Args:
            row: the row's number.
            kind: what the refusals of one cause have in common, such as the status.
            others: whether there are rows that were not tried since the last acceptance.
            is_final: a refusal that waiting does not end.
        """
        if not self._streak:
            self._since = self._now()
        self._streak[row] = kind
        known = self._rows.setdefault(row, _Row(self.accepted))
        known.tries += 1
        is_known = known.tries >= _OWN_FAULT
        blame = Blame.OPEN
        if is_known and self.accepted > known.accepted:
            blame = Blame.ROW
        elif self.alike(kind) >= _SEVERAL and (not self.accepted or is_final):
            blame = Blame.STOP
        elif is_known and not others:
            blame = Blame.ROW if self.accepted or self.accepted_before else Blame.STOP
        elif len(self._streak) >= _SEVERAL:
            blame = Blame.STOP if self._now() - self._since > _PATIENCE else Blame.PAUSE
        if blame is Blame.ROW:
            del self._rows[row]
            self._streak.pop(row)
        return blame
