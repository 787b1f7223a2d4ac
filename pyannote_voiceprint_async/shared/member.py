"""One process in a window that processes share: it asks the store for permits, and reports what became of them."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import random
import secrets
from collections import deque
from collections.abc import Callable

import attrs

from pyannote_voiceprint_async.concurrency.clock import Clock, Timer

from .fleet_window import Report, ReportKind, StepMessage, StepReply, WindowRules
from .store import Store, StoreUnavailableError

__all__ = ["FleetMember"]

log = logging.getLogger("pyannote_voiceprint_async")

# Seconds. A member with permits in use, or with waiting requests, makes a step at least so often.
_HEARTBEAT = 1.0
# A granted permit is used within this time, or returned.
USABLE = 2.0
# A member whose last step is older has ended.
_MEMBER_LIFETIME = 3 * _HEARTBEAT
# Responses are reported together, at most so late.
_REPORT_DELAY = 0.1
# A new window, or one after an outage, waits so long for the reports of its members.
_GRACE = 1.5
# Steps without a reply that are remembered.
_MAX_LOST_STEPS = 100


@attrs.frozen
class _Fact:
    """A report, and the local time at which its milliseconds were counted."""

    report: Report
    at: float


class FleetMember:
    """The member that one client is in one shared window.

    No task lives while nothing is in use and nobody waits: a step runs in a task of its own, and a timer starts the
    next one.

    Args:
        store: the store.
        window: the name of the window in the store.
        limit: the permits in a window, until a response names another limit.
        per: the length of the window in seconds.
        reserve: permits that a member with its full share leaves for each other member.
        response_timeout: seconds in which the server may still see a request after it was sent.
        patience: seconds for which the member waits for a store that it cannot reach.
        clock: the client's clock.
        wanted: returns the number of permits that requests wait for and could use now.
        on_change: called after each step: permits may have been granted.
    """

    def __init__(  # noqa: PLR0913 - constructed in one place, by keyword
        self,
        store: Store,
        *,
        window: str,
        limit: int,
        per: float,
        reserve: int,
        response_timeout: float,
        patience: float,
        clock: Clock,
        wanted: Callable[[], int],
        on_change: Callable[[], object],
    ) -> None:
        self.name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self.granted: deque[tuple[float, str]] = deque()
        """(last time of use, permit) of the permits that no request has taken yet."""
        self.is_cut_off = False
        """Whether the store could not be reached for so long that the member sends by its own share."""
        self.last_reply: StepReply | None = None
        self.replied_at = 0.0
        self._store = store
        self._window = window
        self._per = per
        self._response_timeout = response_timeout
        self._patience = patience
        self._clock = clock
        self._wanted = wanted
        self._on_change = on_change
        self._rules = WindowRules(
            limit=limit,
            per=_ms(per),
            permit_lifetime=_ms(USABLE + response_timeout + per),
            member_lifetime=_ms(_MEMBER_LIFETIME),
            grace=_ms(_GRACE),
            reserve=reserve,
        )
        self._facts: list[_Fact] = []
        self._held: dict[str, float] = {}  # permit -> local time of its return
        self._unknown_to_store: set[str] = set()
        self._lost_steps: list[tuple[int, int]] = []
        self._numbers = itertools.count(1)
        self._local_permits = itertools.count(1)
        self._unreachable_since: float | None = None
        self._is_waiting = False  # whether the store knows that this member wants permits
        self._timer: Timer | None = None
        self._timer_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False

    # Permits, called by the window

    def take(self) -> str:
        """Return the name of the permit that a request takes now."""
        if self.granted:
            _, permit = self.granted.popleft()
        else:
            permit = f"{self.name}:local{next(self._local_permits)}:0"
            self._unknown_to_store.add(permit)
        self._held[permit] = self._clock.time() + self._response_timeout + self._per
        return permit

    def return_unusable(self, now: float) -> None:
        """Return the granted permits that were not used in time."""
        while self.granted and self.granted[0][0] <= now:
            self.report(ReportKind.UNSENT, self.granted.popleft()[1])

    def report(self, kind: ReportKind, permit: str = "", seconds: float = 0.0, limit: int = 0) -> None:
        """Report what became of a permit, or a limit that a response named. `seconds` are as in `ReportKind`."""
        now = self._clock.time()
        if kind is ReportKind.ANSWERED:
            self._held[permit] = now + self._per
        elif kind is ReportKind.UNANSWERED:
            self._held[permit] = now + seconds
        else:
            self._held.pop(permit, None)
        self._facts.append(_Fact(Report(kind, permit, _ms(seconds), limit), now))
        self._step_at(now + (min(_REPORT_DELAY, self._per / 10) if kind is ReportKind.ANSWERED else 0.0))

    def report_unanswered(self, permit: str, returns_at: float) -> None:
        """Report that no response arrived, and when the server can count the request no more."""
        self.report(ReportKind.UNANSWERED, permit, max(0.0, returns_at - self._clock.time()))

    def request_permits(self) -> None:
        """Make a step at once, because a request waits, unless the store has told when to ask again."""
        if not self._is_waiting and self._task is None:
            self._step_at(self._clock.time())

    @property
    def share(self) -> int:
        """The permits of this member while it cannot reach the store: its part of the limit."""
        reply = self.last_reply
        return max(1, reply.limit // reply.members) if reply else self._rules.limit

    async def aclose(self) -> None:
        """End the membership. Permits in use return by themselves."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    # Steps

    def _step_at(self, when: float) -> None:
        """Make the next step at this time, or earlier."""
        if self._is_closed or (self._timer is not None and self._timer_at <= when):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = self._clock.call_at(when, self._start_step), when

    def _start_step(self) -> None:
        self._timer = None
        if self._task is None and not self._is_closed:
            self._task = asyncio.get_running_loop().create_task(self._make_step())

    async def _make_step(self) -> None:
        try:
            next_step = await self._step()
        finally:
            self._task = None
        self._on_change()
        if next_step is not None:
            self._step_at(self._clock.time() + next_step)
        if self._facts:
            self._step_at(self._clock.time() + _REPORT_DELAY)

    async def _step(self) -> float | None:
        """Make one step, and return the seconds until the next one; None if there is nothing to do."""
        before = self._clock.time()
        self._held = {permit: when for permit, when in self._held.items() if when > before}
        self._unknown_to_store &= self._held.keys()
        facts, self._facts = self._facts, []
        wanted = max(0, self._wanted() - len(self.granted))
        number = next(self._numbers)
        told = sorted(self._unknown_to_store)
        reports = [Report(ReportKind.HELD, permit, _ms(self._held[permit] - before)) for permit in told]
        reports += [_aged(fact, before) for fact in facts]
        message = StepMessage(
            self.name, number, wanted, self._rules, tuple(reports), tuple(self._lost_steps), self.is_cut_off
        )
        try:
            reply = await self._store.step(self._window, message)
        except StoreUnavailableError as error:
            if error.may_have_happened:
                self._lost_steps = [*self._lost_steps, (number, wanted)][-_MAX_LOST_STEPS:]
            self._facts = facts + self._facts
            return self._after_failure(error, before)
        if reply is None:
            # The store has a later step of this member, which cannot be: this process was forked.
            self.name = f"{os.getpid()}-{secrets.token_hex(4)}"
            self._unknown_to_store |= self._held.keys()
            return 0.0
        self._lost_steps = []
        self._unknown_to_store.difference_update(told)
        return self._after_reply(reply, before)

    def _after_reply(self, reply: StepReply, before: float) -> float | None:
        if self.is_cut_off:
            log.warning("The shared state can be reached again. The processes share one rate limit again.")
        if self.last_reply is not None and reply.epoch != self.last_reply.epoch:
            # The store has lost the window: tell it everything again.
            self._unknown_to_store |= self._held.keys()
        self.is_cut_off, self._unreachable_since = False, None
        self.last_reply, self.replied_at = reply, before
        self._is_waiting = reply.wait is not None
        self.granted.extend((before + USABLE, permit) for permit in reply.granted)
        if self._unknown_to_store:
            return 0.0
        if reply.wait is not None:
            return min(reply.wait / 1000 + 0.001, _HEARTBEAT)
        return _HEARTBEAT if self._held else None

    def _after_failure(self, error: StoreUnavailableError, before: float) -> float:
        if self._unreachable_since is None:
            self._unreachable_since = before
        if not self.is_cut_off and self._clock.time() - self._unreachable_since >= self._patience:
            self.is_cut_off = True
            log.warning(
                "%s Until it can be reached again, this process sends at most %d requests per %g s to the API: its "
                "share of the rate limit.",
                error,
                self.share,
                self._per,
            )
        return 0.1 + 0.2 * random.random()


def _aged(fact: _Fact, now: float) -> Report:
    """Return the report with its milliseconds counted from now."""
    age = _ms(now - fact.at)
    match fact.report.kind:
        case ReportKind.ANSWERED:
            return fact.report._replace(ms=age)
        case ReportKind.UNANSWERED | ReportKind.REFUSED:
            return fact.report._replace(ms=max(0, fact.report.ms - age))
    return fact.report


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
