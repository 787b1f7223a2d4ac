"""One budget of the API: a sliding window of places, seen from the client's side. Pure; fed with `now`."""

from __future__ import annotations

import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator

from pyannote_voiceprint_async.errors import VoiceprintError
from pyannote_voiceprint_async.settings import RateLimit

from .wait_queue import PermitState, WaitQueue

__all__ = ["PermitRequest", "RateLimitWindow"]

# Places that come back within this part of a window come back together, with the last of them: the memory of
# a budget is bounded, however large its limit is.
_BUCKETS = 1000
# No header stops a client for ever: every pause ends in one probe, however long the server asks for.
_LONGEST_PAUSE = 600.0
# A longer pause is worth a warning.
_LONG_PAUSE = 10.0


class PermitRequest:
    """One request's turn: its number in line, what it holds, and how long it may wait.

    Args:
        budget: the budget that it draws on.
        number: its number in line; lower goes first.
        notify: called without argument when the turn is granted, with an error when it is dismissed.
        asked_at: when it joined the line.
        max_queue_wait: seconds that it may wait in line.
        max_elapsed: seconds for which the server may refuse it, from the first 429 in a row.
    """

    __slots__ = (
        "asked_at",
        "budget",
        "expected_wait",
        "granted_at",
        "max_elapsed",
        "notify",
        "number",
        "queued_until",
        "seen",
        "stage",
    )

    granted_at: float
    """When it was granted last."""
    seen: int
    """What `RateLimitWindow.learn` compares the server's count with."""

    def __init__(  # noqa: PLR0913, PLR0917 - made in one place, `RateLimiter.ask`
        self,
        budget: RateLimitWindow,
        number: int,
        notify: Callable[[VoiceprintError | None], None],
        asked_at: float = 0.0,
        max_queue_wait: float = math.inf,
        max_elapsed: float = math.inf,
    ) -> None:
        self.budget = budget
        self.number = number
        self.notify = notify
        self.asked_at = asked_at
        self.queued_until = asked_at + max_queue_wait
        """When it may no longer wait in line; the time of a request that was refused does not count."""
        self.max_elapsed = max_elapsed
        self.expected_wait: float | None = None
        """The expected wait that was too long for it."""
        self.stage = PermitState.WAITS_FOR_PLACE

    def __lt__(self, other: PermitRequest) -> bool:
        return self.number < other.number


class Cooling:
    """Places that come back at known times, in order of time.

    Args:
        step: places that come back within so many seconds come back together.
    """

    __slots__ = ("count", "entries", "step")

    def __init__(self, step: float) -> None:
        self.count = 0
        self.entries: deque[list[float]] = deque()  # [comes back at, how many]
        self.step = step

    def add(self, when: float, count: int) -> None:
        """Add places that come back then; no earlier than those before."""
        if not self.entries or self.entries[-1][0] < when:
            self.entries.append([when + self.step, 0])
        self.entries[-1][1] += count
        self.count += count

    def give_back(self, now: float) -> None:
        """Drop the places that have come back."""
        while self.entries and self.entries[0][0] <= now:
            self.count -= int(self.entries.popleft()[1])

    def first(self, count: int) -> Iterator[tuple[float, int]]:
        """Yield when the first `count` places come back, and how many of them together."""
        for when, places in self.entries:
            if count <= 0:
                return
            yield when, min(count, int(places))
            count -= int(places)


