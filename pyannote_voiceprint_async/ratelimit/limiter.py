"""Who may send now: `max_concurrency` slots for all requests together, and a budget for each operation.

A pure state machine, fed with `now` and with what happened; it neither sleeps nor knows asyncio. A request
takes its place in the budget *before* its slot, so that a budget that is used up blocks no other operation.
First come, first served; who was refused keeps its turn; who leaves while waiting has cost nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from pyannote_voiceprint_async.api.endpoints import DEFAULT_LIMITS
from pyannote_voiceprint_async.api.request_checks import check_count
from pyannote_voiceprint_async.errors import VoiceprintError
from pyannote_voiceprint_async.reprs import safe_repr
from pyannote_voiceprint_async.settings import RateLimits

from .wait_queue import PermitState, WaitQueue
from .window import PermitRequest, RateLimitWindow

__all__ = ["PermitRequest", "RateLimiter"]


@safe_repr
class RateLimiter:
    """The semaphore-bounded rate limiter of one API key.

    Every client makes its own. Clients of one key in one event loop can share one: make it, and hand it to
    each as `throttle=`.

    `in_flight` and `queued` count the requests that have a slot, and those that wait for a place or a slot.

    Args:
        max_concurrency: requests in flight, all operations together.
        rate_limits: the budgets; by default the documented ones.
    """

    def __init__(self, max_concurrency: int = 64, rate_limits: RateLimits = RateLimits()) -> None:
        self.max_concurrency = check_count("max_concurrency", max_concurrency)
        self.in_flight = 0
        self.queued = 0
        # How each client that uses it sets its timer; one that closes wakes the others.
        self.sharers: set[Callable[[], None]] = set()
        self._budgets = {
            name: RateLimitWindow(default, getattr(rate_limits, name)) for name, default in DEFAULT_LIMITS.items()
        }
        self._waiting_for_slot: WaitQueue[PermitRequest] = WaitQueue(PermitState.WAITS_FOR_SLOT)
        self._last_number = 0

    def __repr__(self) -> str:
        return f"<Throttle in_flight={self.in_flight}/{self.max_concurrency} queued={self.queued}>"

    def limit(self, budget: str) -> int:
        """Give the places of a budget as they are known now."""
        return self._budgets[budget].limit

    def expected_wait(self, budget: str, now: float) -> float:
        """Estimate the seconds that one more request of this budget would queue."""
        return self._budgets[budget].expected_wait(len(self._budgets[budget].line) + 1, now)

    def pause_left(self, budget: str, now: float) -> float:
        """Give the seconds for which the server still wants no request of this budget."""
        return max(0.0, self._budgets[budget].paused_until - now)

    def refusals(self, budget: str) -> int:
        """Give how many times in a row the server refused this budget."""
        return self._budgets[budget].refusals

    def ask(
        self,
        budget: str,
        now: float,
        notify: Callable[[VoiceprintError | None], None],
        *,
        max_queue_wait: float = math.inf,
        max_elapsed: float = math.inf,
    ) -> PermitRequest:
        """Stand in line. The turn may be granted at once: look at its `stage`; else `notify` is called.

        Args:
            budget: the budget that it draws on.
            now: the time.
            notify: see `PermitRequest`.
            max_queue_wait: seconds that it may wait in line; see `overdue`.
            max_elapsed: seconds for which the server may refuse it; see `overdue`.
        """
        self._last_number += 1
        turn = PermitRequest(self._budgets[budget], self._last_number, notify, now, max_queue_wait, max_elapsed)
        if not turn.budget.line and self.in_flight < self.max_concurrency and turn.budget.may_take(now):
            turn.budget.take(turn)
            self._grant(turn, now)
        else:
            self.queued += 1
            turn.budget.line.join(turn)
            self.advance(now)
        return turn

    def leave(self, turn: PermitRequest, now: float) -> None:
        """Give back whatever the turn holds: it was canceled, or never sent. Harmless when repeated."""
        stage, turn.stage = turn.stage, PermitState.OVER
        match stage:
            case PermitState.WAITS_FOR_PLACE:
                self.queued -= 1
                turn.budget.line.leave()
            case PermitState.WAITS_FOR_SLOT:
                self.queued -= 1
                turn.budget.untake(turn)
                self._waiting_for_slot.leave()
            case PermitState.GRANTED:
                self.in_flight -= 1
                turn.budget.untake(turn)
        self.advance(now)

    def answered(self, turn: PermitRequest, now: float, limit: int | None = None, remaining: int | None = None) -> bool:
        """Take note of an answer (429s go to `refused`) and of its rate limit headers.

        Return whether those who wait may wait longer for it: then some may be `overdue`.
        """
        budget = turn.budget
        self._finish(turn)
        budget.cool(turn, now)
        has_fewer_places = budget.learn(turn, now, limit, remaining)
        if self.queued:
            if budget.in_use > budget.limit:
                self._back_to_line(budget)
            self.advance(now)
        return has_fewer_places and bool(self.queued)

    def lost(self, turn: PermitRequest, now: float, until: float) -> None:
        """Take note that no answer came, and that the server may see the request `until` then."""
        self._finish(turn)
        turn.budget.cool_after(turn, until)
        self.advance(now)

    def refused(self, turn: PermitRequest, now: float, wait: float, limit: int | None = None) -> bool:
        """Take note of a 429: the budget pauses for `wait` seconds, and the turn stands where it stood.

        Return whether this makes the pause a long one; see `RateLimitWindow.refuse`. Some may be `overdue` then.
        """
        budget = turn.budget
        self._finish(turn)
        turn.queued_until += now - turn.granted_at
        is_long = budget.refuse(turn, now, wait)
        budget.learn(turn, now, limit, None)
        self.queued += 1
        budget.line.join(turn)
        self._back_to_line(budget)
        self.advance(now)
        return is_long

    def overdue(self, budget: str, now: float) -> list[PermitRequest]:
        """Remove the turns of this line that would wait longer than they may, and return them.

        A turn with an `expected_wait` would exceed its `max_queue_wait`. The others would be refused for longer than
        their `max_elapsed`, counted from the first refusal in a row or from when they asked, whichever is later.
        """
        line, late = self._budgets[budget].line, []
        waits = self._budgets[budget].expected_waits(now)
        refused_since, until = self._budgets[budget].refused_since, self._budgets[budget].paused_until
        wait = next(waits)
        for turn in line.in_order():
            if now + wait > turn.queued_until:
                turn.expected_wait = wait
            elif until <= now or until - max(turn.asked_at, refused_since) <= turn.max_elapsed:
                wait = next(waits)
                continue
            self.queued -= 1
            turn.stage = PermitState.OVER
            line.leave()
            late.append(turn)
        return late

    def dismiss(self, budget: str, error: VoiceprintError) -> None:
        """Send everybody home who stands in this line, each with the error."""
        for turn in self._budgets[budget].line.clear():
            self.queued -= 1
            turn.stage = PermitState.OVER
            turn.notify(error)

    def advance(self, now: float) -> None:
        """Give free places and slots to those whose turn it is."""
        if not self.queued:
            return
        for budget in self._budgets.values():
            while budget.line and budget.may_take(now):
                turn = budget.line.pop()
                budget.take(turn)
                self._waiting_for_slot.join(turn)
        while self._waiting_for_slot and self.in_flight < self.max_concurrency:
            turn = self._waiting_for_slot.pop()
            self.queued -= 1
            self._grant(turn, now)
            turn.notify(None)

    def next_at(self, now: float) -> float | None:
        """Say when `advance` should be called though nothing happens; None if only an answer can help."""
        if not self.queued:
            return None
        times = [budget.opens_at(now) for budget in self._budgets.values() if budget.line]
        return min((when for when in times if when is not None), default=None)

    def _back_to_line(self, budget: RateLimitWindow) -> None:
        """Let those that have a place and wait for a slot check again: they must not run into a refusal."""
        placed = self._waiting_for_slot.clear()
        for turn in placed:
            if turn.budget is budget:
                budget.untake(turn)
                budget.line.join(turn)
            else:
                self._waiting_for_slot.join(turn)

    def _grant(self, turn: PermitRequest, now: float) -> None:
        self.in_flight += 1
        turn.stage = PermitState.GRANTED
        turn.granted_at = now

    def _finish(self, turn: PermitRequest) -> None:
        self.in_flight -= 1
        turn.stage = PermitState.OVER
