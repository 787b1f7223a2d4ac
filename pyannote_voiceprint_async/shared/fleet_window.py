"""The rate-limit window that several processes share, and `step`, the only function that changes it.

A store reads the state, calls `step`, and writes the new state, in one transaction. A process that takes part is a
*member*. All times are whole milliseconds of the window's own time. It passes with the clock of the store, but only as
far as the members confirm it, because that clock may be set: each member measures with its own clock how much time has
passed since its last step. Members report differences of time only, so their clocks need not agree.

A permit has a name, `member:step:index`, so that a member whose step got no reply can name the permits that the step
may have granted, and return them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple, Self

import attrs

__all__ = ["FleetWindow", "PermitReport", "ReportKind", "StepMessage", "StepReply", "WindowRules", "step"]

# A member asks again so soon while a probe is in flight, or while permits are free for those ahead of it.
_SHORT_WAIT = 50
# A clock that is ahead by more than this was set. By less, the step may have been slow: another one confirms the time.
_CLOCK_JUMP = 1000
# A clock is ahead if it differs from what a member measures by more than this.
_TOLERANCE = 100
# If no member has made a step for this long, the store could be reached by none of them.
_OUTAGE = 1000


class ReportKind(StrEnum):
    """What became of a permit, or what a response said about the window. `PermitReport.ms` is in milliseconds."""

    ANSWERED = "answered"
    """The response arrived `ms` ago."""
    UNANSWERED = "unanswered"
    """No response arrived; the server cannot count the request any more in `ms`."""
    UNSENT = "unsent"
    """The request was not sent."""
    REFUSED = "refused"
    """The server refused the request (429), and requests a pause of `ms` from now."""
    HELD = "held"
    """The member holds this permit, which returns in `ms`. The store may not know it."""
    LIMIT = "limit"
    """The server's limit is `limit`."""


class PermitReport(NamedTuple):
    """One fact that a member tells the store."""

    kind: ReportKind
    permit: str = ""
    ms: int = 0
    limit: int = 0


class WindowRules(NamedTuple):
    """The settings of a member; all but `ceiling` are those of its window. Times are in milliseconds."""

    limit: int
    """Permits in a window, until a response names another limit."""
    per: int
    """The length of the window."""
    permit_lifetime: int
    """A granted permit of which nothing is reported returns after this time."""
    member_lifetime: int
    """A member that makes no step for this time has ended."""
    grace: int
    """A new window grants nothing for this time: members of a lost one first report what they hold."""
    reserve: int
    """Permits that a member with its full share leaves for each other member."""
    ceiling: int | None = None
    """The most permits that the window may hold when this member takes one: its user's own limit."""


class MeasuredTime(NamedTuple):
    """The time of a window as a member measures it with its own clock, since its last step."""

    epoch: str
    era: int
    """The epoch and the era of the window when it replied to that step."""
    earliest: int
    latest: int


class StepMessage(NamedTuple):
    """What a member tells the store in one step."""

    member: str
    number: int
    """The number of the step, which grows. A message that arrives after a later one changes nothing."""
    wanted: int
    """The number of permits that the member can use now."""
    rules: WindowRules
    reports: tuple[PermitReport, ...] = ()
    lost_steps: tuple[tuple[int, int], ...] = ()
    """(number, wanted) of earlier steps without a reply. The permits that they granted return."""
    was_cut_off: bool = False
    """Whether the member could not reach the store, and has sent requests without permits of the store."""
    time: MeasuredTime | None = None
    """The time when the message was made; None in the first step of a member."""
    is_last: bool = False
    """Whether the member ends with this step."""


class StepReply(NamedTuple):
    """What the store replies to a member."""

    granted: tuple[str, ...]
    """The names of the granted permits."""
    wait: int | None
    """Milliseconds until another step can grant more; None if the member wants no more."""
    limit: int
    members: int
    epoch: str
    """The name of this state. Another name means that the earlier state is lost."""
    now: int
    """The time of the window."""
    era: int
    """The era of the window; see `FleetWindow.era`."""
    opens_in: int
    """Milliseconds until the window grants permits again."""
    pause: int
    """Milliseconds until the pause ends that the server requested."""
    needs_probe: bool
    """Whether one request goes first."""
    free: int
    """Permits that are free now."""
    returns: tuple[int, ...]
    """Milliseconds until each used permit returns, in order. Empty if the member wants no more."""
    wanted_by_others: tuple[int, ...]
    """The permits that each other waiting member wants."""


class _Member(NamedTuple):
    alive_until: int
    last_step: int


class _Waiting(NamedTuple):
    turn: int
    wanted: int


