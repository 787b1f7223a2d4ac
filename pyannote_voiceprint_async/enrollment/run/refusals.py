"""What to do after refusals that do not show whether the row is at fault: a pure decision.

A 404, 409, 413 or redirect may be caused by the row, or by the API and the network on the way to it. The refusals and
acceptances of the other rows show which. After several refusals of the same kind without an acceptance between them,
one row is submitted per pause, and rows that were not refused yet go first. If one of these is accepted, the refused
rows are at fault. If no such rows are left, and the run had jobs accepted, a few more refusals show the same.
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
# After this many different rows were refused in the same way, and none was accepted, all of them are at fault, or none.
_COMMON_REFUSALS = 5
# When only refused rows are left, they are at fault after this many refused probes.
_LAST_PROBES = 3
# A run stops when every submission has been refused for this many seconds.
_STOP_AFTER = 3600.0
# The longest delay before a refused row is submitted again, in seconds.
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
        """Whether an earlier run had jobs accepted, which shows that the base URL and the key were right."""
        self._now = now
        self._rows: dict[int, _RefusedRow] = {}
        self._kinds: dict[int, object] = {}
        """The kind of the last refusal of each row since the last acceptance."""
        self._last_probes: Counter[object] = Counter()
        """For each kind, the probes since the last acceptance that were refused when only refused rows were left."""
        self._since = 0.0

    def record_acceptance(self, row: int) -> None:
        """Record that a row was accepted."""
        self.accepted += 1
        self._rows.pop(row, None)
        self._kinds.clear()
        self._last_probes.clear()

    def was_refused(self, row: int) -> bool:
        """Return whether a row was refused, and not accepted afterwards."""
        return row in self._rows

    def is_at_fault(self, row: int) -> bool:
        """Return whether a row must not be submitted again, because `FAIL_ROWS` was returned for another row."""
        return row in self._rows and self._rows[row].is_at_fault

    def must_step_aside(self, row: int, *, has_others: bool) -> bool:
        """Return whether a refused row must make room for rows that were not refused since the last acceptance.

        Otherwise the refused rows would occupy all slots, and no row that may be accepted would be read.
        """
        if not has_others or row not in self._kinds:
            return False
        return self._rows[row].tries >= _ROW_TRIES or self.count_kind(self._kinds[row]) >= _COMMON_REFUSALS

    def retry_delay(self, row: int) -> float:
        """Return the seconds until a row may be submitted again; 0 for a row that was never refused."""
        refused = self._rows.get(row)
        return 0.0 if refused is None else min(_LONGEST_DELAY, 2.0 ** (refused.tries - 1))

    def count_kind(self, kind: object) -> int:
        """Return how many rows had a refusal of this kind since the last acceptance."""
        return sum(other == kind for other in self._kinds.values())

    def has_others(self, active: AbstractSet[int]) -> bool:
        """Return whether any active row was not refused since the last acceptance."""
        return not active <= self._kinds.keys()

    def record_refusal(self, row: int, kind: object, *, has_others: bool, is_final: bool = False) -> RefusalAction:
        """Record that a row was refused, and return what to do.

        Args:
            row: the number of the row.
            kind: a value that is equal for refusals of the same cause, such as the status.
            has_others: whether there are rows that were not submitted since the last acceptance.
            is_final: whether waiting cannot help, as after a 403.
        """
        if not self._kinds:
            self._since = self._now()
        self._kinds[row] = kind
        refused = self._rows.setdefault(row, _RefusedRow(self.accepted))
        refused.tries += 1
        action = self._action(refused, kind, has_others=has_others, is_final=is_final)
        if action is RefusalAction.FAIL_ROWS:
            self._blame_rows(kind)
        if action in {RefusalAction.FAIL_ROW, RefusalAction.FAIL_ROWS}:
            del self._rows[row]
            self._kinds.pop(row, None)
        return action

    def _action(self, row: _RefusedRow, kind: object, *, has_others: bool, is_final: bool) -> RefusalAction:
        was_tried_enough = row.tries >= _ROW_TRIES
        is_common = self.count_kind(kind) >= _COMMON_REFUSALS
        if was_tried_enough and self.accepted > row.accepted_before:
            return RefusalAction.FAIL_ROW
        if is_common and (not self.accepted or is_final):
            return RefusalAction.STOP
        if is_common and not has_others:
            self._last_probes[kind] += 1
            return RefusalAction.FAIL_ROWS if self._last_probes[kind] >= _LAST_PROBES else RefusalAction.PAUSE
        if was_tried_enough and not has_others:
            return RefusalAction.FAIL_ROW if self.accepted or self.accepted_earlier else RefusalAction.STOP
        if is_common or (not self.accepted and len(self._kinds) >= _COMMON_REFUSALS):
            return RefusalAction.STOP if self._now() - self._since > _STOP_AFTER else RefusalAction.PAUSE
        return RefusalAction.RETRY

    def _blame_rows(self, kind: object) -> None:
        """Mark all rows that had a refusal of this kind since the last acceptance."""
        for row in [row for row, other in self._kinds.items() if other == kind]:
            self._rows[row].is_at_fault = True
            del self._kinds[row]
