"""The rate-limit window of one operation whose permits come from a store."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

from pyannote_voiceprint_async.ratelimit.permit_request import PermitRequest
from pyannote_voiceprint_async.ratelimit.window import RateLimitWindow
from pyannote_voiceprint_async.settings import RateLimit

from .fleet_window import ReportKind, StepReply
from .member import FleetMember

__all__ = ["SharedWindow"]

# Seconds after which a reply tells too little about the other processes.
_REPLY_LIFETIME = 2.0


class SharedWindow(RateLimitWindow):
    """A window that has a permit when the store has granted one.

    While the store cannot be reached, it is a local window with this process's share of the limit.

    Args:
        member: asks the store for permits.
        default: the documented limit.
        ceiling: the user's own limit.
    """

    def __init__(self, member: FleetMember, default: int, ceiling: RateLimit | None) -> None:
        super().__init__(default, ceiling)
        self._member = member
        self._permits: dict[PermitRequest, str] = {}
        self._applied: StepReply | None = None

    def apply_reply(self) -> bool:
        """Apply the limit and the pause of the last reply.

        Returns:
            Whether the waiting requests may wait for longer than before.
        """
        member, reply, before = self._member, self._member.last_reply, self._applied
        if member.is_cut_off:
            self.limit = member.share
            return False
        if reply is None or reply is before:
            return False
        self._applied = reply
        self.limit = reply.limit if self._ceiling is None else min(reply.limit, self._ceiling)
        if reply.pause:
            self.paused_until = max(self.paused_until, member.replied_at + reply.pause / 1000)
            # Requests of this process may be ready; one request of the fleet goes first.
            member.return_granted(math.inf)
        return before is None or before.wait is None or _outlook(before) != _outlook(reply)

    def has_permit(self, now: float) -> bool:
        """Return whether the next request may take a permit."""
        if self._member.is_cut_off:
            return super().has_permit(now)
        self._remove_returned(now)
        self._member.return_granted(now)
        return now >= self.paused_until and bool(self._member.granted)

    def take(self, request: PermitRequest) -> None:
        """Count a permit as held by this request."""
        super().take(request)
        self._permits[request] = self._member.take()

    def put_back(self, request: PermitRequest) -> None:
        """Return a permit at once: its request never reached the server."""
        super().put_back(request)
        self._member.report(ReportKind.UNSENT, self._permits.pop(request))

    def record_refusal(self, request: PermitRequest, now: float, wait: float) -> bool:
        """Pause all members after a refusal (429); then one request goes first."""
        is_long = super().record_refusal(request, now, wait)
        self._member.report(ReportKind.REFUSED, self._permits.pop(request), self.paused_until - now)
        self._member.return_granted(math.inf)
        return is_long

    def release_after_response(self, request: PermitRequest, now: float) -> None:
        """Schedule the return of a permit `per` seconds from now, when its response arrived."""
        super().release_after_response(request, now)
        self._member.report(ReportKind.ANSWERED, self._permits.pop(request))

    def release_after(self, request: PermitRequest, when: float) -> None:
        """Schedule the return of a permit `per` seconds after `when`, when the server can see its request no more."""
        super().release_after(request, when)
        self._member.report_unanswered(self._permits.pop(request), when + self.per)

    def update_from_headers(self, request: PermitRequest, now: float, limit: int | None, remaining: int | None) -> bool:  # noqa: ARG002 - as the base class
        """Report the limit of a response to the other members. What other programs of the key use is not estimated."""
        fewer = super().update_from_headers(request, now, limit, None)
        reply = self._member.last_reply
        if limit is not None and reply is not None and limit != reply.limit:
            self._member.report(ReportKind.LIMIT, limit=limit)
        if self._member.is_cut_off:
            self.limit = self._member.share
        return fewer

    def next_permit_at(self, now: float) -> float | None:
        """Return the earliest time at which `has_permit` can become true by itself, or None."""
        if self._member.is_cut_off:
            return super().next_permit_at(now)
        # The member makes its steps by its own timer.
        self._member.request_permits()
        return None

    def remaining(self, now: float) -> int:
        """Estimate the permits that no request holds or waits for, in all processes. During a pause there is none."""
        reply = self._fresh_reply(now)
        if reply is None:
            return super().remaining(now)
        opens_at = max(self._member.replied_at + reply.opens_in / 1000, self.paused_until)
        return 0 if now < opens_at else max(0, len(self._member.granted) + reply.free - self.queue.length)

    def expected_wait(self, position: int, now: float) -> float:
        """Estimate the seconds until the request at `position` in the queue (from 1) gets a permit."""
        return next(itertools.islice(self.expected_waits(now), position - 1, None))

    def expected_waits(self, now: float) -> Iterator[float]:
        """Estimate the seconds until the first request in the queue gets a permit, then the second, without end."""
        reply = self._fresh_reply(now)
        return super().expected_waits(now) if reply is None else self._waits_in_fleet(reply, now)

    def _fresh_reply(self, now: float) -> StepReply | None:
        """Return the last reply of the store, if it still shows what the other processes do."""
        member = self._member
        return None if member.is_cut_off or now > member.replied_at + _REPLY_LIFETIME else member.last_reply

    def _waits_in_fleet(self, reply: StepReply, now: float) -> Iterator[float]:
        replied_at = self._member.replied_at
        start = max(now, replied_at + reply.opens_in / 1000, self.paused_until)
        # A request in flight returns its permit no sooner than `per` after its response.
        latest = start + self.per
        returns = [min(max(start, replied_at + milliseconds / 1000), latest) for milliseconds in reply.returns]
        permits_of_a_window = max(1, min(self.limit, reply.free + len(returns)))
        for position in itertools.count(1):
            # Permits are granted in turn: each member that waits gets about as many as this one.
            total = position + sum(min(wanted, position) for wanted in reply.wanted_by_others)
            rounds, index = divmod(total - 1, permits_of_a_window)
            when = start if index < reply.free else returns[index - reply.free] if returns else latest
            yield max(0.0, when + rounds * self.per - now)


def _outlook(reply: StepReply) -> tuple[object, ...]:
    """Return the parts of a reply that change how long requests wait, beside the passing of time."""
    return reply.limit, reply.members, reply.pause > 0, len(reply.wanted_by_others)