@attrs.define
class FleetWindow:
    """The state of one operation's window. `step` changes a copy of it."""

    epoch: str
    now: int
    """The time of the window, which never goes back."""
    clock: int
    """The time on the clock of the store up to which the time of the window has passed."""
    limit: int
    opens_at: int
    """No permit is granted before this time."""
    shares_until: int = 0
    """Before this time, after an outage, each member gets no more than its share: others may still use theirs without
    the store."""
    paused_until: int = 0
    """No permit is granted before this time either: the server requested a pause."""
    needs_probe: bool = True
    """Whether one request goes first: in a new window, and after a refusal."""
    probe: str | None = None
    """The permit of the request that goes first."""
    last_turn: int = 0
    permits: dict[str, int] = attrs.Factory(dict)
    """The used permits, each with the time at which it returns."""
    queue: dict[str, _Waiting] = attrs.Factory(dict)
    """The members that wait for permits. The lowest turn is served first."""
    members: dict[str, _Member] = attrs.Factory(dict)
    unconfirmed: int = 0
    """Time that has passed on the clock of the store before the last step, and that no member has confirmed."""
    confirm_by: int = 0
    """When the members that are alive have made a step, so that this time is believed."""
    era: int = 0
    """Counts how often time was left out. Members that measure since an earlier era are ahead of the window."""

    def to_json(self) -> dict[str, Any]:
        """Return the state as JSON types."""
        stored = attrs.asdict(self, recurse=False)
        for field in ("queue", "members"):
            stored[field] = {name: list(value) for name, value in stored[field].items()}
        return stored

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self:
        """Return the state that `to_json` described."""
        queue = {member: _Waiting(*waiting) for member, waiting in stored["queue"].items()}
        members = {name: _Member(*member) for name, member in stored["members"].items()}
        return cls(**stored | {"queue": queue, "members": members})


def step(
    state: FleetWindow | None, message: StepMessage, clock: int, new_epoch: str
) -> tuple[FleetWindow, StepReply | None]:
    """Return the state after a member's step, and the reply to the member. The given state stays unchanged.

    Args:
        state: the stored state; None if there is none.
        message: the member's message.
        clock: the time on the store's clock.
        new_epoch: the name of the state if it is new; never used before.

    Returns:
        The new state, and the reply; the reply is None if a later step of this member came first.
    """
    if state is None:
        state = FleetWindow(new_epoch, clock, clock, message.rules.limit, clock + message.rules.grace)
    if message.member in state.members and state.members[message.member].last_step >= message.number:
        return state, None
    change = _Change(state, message, clock - state.clock)
    change.pass_time()
    change.believe_time()
    change.wait_for_reports_after_outage()
    change.return_permits_of_lost_steps()
    for report in message.reports:
        change.apply(report)
    change.remove_expired()
    granted = change.grant()
    return change.window, change.reply(granted)


