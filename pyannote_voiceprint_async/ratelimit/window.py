"""The rate-limit window of one operation, as this client sees it."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterator

from pyannote_voiceprint_async.settings import RateLimit

from .permit_request import PermitRequest, PermitState
from .returning_permits import ReturningPermits
from .wait_queue import WaitQueue

__all__ = ["RateLimitWindow"]

# Used permits return in at most this many groups.
_GROUPS = 1000
# A pause ends after this many seconds with one probe, so that no header can stop a client for ever.
_MAX_PAUSE = 600.0
# A pause of more seconds is worth a warning.
_LONG_PAUSE = 10.0


class RateLimitWindow:
    """A sliding window of `limit` permits per `per` seconds. Pure: every method gets the time as `now`.

    A permit returns `per` seconds after its response arrived. The server saw the request no later than that, so its
    own window, sliding or fixed, no longer counts a request whose permit has returned.

    Requests of other programs use our permits only as far as they exceed what the server allows beyond our limit: with
    a ceiling of 12 where the server allows 100, the other programs may use 88.

    Args:
        default: the documented limit, which the limit in a response header replaces.
        ceiling: the user's own limit, which a response header can only lower.
    """

    def __init__(self, default: int, ceiling: RateLimit | None = None) -> None:
        self.limit = ceiling.limit if ceiling else default
        self.per = ceiling.per if ceiling else 60.0
        self._documented = RateLimit(default)
        self.queue = WaitQueue(PermitState.WAITING_FOR_PERMIT)
        """The requests that wait for a permit of this window."""
        self.paused_until = -math.inf
        self.refusals = 0
        """The number of refusals (429) in a row."""
        self.refused_since = -math.inf
        """The time of the first refusal in a row."""
        self._ceiling = ceiling.limit if ceiling else None
        # At the start, and after each refusal, one request goes first: its response shows the limit.
        self._needs_probe = True
        self._probe: PermitRequest | None = None
        self._own = 0  # permits that requests of this client hold, and those that have not returned yet
        self._returning = ReturningPermits(self.per / _GROUPS)
        self._returning_late: list[float] = []  # a heap: permits of requests whose response never arrived
        self._others = ReturningPermits(self.per / _GROUPS)
        self._server_limit: int | None = None
        self._headroom = 0  # requests that the server allows beyond our own limit
        self._taken_by_others = 0  # our permits that requests of other programs use up
        self._total_taken = 0
        self._pause_began = -math.inf

    @property
    def in_use(self) -> int:
        """Permits that are held, that have not returned yet, or that other programs use up."""
        return self._own + self._taken_by_others

    def count_in_use(self, now: float) -> int:
        """Return the permits that are in use now."""
        self._remove_returned(now)
        return self.in_use

    @property
    def own_limit(self) -> int:
        """The limit, without the permits that other programs use up."""
        return self.limit - self._taken_by_others

    @property
    def expected_limit(self) -> RateLimit:
        """The limit to plan with, at least 1. Until a response shows the server's, it is at most the documented one."""
        own = RateLimit(max(1, self.own_limit), self.per)
        if self._server_limit is not None:
            return own
        return min(own, self._documented, key=lambda limit: limit.limit / limit.per)

    def has_permit(self, now: float) -> bool:
        """Return whether the next request may take a permit."""
        self._remove_returned(now)
        return (
            self.in_use < self.limit
            and now >= self.paused_until
            and not (self._needs_probe and self._probe is not None)
        )

    def take(self, request: PermitRequest) -> None:
        """Count a permit as held by this request."""
        self._own += 1
        self._total_taken += 1
        request.use_baseline = self._own + self._others.count - self._total_taken
        if self._needs_probe:
            self._probe = request

    def put_back(self, request: PermitRequest) -> None:
        """Return a permit at once: its request never reached the server."""
        self._own -= 1
        self._forget_probe(request)

    def record_refusal(self, request: PermitRequest, now: float, wait: float) -> bool:
        """Pause for `wait` seconds after a refusal (429), at most ten minutes; then one probe goes first.

        The permit of a refused request returns at once.

        Returns:
            Whether this refusal makes the pause a long one. It is True once for a burst of refusals, so that the burst
            logs one warning.
        """
        was_long = self._is_pause_long()
        if request is self._probe or not self._needs_probe:
            # A burst of refused requests counts as one refusal.
            self.refusals += 1
            self._pause_began = now
            was_long = False
            if self.refusals == 1:
                self.refused_since = now
        self._own -= 1
        self._probe = None
        self._needs_probe = True
        self.paused_until = max(self.paused_until, now + min(wait, _MAX_PAUSE))
        return self._is_pause_long() and not was_long

    def release_after_response(self, request: PermitRequest, now: float) -> None:
        """Schedule the return of a permit `per` seconds from now, when its response arrived."""
        self._returning.add(now + self.per, 1)
        if request is self._probe:
            self._needs_probe = False
            self._probe = None
        if not self._needs_probe:
            self.refusals = 0

    def release_after(self, request: PermitRequest, when: float) -> None:
        """Schedule the return of a permit `per` seconds after `when`, when the server can see its request no more."""
        self._forget_probe(request)
        heapq.heappush(self._returning_late, when + self.per)

    def update_from_headers(self, request: PermitRequest, now: float, limit: int | None, remaining: int | None) -> bool:
        """Apply the rate-limit headers of a response: the limit, and what other programs of the key have used.

        If the server counts more requests than this client can have sent, other programs sent the difference. The most
        that this client can have sent is what was in use when `request` took its permit, and every permit taken since.

        Returns:
            Whether this client has fewer permits than before.
        """
        if limit is None:
            return False
        others = 0 if remaining is None else limit - remaining - (request.use_baseline + self._total_taken)
        if others <= 0 and limit == self._server_limit:
            return False  # nearly every response
        before = self.own_limit
        self.limit = limit if self._ceiling is None else min(limit, self._ceiling)
        self._server_limit, self._headroom = limit, limit - self.limit
        if others > 0:
            self._others.add(now + self.per, others)
            self._total_taken += others
        self._taken_by_others = max(0, self._others.count - self._headroom)
        return self.own_limit < before

    def next_permit_at(self, now: float) -> float | None:
        """Return the earliest time at which `has_permit` can become true without a response, or None."""
        if self._needs_probe and self._probe is not None:
            return None
        if self.in_use < self.limit:
            return max(now, self.paused_until)
        returns = [when for returning in (self._returning, self._others) for when, _ in returning.first(1)]
        returns += self._returning_late[:1]
        return max(min(returns), self.paused_until) if returns else None

    def remaining(self, now: float) -> int:
        """Estimate the permits that no request holds or waits for. During a pause there is none."""
        self._remove_returned(now)
        return 0 if now < self.paused_until else max(0, self.limit - self.in_use - self.queue.length)

    def expected_wait(self, position: int, now: float) -> float:
        """Estimate the seconds until the request at `position` in the queue (from 1) gets a permit."""
        self._remove_returned(now)
        if position <= self.limit - self.in_use:
            return max(0.0, self.paused_until - now)
        rounds, before = divmod(position - 1, self.limit)
        permits = self._permit_times(now)
        totals = itertools.accumulate(count for _, count in permits)
        when = next(when for (when, _), total in zip(permits, totals, strict=True) if total > before)
        return when + rounds * self.per - now

    def expected_waits(self, now: float) -> Iterator[float]:
        """Estimate the seconds until the first request in the queue gets a permit, then the second, without end."""
        self._remove_returned(now)
        permits = self._permit_times(now)
        for rounds in itertools.count():
            for when, count in permits:
                yield from itertools.repeat(when + rounds * self.per - now, count)

    def _permit_times(self, now: float) -> list[tuple[float, int]]:
        """Return (time, number) of the next `limit` permits. The list repeats every `per` seconds."""
        # No permit is granted during a pause.
        start = max(now, self.paused_until)
        returns = [
            *self._returning.first(self._returning.count),
            *((late, 1) for late in self._returning_late),
            *self._others.first(self._taken_by_others),
            (start + self.per, self._own - self._returning.count - len(self._returning_late)),
        ]
        permits = [(start, max(0, self.limit - self.in_use))]
        # After a header lowered the limit, the permits above the new limit do not return.
        excess = max(0, self.in_use - self.limit)
        for when, count in sorted(returns):
            lost = min(count, excess)
            excess -= lost
            permits.append((max(start, when), count - lost))
        return [(when, count) for when, count in permits if count > 0]

    def _is_pause_long(self) -> bool:
        return self.paused_until - self._pause_began > _LONG_PAUSE

    def _forget_probe(self, request: PermitRequest) -> None:
        if request is self._probe:
            self._probe = None

    def _remove_returned(self, now: float) -> None:
        if self._returning.count:
            self._own -= self._returning.remove_returned(now)
        while self._returning_late and self._returning_late[0] <= now:
            heapq.heappop(self._returning_late)
            self._own -= 1
        if self._others.count:
            self._others.remove_returned(now)
            self._taken_by_others = max(0, self._others.count - self._headroom)