class RateLimitWindow:
    """`limit` places for `per` seconds each.

    A place is given back `per` seconds after its answer arrived. The server saw the request no later than
    that, so its own window, sliding or fixed, holds no request whose place was given back.

    Requests of other programs take places only where they exceed what the server allows beyond `limit`. With a
    ceiling of 12 where the server allows 100, the others may have 88.

    Args:
        default: the documented limit, which the server's word replaces.
        ceiling: the user's own limit, which the server's word only lowers.
    """

    def __init__(self, default: int, ceiling: RateLimit | None = None) -> None:
        self.limit = ceiling.limit if ceiling else default
        self.per = ceiling.per if ceiling else 60.0
        self.line: WaitQueue[PermitRequest] = WaitQueue(PermitState.WAITS_FOR_PLACE)
        self.paused_until = -math.inf
        self.refusals = 0
        self.refused_since = -math.inf
        """When the first refusal in a row arrived."""
        self._ceiling = ceiling.limit if ceiling else None
        # One goes first: at the start (it teaches the limit), and after each refusal.
        self._one_goes_first = True
        self._first: PermitRequest | None = None
        self._held = 0
        self._cooling = Cooling(self.per / _BUCKETS)
        self._cooling_late: list[float] = []  # a heap: requests whose answer never came
        self._others = Cooling(self.per / _BUCKETS)
        self._told_limit: int | None = None
        self._spare = 0  # what the server allows beyond our own limit
        self._crowd = 0  # requests of others that exceed it, and so take our places
        self._ever_taken = 0
        self._pause_began = -math.inf

    @property
    def in_use(self) -> int:
        """Places that are held by requests under way, still cooling, or taken by others."""
        return self._held + self._cooling.count + len(self._cooling_late) + self._crowd

    def may_take(self, now: float) -> bool:
        """Whether a place is free for the next in line."""
        self._give_back(now)
        return (
            self._held + self._cooling.count + len(self._cooling_late) + self._crowd < self.limit
            and now >= self.paused_until
            and not (self._one_goes_first and self._first is not None)
        )

    def take(self, turn: PermitRequest) -> None:
        """Hold a place for this turn."""
        self._held += 1
        self._ever_taken += 1
        known = self._held + self._cooling.count + len(self._cooling_late) + self._others.count
        turn.seen = known - self._ever_taken
        if self._one_goes_first:
            self._first = turn

    def untake(self, turn: PermitRequest) -> None:
        """Give a place back at once: its request never reached the server."""
        self._held -= 1
        self._forget_first(turn)

    def refuse(self, turn: PermitRequest, now: float, wait: float) -> bool:
        """Take a refusal (429): nobody goes for `wait` seconds, and then one first. The place was not used.

        The pause ends after ten minutes at the latest. Return whether this refusal makes it a long one: that is worth
        one warning, however many requests of a burst are refused.
        """
        was_long = self._pause_is_long()
        if turn is self._first or not self._one_goes_first:
            # One refusal, however many requests of a burst tell of it.
            self.refusals += 1
            self._pause_began = now
            was_long = False
            if self.refusals == 1:
                self.refused_since = now
        self._held -= 1
        self._first = None
        self._one_goes_first = True
        self.paused_until = max(self.paused_until, now + min(wait, _LONGEST_PAUSE))
        return self._pause_is_long() and not was_long

    def cool(self, turn: PermitRequest, now: float) -> None:
        """Give a place back `per` seconds after its answer arrived, which is now."""
        self._held -= 1
        self._cooling.add(now + self.per, 1)
        if turn is self._first:
            self._one_goes_first = False
            self._first = None
        if not self._one_goes_first:
            self.refusals = 0

    def cool_after(self, turn: PermitRequest, when: float) -> None:
        """Give a place back `per` seconds after `when`, the last moment at which the server may see it."""
        self._held -= 1
        self._forget_first(turn)
        heapq.heappush(self._cooling_late, when + self.per)

    def learn(self, turn: PermitRequest, now: float, limit: int | None, remaining: int | None) -> bool:
        """Take the server's word: its limit, and the places that others of the same key have taken.

        When the server counts more requests than we can have sent, the others have sent the rest.
        `turn.seen` bounds what is known: what was in use when this turn took its place, and all taken since.

        Return whether there are fewer places for us than before.
        """
        if limit is None:
            return False
        others = 0 if remaining is None else limit - remaining - (turn.seen + self._ever_taken)
        if others <= 0 and limit == self._told_limit:
            return False  # as nearly always
        before = self.limit - self._crowd
        self.limit = limit if self._ceiling is None else min(limit, self._ceiling)
        self._told_limit, self._spare = limit, limit - self.limit
        if others > 0:
            self._others.add(now + self.per, others)
            self._ever_taken += others
        self._crowd = max(0, self._others.count - self._spare)
        return self.limit - self._crowd < before

    def opens_at(self, now: float) -> float | None:
        """Say when `may_take` can first be true by the passing of time alone; None if an answer must come."""
        if self._waits_for_first():
            return None
        if self.in_use < self.limit:
            return max(now, self.paused_until)
        returns = [when for cooling in (self._cooling, self._others) for when, _ in cooling.first(1)]
        returns += self._cooling_late[:1]
        return max(min(returns), self.paused_until) if returns else None

    def expected_wait(self, position: int, now: float) -> float:
        """Estimate the seconds until the `position`-th in line (from 1) has a place."""
        self._give_back(now)
        if position <= self.limit - self.in_use:
            return max(0.0, self.paused_until - now)
        rounds, before = divmod(position - 1, self.limit)
        places = self._round(now)
        totals = itertools.accumulate(count for _, count in places)
        when = next(when for (when, _), total in zip(places, totals, strict=True) if total > before)
        return when + rounds * self.per - now

    def expected_waits(self, now: float) -> Iterator[float]:
        """Estimate the seconds until the first in line has a place, then the second, and so on without end."""
        self._give_back(now)
        places = self._round(now)
        for number in itertools.count():
            for when, count in places:
                yield from itertools.repeat(when + number * self.per - now, count)

    def _round(self, now: float) -> list[tuple[float, int]]:
        """Return when each of the `limit` places is free, and how many are together; they come again every `per`."""
        # During a pause the line stands still, whatever comes back.
        start = max(now, self.paused_until)
        returns = [
            *self._cooling.first(self._cooling.count),
            *((late, 1) for late in self._cooling_late),
            *self._others.first(self._crowd),
            (start + self.per, self._held),
        ]
        places = [(start, max(0, self.limit - self.in_use))]
        # While a lowered limit is overdrawn, the first that come back are no places.
        overdrawn = max(0, self.in_use - self.limit)
        for when, count in sorted(returns):
            lost = min(count, overdrawn)
            overdrawn -= lost
            places.append((max(start, when), count - lost))
        return [(when, count) for when, count in places if count > 0]

    def _pause_is_long(self) -> bool:
        return self.paused_until - self._pause_began > _LONG_PAUSE

    def _waits_for_first(self) -> bool:
        return self._one_goes_first and self._first is not None

    def _forget_first(self, turn: PermitRequest) -> None:
        if turn is self._first:
            self._first = None

    def _give_back(self, now: float) -> None:
        if self._cooling.count:
            self._cooling.give_back(now)
        while self._cooling_late and self._cooling_late[0] <= now:
            heapq.heappop(self._cooling_late)
        if self._others.count:
            self._others.give_back(now)
            self._crowd = max(0, self._others.count - self._spare)
