"""One process in a window that processes share: it asks the store for permits, and reports what became of them."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import secrets
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import attrs

from pyannote_voiceprint_async.concurrency.clock import Clock, Timer

from .fleet_window import MeasuredTime, PermitReport, ReportKind, StepMessage, StepReply, WindowRules
from .store import Store, StoreUnavailableError
from .store_contact import StoreContact

__all__ = ["FleetMember", "MemberSettings"]

# Seconds. A member with permits in use, or with waiting requests, makes a step at least so often.
_HEARTBEAT = 1.0
# A granted permit is used within this time, or returned.
_USABLE = 2.0
# A member whose last step is older has ended.
_MEMBER_LIFETIME = 3 * _HEARTBEAT
# Responses are reported together after this time, or after a fifth of the window if that is shorter. Permits that were
# used together return together: reports at that time would delay the steps that grant them again.
_REPORT_DELAY = 0.5
# Responses that arrived during a step are reported in a next step, after this time.
_NEXT_REPORT_DELAY = 0.1
# A new window, or one after an outage, waits so long for the reports of its members.
_GRACE = 1.5
# A member waits between these times before it tries a store again that it could not reach.
_RETRY_WAIT = (0.1, 0.3)
# Steps without a reply that are remembered.
_MAX_LOST_STEPS = 100


@attrs.frozen(kw_only=True)
class MemberSettings:
    """The settings of a member."""

    window: str
    """The name of the window in the store."""
    limit: int
    """Permits in a window, until a response names another limit."""
    ceiling: int | None
    """The user's own limit."""
    per: float
    """The length of the window in seconds."""
    reserve: int
    """Permits that a member with its full share leaves for each other member."""
    response_timeout: float
    """Seconds in which the server may still see a request after it was sent."""

    @property
    def rules(self) -> WindowRules:
        """The settings as the store needs them."""
        return WindowRules(
            limit=self.limit,
            per=_ms(self.per),
            permit_lifetime=_ms(_USABLE + self.response_timeout + self.per),
            member_lifetime=_ms(_MEMBER_LIFETIME),
            grace=_ms(_GRACE),
            reserve=self.reserve,
            ceiling=self.ceiling,
        )


@attrs.frozen
class _Fact:
    """A report, and the local time at which its milliseconds were counted."""

    report: PermitReport
    at: float


