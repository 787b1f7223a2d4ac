"""What to do about refused submissions whose refusal names no fault of the row: a pure decision.

A 404, 409, 413 or redirect may be the fault of one row, or of the API and the network on the way to it. The order of
the refusals and acceptances of all rows shows which. While many rows in a row are refused in the same way, one row is
submitted per pause, and rows that were not refused yet go first: one acceptance shows that the refused rows are at
fault. Without such rows, a few more refusals show the same in a run that had jobs accepted.
"""

from collections import Counter
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from enum import Enum

import attrs

__all__ = ["PROBE_PAUSE", "RefusalAction", "Refusals"]

PROBE_PAUSE = 10.0
"""Seconds between two submissions while every row is refused. Each of these submissions is a probe of the API."""

# After this many refusals of one row, while other rows are accepted, the row is at fault.
_ROW_TRIES = 3
# After this many rows in a row were refused in the same way, all of them are at fault, or none.
_ROWS_IN_A_ROW = 5
# After this many refused probes without rows that were not refused yet, all refused rows are at fault.
_LAST_PROBES = 3
# How long a run with accepted jobs keeps submitting rows that were not refused yet, while all of them are refused.
_STOP_AFTER = 3600.0
_LONGEST_DELAY = 60.0


class RefusalAction(Enum):
    """What to do after a refusal."""

    RETRY = "submit this row again later, and other rows meanwhile"
    FAIL_ROW = "this row is at fault: fail it"
    FAIL_ROWS = "all rows that were refused in this way are at fault: fail them"
    PAUSE = "every row is refused at present: pause, then submit another row"
    STOP = "every row is refused, and nothing shows that any row would be accepted: stop the run"


@attrs.define
class _RefusedRow:
    accepted_before: int
    """Jobs that this run had accepted when the row was refused for the first time."""
    tries: int = 0
    is_at_fault: bool = False


class Refusals:
    """The refusals of one run.

    Args:
        now: returns the seconds of a monotonic clock.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.accepted = 0
        """Jobs accepted in this run."""
        self.accepted_earlier = False
        """Whether an earlier run had jobs accepted: then the base URL and the key are right in principle."""
        self._now = now
        self._rows: dict[int, _RefusedRow] = {}
        self._kinds_in_a_row: dict[int, object] = {}
        """Kinds of the refusals since the last acceptance, by row."""
        self._last_probes: Counter[object] = Counter()
        """Refused probes since the last acceptance, while all rows were refused already, by kind."""
        self._since = 0.0

    def record_acceptance(self, row: int) -> None:
        """Record that a row was accepted."""
        self.accepted += 1
        self._rows.pop(row, None)
        self._kinds_in_a_row.clear()
        self._last_probes.clear()

    def was_refused(self, row: int) -> bool:
        """Return whether a row was refused and not accepted since."""
        return row in self._rows

    def is_at_fault(self, row: int) -> bool:
        """Return whether a row must not be submitted again, because `FAIL_ROWS` was returned for another row."""
        return row in self._rows and self._rows[row].is_at_fault

    def must_step_aside(self, row: int, *, has_others: bool) -> bool:
        """Return whether a refused row must make room for rows that were not refused since the last acceptance.

        Else the refused rows would keep all rows that may be accepted from being read.
        """
        if not has_others or row not in self._kinds_in_a_row:
            return False
        return self._rows[row].tries >= _ROW_TRIES or self.count_kind(self._kinds_in_a_row[row]) >= _ROWS_IN_A_ROW

    def retry_delay(self, row: int) -> float:
        """Return the seconds until a row may be submitted again; 0 for a row that was never refused."""
        refused = self._rows.get(row)
        return 0.0 if refused is None else min(_LONGEST_DELAY, 2.0 ** (refused.tries - 1))

    def count_kind(self, kind: object) -> int:
        """Return how many rows had a refusal of this kind since the last acceptance."""
        return sum(other == kind for other in self._kinds_in_a_row.values())

    def has_others(self, active: AbstractSet[int]) -> bool:
        """Return whether any active row was not refused since the last acceptance."""
        return not active <= self._kinds_in_a_row.keys()

    def record_refusal(self, row: int, kind: object, *, has_others: bool, is_final: bool = False) -> RefusalAction:
        """Record that a row was refused, and return what to do.

        Args:
            row: the number of the row.
            kind: a value that is equal for refusals of the same cause, such as the status.
            has_others: whether there are rows that were not submitted since the last acceptance.
            is_final: whether the refusal stays, however long the run waits.
        """
        if not self._kinds_in_a_row:
            self._since = self._now()
        self._kinds_in_a_row[row] = kind
        refused = self._rows.setdefault(row, _RefusedRow(self.accepted))
        refused.tries += 1
        action = self._action(refused, kind, has_others=has_others, is_final=is_final)
        if action is RefusalAction.FAIL_ROWS:
            self._blame_rows(kind)
        if action in {RefusalAction.FAIL_ROW, RefusalAction.FAIL_ROWS}:
            del self._rows[row]
            self._kinds_in_a_row.pop(row, None)
        return action

    def _action(self, row: _RefusedRow, kind: object, *, has_others: bool, is_final: bool) -> RefusalAction:
        was_tried_enough = row.tries >= _ROW_TRIES
        is_common = self.count_kind(kind) >= _ROWS_IN_A_ROW
        if was_tried_enough and self.accepted > row.accepted_before:
            return RefusalAction.FAIL_ROW
        if is_common and (not self.accepted or is_final):
            return RefusalAction.STOP
        if is_common and not has_others:
            self._last_probes[kind] += 1
            return RefusalAction.FAIL_ROWS if self._last_probes[kind] >= _LAST_PROBES else RefusalAction.PAUSE
        if was_tried_enough and not has_others:
            return RefusalAction.FAIL_ROW if self.accepted or self.accepted_earlier else RefusalAction.STOP
        if is_common or (not self.accepted and len(self._kinds_in_a_row) >= _ROWS_IN_A_ROW):
            return RefusalAction.STOP if self._now() - self._since > _STOP_AFTER else RefusalAction.PAUSE
        return RefusalAction.RETRY

    def _blame_rows(self, kind: object) -> None:
        """Mark all rows that had a refusal of this kind since the last acceptance."""
        for row in [row for row, other in self._kinds_in_a_row.items() if other == kind]:
            self._rows[row].is_at_fault = True
            del self._kinds_in_a_row[row]