class _Change:
    """One step on a copy of the window.

    Args:
        state: the window.
        message: the message of the member.
        idle_time: the time since the last step on the clock of the store. Negative if that clock was set back.
    """

    def __init__(self, state: FleetWindow, message: StepMessage, idle_time: int) -> None:
        self.window = attrs.evolve(
            state, permits=dict(state.permits), queue=dict(state.queue), members=dict(state.members)
        )
        self.message = message
        self.rules = message.rules
        self.idle_time = idle_time
        self._unsure = 0  # the time that may have passed beyond that of the window

    @property
    def now(self) -> int:
        """The time of the window. At least this time has passed."""
        return self.window.now

    @property
    def latest(self) -> int:
        """The latest time that it can be: what lasts for a while is counted from then."""
        return self.window.now + self._unsure

    # The time

    @property
    def _measured(self) -> MeasuredTime | None:
        """The time that the member has measured in this era of the window."""
        measured, window = self.message.time, self.window
        is_known = measured is not None and (measured.epoch, measured.era) == (window.epoch, window.era)
        return measured if is_known else None

    def pass_time(self) -> None:
        """Advance the time of the window by the idle time, as far as this member confirms it.

        A new member confirms nothing. While permits are in use, their members make a step at least every second: after
        a longer idle time, these members were killed, or the clock of the store was set forward. The idle time is then
        unconfirmed until the members that are alive have made a step.
        """
        window, measured, idle_time = self.window, self._measured, self.idle_time
        window.clock += idle_time
        if measured is None and idle_time > _OUTAGE and not (window.permits and window.members):
            passed = idle_time
        elif measured is None or idle_time < 0:
            passed = 0
        elif self.now + idle_time <= measured.latest + _TOLERANCE:
            passed = idle_time
        else:
            passed = max(0, measured.earliest - self.now)
        window.now += passed
        left = idle_time - passed
        if 0 <= left <= _CLOCK_JUMP:
            self._unsure = left
            window.clock -= left
        else:
            window.era += 1
            if measured is None and left > 0:
                window.unconfirmed, window.confirm_by, window.members = left, self.now + self.rules.grace, {}

    def believe_time(self) -> None:
        """End the unconfirmed time: believe the first member that has measured it, or else the clock of the store.

        The permits that were granted before return earlier by the time that has passed.
        """
        window, measured = self.window, self.message.time
        if not window.unconfirmed:
            return
        if measured is not None and (measured.epoch, measured.era) == (window.epoch, window.era - 1):
            passed = min(window.unconfirmed, max(0, measured.earliest - self.latest))
        elif self.now >= window.confirm_by:
            passed = window.unconfirmed
        else:
            return
        window.permits = {
            permit: when if _member_of(permit) in window.members else when - passed
            for permit, when in window.permits.items()
        }
        window.unconfirmed = 0

    # What the member reports

    def wait_for_reports_after_outage(self) -> None:
        """Grant only shares for a while if the members could not reach the store: they first report what they sent.

        The members of the time before the outage count as alive meanwhile. If none is known, nothing is granted.
        """
        window = self.window
        is_first_to_return = self.idle_time > _OUTAGE and self.now >= window.shares_until
        if not (self.message.was_cut_off and is_first_to_return):
            return
        if not window.members:
            window.opens_at = self.latest + self.rules.grace
        window.shares_until = until = self.latest + self.rules.member_lifetime
        window.members = {name: member._replace(alive_until=until) for name, member in window.members.items()}

    def return_permits_of_lost_steps(self) -> None:
        """Return the permits that a step without a reply may have granted: the member does not know them."""
        for number, wanted in self.message.lost_steps:
            for index in range(wanted):
                self._return(_permit_name(self.message.member, number, index))

    def apply(self, report: PermitReport) -> None:
        """Apply one report of the member."""
        window, permit = self.window, report.permit
        match report.kind:
            case ReportKind.ANSWERED:
                self._schedule_return(permit, self.latest + self.rules.per - report.ms + 1)
                if window.needs_probe and window.probe == permit:
                    window.needs_probe, window.probe = False, None
            case ReportKind.UNANSWERED:
                self._schedule_return(permit, self.latest + report.ms)
                self._forget_probe(permit)
            case ReportKind.UNSENT:
                self._return(permit)
            case ReportKind.REFUSED:
                window.permits.pop(permit, None)
                self._pause(permit, self.latest + report.ms)
            case ReportKind.HELD:
                window.permits[permit] = self.latest + report.ms
            case ReportKind.LIMIT:
                window.limit = report.limit

    def _schedule_return(self, permit: str, when: int) -> None:
        if permit in self.window.permits:
            self.window.permits[permit] = when

    def _return(self, permit: str) -> None:
        self.window.permits.pop(permit, None)
        self._forget_probe(permit)

    def _forget_probe(self, permit: str) -> None:
        if self.window.probe == permit:
            self.window.probe = None

    def _pause(self, permit: str, until: int) -> None:
        """Pause all members; after the pause one request goes first, unless a later probe is in flight already."""
        window = self.window
        window.paused_until = max(window.paused_until, until)
        window.needs_probe = True
        if window.probe == permit or window.probe not in window.permits:
            window.probe = None

    # What time changes

    def remove_expired(self) -> None:
        """Remove the permits that have returned, and the members that have ended; renew this member."""
        window, now, name = self.window, self.now, self.message.member
        window.permits = {permit: when for permit, when in window.permits.items() if when > now}
        window.members = {other: member for other, member in window.members.items() if member.alive_until > now}
        if self.message.is_last:
            window.members.pop(name, None)
        else:
            window.members[name] = _Member(self.latest + self.rules.member_lifetime, self.message.number)
        window.queue = {other: waiting for other, waiting in window.queue.items() if other in window.members}
        if window.probe is not None and (
            window.probe not in window.permits or _member_of(window.probe) not in window.members
        ):
            window.probe = None

    # What the member gets

    def grant(self) -> tuple[str, ...]:
        """Grant permits to this member if its turn has come, and put it at the end of the queue for the others."""
        window, name, wanted = self.window, self.message.member, self.message.wanted
        if wanted <= 0:
            window.queue.pop(name, None)
            return ()
        turn = window.queue[name].turn if name in window.queue else self._next_turn()
        window.queue[name] = _Waiting(turn, wanted)
        count = self._grantable()
        if count == 0:
            return ()
        granted = tuple(_permit_name(name, self.message.number, index) for index in range(count))
        window.permits |= dict.fromkeys(granted, self.latest + self.rules.permit_lifetime)
        if window.needs_probe:
            window.probe = granted[0]
        if count < wanted:
            window.queue[name] = _Waiting(self._next_turn(), wanted - count)
        else:
            del window.queue[name]
        return granted

    def _next_turn(self) -> int:
        self.window.last_turn += 1
        return self.window.last_turn

    def _grantable(self) -> int:
        """Return how many permits this member gets now: one after the other, each its fair part."""
        window, wanted = self.window, self.message.wanted
        if self._closed_for() > 0 or window.probe is not None:
            return 0
        free = self._free_of_share() if self.now < window.shares_until else self._free_in_turn()
        count = min(wanted, free)
        return min(count, 1) if window.needs_probe else count

    def _free_of_share(self) -> int:
        """Return the free permits of this member's share."""
        left = self._share() - self._held(self.message.member)
        return max(0, min(left, self._limit() - len(self.window.permits)))

    def _free_in_turn(self) -> int:
        """Return this member's fair part of the free permits, if its turn has come."""
        free = self._free()
        if free <= self._members_ahead():
            return 0
        part = max(1, free // len(self.window.queue))
        return min(part, max(1, self._share() - self._held(self.message.member))) if self.rules.reserve else part

    def _free(self) -> int:
        """Return the free permits, less those that a member with its full share leaves for the others."""
        free = self._limit() - len(self.window.permits)
        if self.rules.reserve and self._held(self.message.member) >= self._share():
            free -= self.rules.reserve * sum(map(self._may_need_reserve, self.window.members))
        return free

    def _may_need_reserve(self, name: str) -> bool:
        """Return whether a member has less than its share and may ask for permits. One that waits gets its turn."""
        is_other = name != self.message.member and name not in self.window.queue
        return is_other and self._held(name) < self._share()

    def _limit(self) -> int:
        ceiling = self.rules.ceiling
        return self.window.limit if ceiling is None else min(self.window.limit, ceiling)

    def _share(self) -> int:
        return self._limit() // len(self.window.members)

    def _held(self, name: str) -> int:
        return sum(_member_of(permit) == name for permit in self.window.permits)

    def _members_ahead(self) -> int:
        turn = self.window.queue[self.message.member].turn
        return sum(waiting.turn < turn for waiting in self.window.queue.values())

    def _closed_for(self) -> int:
        return max(0, self.window.opens_at - self.now, self.window.paused_until - self.now)

    def reply(self, granted: tuple[str, ...]) -> StepReply:
        """Return the reply: what was granted, and what the member needs to estimate its waits."""
        window, name = self.window, self.message.member
        is_waiting = name in window.queue
        returns = tuple(sorted(map(self._returns_in, window.permits.items()))) if is_waiting else ()
        return StepReply(
            granted=granted,
            wait=self._wait(returns) if is_waiting else None,
            limit=window.limit,
            members=max(1, len(window.members)),
            epoch=window.epoch,
            now=window.now,
            era=window.era,
            opens_in=self._closed_for(),
            pause=max(0, window.paused_until - self.now),
            needs_probe=window.needs_probe,
            free=max(0, self._limit() - len(window.permits)),
            returns=returns,
            wanted_by_others=tuple(waiting.wanted for other, waiting in window.queue.items() if other != name),
        )

    def _returns_in(self, item: tuple[str, int]) -> int:
        """Return the milliseconds until a permit returns. Unconfirmed time is believed soon."""
        window, (permit, when) = self.window, item
        if window.unconfirmed and _member_of(permit) not in window.members:
            when = min(when, max(window.confirm_by, when - window.unconfirmed))
        return when - self.now

    def _wait(self, returns: tuple[int, ...]) -> int:
        """Return the milliseconds until another step can grant a permit to this member."""
        if self._closed_for() > 0:
            return self._closed_for()
        if self.window.needs_probe:
            return _SHORT_WAIT
        if self.now < self.window.shares_until:
            # A member that uses its share waits for a permit of its own. One without permits waits for the end.
            permits, name = self.window.permits.items(), self.message.member
            own = [self._returns_in(item) for item in permits if _member_of(item[0]) == name]
            return min([self.window.shares_until - self.now, *own])
        missing = self._members_ahead() - self._free()
        if missing < 0:
            # Permits are free. A member that asked again at once would take them all while the others sleep.
            return _SHORT_WAIT if len(self.window.queue) > 1 else 0
        # A request in flight returns its permit no sooner than `per` from now.
        return min(returns[missing], self.rules.per) if missing < len(returns) else self.rules.per


def _member_of(permit: str) -> str:
    return permit.partition(":")[0]


def _permit_name(member: str, step_number: int, index: int) -> str:
    return f"{member}:{step_number}:{index}"
