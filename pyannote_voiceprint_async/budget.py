"""One budget of the API: a sliding window of places, seen from the client's side. Pure; fed with `now`."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable

from .errors import VoiceprintError
from .line import Line, Stage
from .settings import RateLimit

__all__ = ["Budget", "Turn"]

# Places that come back within this part of a window come back together, with the last of them: the memory of
# a budget is bounded, however large its limit is.
_BUCKETS = 1000


class Turn:
    """One request's turn: its number in line, and what it holds.

    Args:
        budget: the budget that it draws on.
        number: its number in line; lower goes first.
        notify: called without argument when the turn is granted, with an error when it is dismissed.
    """

    __slots__ = ("budget", "notify", "number", "seen", "stage")

    def __init__(self, budget: Budget, number: int, notify: Callable[[VoiceprintError | None], None]) -> None:
        self.budget = budget
        self.number = number
        self.notify = notify
        self.stage = Stage.WAITS_FOR_PLACE
        self.seen = 0

    def __lt__(self, other: Turn) -> bool:
        return self.number < other.number


class Budget:
    """`limit` places for `per` seconds each.

    A place is given back `per` seconds after its answer arrived. The server saw the request no later than
    that, so its own window, sliding or fixed, holds no request whose place was given back.

    Args:
        default: the documented limit, which the server's word replaces.
        ceiling: the user's own limit, which the server's word only lowers.
    """

    def __init__(self, default: int, ceiling: RateLimit | None = None) -> None:
        self.limit = ceiling.limit if ceiling else default
        self.per = ceiling.per if ceiling else 60.0
        self.line: Line[Turn] = Line(Stage.WAITS_FOR_PLACE)
        self.paused_until = float("-inf")
        self.refusals = 0
        self._ceiling = ceiling.limit if ceiling else None
        # One goes first: at the start (it teaches the limit), and after each refusal.
        self._one_goes_first = True
        self._first: Turn | None = None
        self._held = 0
        self._cooling: deque[list[float]] = deque()  # [comes back at, how many], in order of time
        self._cooling_late: list[float] = []  # a heap: requests whose answer never came
        self._cooling_count = 0
        self._ever_taken = 0

    @property
    def in_use(self) -> int:
        """Places that are held by requests under way, or still cooling."""
        return self._held + self._cooling_count

    def may_take(self, now: float) -> bool:
        """Whether a place is free for the next in line."""
        self._give_back(now)
        return (
            self._held + self._cooling_count < self.limit
            and now >= self.paused_until
            and not (self._one_goes_first and self._first is not None)
        )

    def take(self, turn: Turn) -> None:
        """Hold a place for this turn."""
        self._held += 1
        self._ever_taken += 1
        turn.seen = self._held + self._cooling_count - self._ever_taken
        if self._one_goes_first:
            self._first = turn

    def untake(self, turn: Turn) -> None:
        """Give a place back at once: its request never reached the server."""
        self._held -= 1
        self._forget_first(turn)

    def refuse(self, turn: Turn, until: float) -> None:
        """Take a refusal (429): nobody goes before `until`, and then one first. The place was not used."""
        if turn is self._first or not self._one_goes_first:
            # One refusal, however many requests of a burst tell of it.
            self.refusals += 1
        self._held -= 1
        self._first = None
        self._one_goes_first = True
        self.paused_until = max(self.paused_until, until)

    def cool(self, turn: Turn, now: float) -> None:
        """Give a place back `per` seconds after its answer arrived, which is now."""
        self._held -= 1
        self._cool(now, 1)
        if turn is self._first:
            self._one_goes_first = False
            self._first = None
        if not self._one_goes_first:
            self.refusals = 0

    def cool_after(self, turn: Turn, when: float) -> None:
        """Give a place back `per` seconds after `when`, the last moment at which the server may see it."""
        self._held -= 1
        self._forget_first(turn)
        heapq.heappush(self._cooling_late, when + self.per)
        self._cooling_count += 1

    def learn(self, turn: Turn, now: float, limit: int | None, remaining: int | None) -> None:
        """Take the server's word: its limit, and the places that others of the same key have taken.

        When the server counts more requests than we can have sent, the others' places are as good as taken.
        `turn.seen` bounds what is ours: what was in use when this turn took its place, and all taken since.
        """
        if limit is None:
            return
        self.limit = limit if self._ceiling is None else min(limit, self._ceiling)
        if remaining is None:
            return
        others = min(limit - remaining - (turn.seen + self._ever_taken), self.limit)
        if others > 0:
            self._cool(now, others)
            self._ever_taken += others

    def opens_at(self, now: float) -> float | None:
        """Say when `may_take` can first be true by the passing of time alone; None if an answer must come."""
        if self._waits_for_first():
            return None
        if self.in_use < self.limit:
            return max(now, self.paused_until)
        returns = [self._cooling[0][0]] if self._cooling else []
        returns += self._cooling_late[:1]
        return max(min(returns), self.paused_until) if returns else None

    def expected_wait(self, position: int, now: float) -> float:
        """Estimate the seconds until the `position`-th in line (from 1) has a place."""
        self._give_back(now)
        # During a pause the line stands still, whatever comes back.
        start = max(now, self.paused_until)
        missing = position - (self.limit - self.in_use)
        if missing <= 0:
            return start - now
        rounds, missing = divmod(missing - 1, self.limit)
        when = start + self.per
        returns = [*self._cooling, *([late, 1] for late in self._cooling_late), [when, self._held]]
        for comes_back, count in sorted(returns):
            missing -= int(count)
            if missing < 0:
                when = max(start, comes_back)
                break
        return when + rounds * self.per - now

    def _waits_for_first(self) -> bool:
        return self._one_goes_first and self._first is not None

    def _forget_first(self, turn: Turn) -> None:
        if turn is self._first:
            self._first = None

    def _cool(self, now: float, count: int) -> None:
        when = now + self.per
        if not self._cooling or self._cooling[-1][0] < when:
            self._cooling.append([when + self.per / _BUCKETS, 0])
        self._cooling[-1][1] += count
        self._cooling_count += count

    def _give_back(self, now: float) -> None:
        while self._cooling and self._cooling[0][0] <= now:
            self._cooling_count -= int(self._cooling.popleft()[1])
        while self._cooling_late and self._cooling_late[0] <= now:
            heapq.heappop(self._cooling_late)
            self._cooling_count -= 1
