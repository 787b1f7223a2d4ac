"""The rate-limit window of one operation whose permits come from a store."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from pyannote_voiceprint_async.ratelimit.permit_request import PermitRequest
from pyannote_voiceprint_async.ratelimit.window import RateLimitWindow
from pyannote_voiceprint_async.settings import RateLimit

from .fleet_window import ReportKind
from .member import FleetMember

__all__ = ["SharedWindow"]


class SharedWindow(RateLimitWindow):
    """A window that has a permit when the store has granted one.

    While the store cannot be reached, it is a local window with this process's share of the limit.

    Args:
        default: the documented limit.
        ceiling: the user's own limit.
    """

    member: FleetMember
    """Set by `SharedRateLimit` before the first request."""

    def __init__(self, default: int, ceiling: RateLimit | None = None) -> None:
        super().__init__(default, ceiling)
        self._permits: dict[PermitRequest, str] = {}

    def has_permit(self, now: float) -> bool:
        """Return whether the next request may take a permit."""
        if self.member.is_cut_off:
            self.limit = self.member.share
            return super().has_permit(now)
        self.member.return_unusable(now)
        return bool(self.member.granted)

    def take(self, request: PermitRequest) -> None:
        """Count a permit as held by this request."""
        super().take(request)
        self._permits[request] = self.member.take()

    def put_back(self, request: PermitRequest) -> None:
        """Return a permit at once: its request never reached the server."""
        super().put_back(request)
        self.member.report(ReportKind.UNSENT, self._permits.pop(request))

    def record_refusal(self, request: PermitRequest, now: float, wait: float) -> bool:
        """Pause all members after a refusal (429); then one request goes first."""
        is_long = super().record_refusal(request, now, wait)
        self.member.report(ReportKind.REFUSED, self._permits.pop(request), self.paused_until - now)
        return is_long

    def release_after_response(self, request: PermitRequest, now: float) -> None:
        """Schedule the return of a permit `per` seconds from now, when its response arrived."""
        super().release_after_response(request, now)
        self.member.report(ReportKind.ANSWERED, self._permits.pop(request))

    def release_after(self, request: PermitRequest, when: float) -> None:
        """Schedule the return of a permit `per` seconds after `when`, when the server can see its request no more."""
        super().release_after(request, when)
        self.member.report_unanswered(self._permits.pop(request), when + self.per)

    def update_from_headers(self, request: PermitRequest, now: float, limit: int | None, remaining: int | None) -> bool:
        """Tell the other members the limit of a response. What other programs of the key use is not estimated."""
        before = self.limit
        fewer = super().update_from_headers(request, now, limit, None)
        if self.limit != before:
            self.member.report(ReportKind.LIMIT, limit=self.limit)
        return fewer

    def next_permit_at(self, now: float) -> float | None:
        """Return the earliest time at which `has_permit` can become true by itself, or None."""
        if self.member.is_cut_off:
            return super().next_permit_at(now)
        # The member makes its steps by its own timer.
        self.member.request_permits()
        return None

    def expected_wait(self, position: int, now: float) -> float:
        """Estimate the seconds until the request at `position` in the queue (from 1) gets a permit."""
        return next(itertools.islice(self.expected_waits(now), position - 1, None))

    def expected_waits(self, now: float) -> Iterator[float]:
        """Estimate the seconds until the first request in the queue gets a permit, then the second, without end."""
        reply = self.member.last_reply
        if self.member.is_cut_off or reply is None:
            yield from super().expected_waits(now)
            return
        times = self._permit_times_of_fleet(now)
        for position in itertools.count(1):
            # Permits are granted in turn: each member that waits gets about as many as this one.
            total = position + sum(min(wanted, position) for wanted in reply.wanted_by_others)
            rounds, index = divmod(total - 1, len(times))
            yield max(0.0, times[index] + rounds * self.per - now)

    def _permit_times_of_fleet(self, now: float) -> list[float]:
        """Return when each permit of the fleet's next window is granted, in order."""
        reply, said_at = self.member.last_reply, self.member.replied_at
        assert reply is not None
        start = max(now, said_at + reply.paused / 1000)
        returns = [max(start, said_at + milliseconds / 1000) for milliseconds in reply.returns]
        # A request in flight returns its permit no sooner than `per` after its response.
        latest = start + self.per
        times = sorted([start] * reply.free + [min(when, latest) for when in returns])
        return times[: reply.limit] or [latest]