class FleetMember:
    """The member that one client is in one shared window.

    No task lives while nothing is in use and no request waits: a step runs in a task of its own, and a timer starts the
    next one.

    Args:
        store: the store.
        contact: records whether the store can be reached.
        settings: the settings of the window and of this member.
        clock: the client's clock.
        wanted: returns the number of permits that requests wait for and could use now.
        on_change: called after each step: permits may have been granted. If the store can never be used again, its
            error is passed.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - constructed in one place
        self,
        store: Store,
        contact: StoreContact,
        settings: MemberSettings,
        clock: Clock,
        wanted: Callable[[], int],
        on_change: Callable[[StoreUnavailableError | None], object],
    ) -> None:
        self.granted: deque[tuple[float, str]] = deque()
        """(last time of use, permit) of the permits that no request has taken yet."""
        self.is_cut_off = False
        """Whether the store could not be reached for so long that this member uses its share without permits."""
        self.last_reply: StepReply | None = None
        self.replied_at = 0.0
        """When the last step that has a reply was made."""
        self._received_at = 0.0  # when its reply arrived
        self._store = store
        self._contact = contact
        self._settings = settings
        self._rules = settings.rules
        self._clock = clock
        self._wanted = wanted
        self._on_change = on_change
        self._name = _new_name()
        self._facts: list[_Fact] = []
        self._held: dict[str, float] = {}  # permit -> local time of its return
        self._unknown_to_store: set[str] = set()
        self._lost_steps: list[tuple[int, int]] = []
        self._step_numbers = itertools.count(1)
        self._local_permits = itertools.count(1)
        self._has_appointment = False  # whether the next step has its time, because the store said so or has failed
        self._timer: Timer | None = None
        self._timer_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False

    @property
    def share(self) -> int:
        """The permits of this member while it cannot reach the store: its part of the limit.

        A member that has never reached the store knows no other one: it uses what the others leave for each process.
        """
        rules, members = self._rules, self._contact.members
        limit = rules.limit if rules.ceiling is None else min(rules.limit, rules.ceiling)
        return max(1, min(limit, rules.reserve) if members is None else limit // members)

    # Permits, called by the window

    def take(self) -> str:
        """Return the name of the permit that a request takes now."""
        if self.granted:
            _, permit = self.granted.popleft()
        else:
            permit = f"{self._name}:alone{next(self._local_permits)}"
            self._unknown_to_store.add(permit)
        self._held[permit] = self._clock.time() + self._settings.response_timeout + self._settings.per
        return permit

    def return_granted(self, granted_before: float) -> None:
        """Return the permits that no request has taken by the last time of their use.

        Args:
            granted_before: return those whose last time of use is not later.
        """
        while self.granted and self.granted[0][0] <= granted_before:
            self.report(ReportKind.UNSENT, self.granted.popleft()[1])

    def report(self, kind: ReportKind, permit: str = "", seconds: float = 0.0, limit: int = 0) -> None:
        """Report what became of a permit, or a limit that a response named. `seconds` are as in `ReportKind`."""
        now = self._clock.time()
        if kind is ReportKind.ANSWERED:
            self._held[permit] = now + self._settings.per
        elif kind is ReportKind.UNANSWERED:
            self._held[permit] = now + seconds
        else:
            self._held.pop(permit, None)
        self._facts.append(_Fact(PermitReport(kind, permit, _ms(seconds), limit), now))
        can_wait = kind is ReportKind.ANSWERED and self._is_probed
        self._step_at(now + (min(_REPORT_DELAY, self._settings.per / 5) if can_wait else 0.0))

    def report_unanswered(self, permit: str, returns_at: float) -> None:
        """Report that no response arrived, and when the server can count the request no more."""
        self.report(ReportKind.UNANSWERED, permit, max(0.0, returns_at - self._clock.time()))

    @property
    def _is_probed(self) -> bool:
        """Whether no member waits for the response to a probe, as far as this member knows."""
        return self.last_reply is not None and not self.last_reply.needs_probe

    def request_permits(self) -> None:
        """Make a step at once, because a request waits, unless the time of the next step is set."""
        if not self._has_appointment and self._task is None and self._wanted() > len(self.granted):
            self._step_at(self._clock.time())

    # Steps

    def _step_at(self, when: float) -> None:
        """Make the next step at this time, or earlier."""
        if self._is_closed or (self._timer is not None and self._timer_at <= when):
            return
        self._cancel_timer()
        self._timer, self._timer_at = self._clock.call_at(when, self._start_step), when

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start_step(self) -> None:
        self._timer = None
        if self._task is None and not self._is_closed:
            self._task = asyncio.get_running_loop().create_task(self._make_step())

    async def _make_step(self) -> None:
        failure, wait = None, None
        try:
            wait = await self._step(max(0, self._wanted() - len(self.granted)))
        except StoreUnavailableError as error:
            failure = error if error.is_final else None
            self._has_appointment = failure is None
            wait = random.uniform(*_RETRY_WAIT)  # noqa: S311 - no secret
        finally:
            self._task = None
        self._on_change(failure)
        if failure is None and (wait is not None or self._facts):
            self._step_at(self._clock.time() + (_NEXT_REPORT_DELAY if wait is None else wait))

    async def _step(self, wanted: int) -> float | None:
        """Make one step, and return the seconds until the next one; None if there is nothing to do.

        Raises:
            StoreUnavailableError: the store did not reply; the next step repeats what this one reported.
        """
        began = self._clock.time()
        self._held = {permit: when for permit, when in self._held.items() if when > began}
        self._unknown_to_store &= self._held.keys()
        told, facts, number = sorted(self._unknown_to_store), self._facts, next(self._step_numbers)
        self._facts = []
        reports = [PermitReport(ReportKind.HELD, permit, _ms(self._held[permit] - began)) for permit in told]
        reports += [_aged(fact, began) for fact in facts]
        message = StepMessage(
            self._name,
            number,
            wanted,
            self._rules,
            tuple(reports),
            tuple(self._lost_steps),
            self.is_cut_off,
            self._measure_time(began),
            is_last=self._is_closed,
        )
        try:
            reply = await self._store.step(self._settings.window, message)
        except StoreUnavailableError as error:
            if error.may_have_happened:
                self._lost_steps = [*self._lost_steps, (number, wanted)][-_MAX_LOST_STEPS:]
            self._facts = self._worth_repeating(facts, began) + self._facts
            self._contact.record_failure(error, began, self._clock.time())
            self.is_cut_off = self._contact.is_lost
            raise
        self._contact.record_reply(self._settings.window, None if reply is None else reply.members)
        if reply is None:
            # The store has a later step of this member, which is another process then: this one was forked.
            self._name = _new_name()
            self._unknown_to_store |= self._held.keys()
            return 0.0
        self._lost_steps = []
        self._unknown_to_store.difference_update(told)
        return self._apply(reply, began)

    def _measure_time(self, now: float) -> MeasuredTime | None:
        """Return what the time of the window can be now: the store has replied between the last step and its reply."""
        reply = self.last_reply
        if reply is None:
            return None
        earliest, latest = (reply.now + _ms(now - since) for since in (self._received_at, self.replied_at))
        return MeasuredTime(reply.epoch, reply.era, earliest, latest + 1)

    def _worth_repeating(self, facts: list[_Fact], now: float) -> list[_Fact]:
        """Return the facts that the store needs although it has not heard of them for a while."""
        oldest = now - self._rules.permit_lifetime / 1000
        return [fact for fact in facts if fact.at > oldest]

    def _apply(self, reply: StepReply, began: float) -> float | None:
        """Apply a reply, and return the seconds until the next step."""
        if self.last_reply is not None and reply.epoch != self.last_reply.epoch:
            # The store has lost the window: tell it what is held, and forget the grants that it does not know.
            self._unknown_to_store |= self._held.keys()
            self.granted.clear()
        self.is_cut_off = False
        self.last_reply, self.replied_at, self._received_at = reply, began, self._clock.time()
        # If the store loses the window, the new one begins with the limit of the server.
        self._rules = self._rules._replace(limit=reply.limit)
        self._has_appointment = reply.wait is not None
        self.granted.extend((began + _USABLE, permit) for permit in reply.granted)
        if self._unknown_to_store:
            return 0.0
        if reply.wait is not None:
            # The store counts the wait from its reply, which has been on its way for about half of the round trip.
            elapsed = (self._received_at - began) / 2
            return min(max(0.0, reply.wait / 1000 + 0.001 - elapsed), _HEARTBEAT)
        return _HEARTBEAT if self._held or self.granted else None

    # Closing

    async def aclose(self) -> None:
        """End the membership: report what is left to report, and return the permits that were not used."""
        self._is_closed = True
        self._cancel_timer()
        if self._task is not None:
            await asyncio.wait([self._task])
        self.return_granted(float("inf"))
        is_member = self.last_reply is not None and self._clock.time() < self.replied_at + _MEMBER_LIFETIME
        if (self._facts or self._has_appointment or is_member) and not self._contact.is_lost:
            with suppress(StoreUnavailableError):
                await self._step(wanted=0)


def _aged(fact: _Fact, now: float) -> PermitReport:
    """Return the report with its milliseconds counted from now."""
    age = _ms(now - fact.at)
    match fact.report.kind:
        case ReportKind.ANSWERED:
            return fact.report._replace(ms=age)
        case ReportKind.UNANSWERED | ReportKind.REFUSED:
            return fact.report._replace(ms=max(0, fact.report.ms - age))
    return fact.report


def _new_name() -> str:
    return f"{os.getpid()}-{secrets.token_hex(4)}"


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
