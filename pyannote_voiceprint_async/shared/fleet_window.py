"""The rate-limit window that several processes share, and `step`, the only function that changes it.

A store reads the state, calls `step`, and writes the new state, in one transaction. A process that takes part is a
*member*. All times are whole milliseconds on the clock of the store; members report differences of time only, so their
own clocks need not agree.

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
# A clock that goes back by more than this was set, or the machine was restarted.
_CLOCK_JUMP = 1000
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
    """A new window, or one after an outage, grants nothing for this time: members first report what they hold."""
    reserve: int
    """Permits that a member with its full share leaves for each other member."""
    ceiling: int | None = None
    """The most permits that the window may hold when this member takes one: its user's own limit."""


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
    limit: int
    opens_at: int
    """No permit is granted before this time."""
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
    state: FleetWindow | None, message: StepMessage, now: int, new_epoch: str
) -> tuple[FleetWindow, StepReply | None]:
    """Return the state after a member's step, and the reply to the member. The given state stays unchanged.

    Args:
        state: the stored state; None if there is none.
        message: the member's message.
        now: the time on the store's clock.
        new_epoch: the name of the state if it is new; never used before.

    Returns:
        The new state, and the reply; the reply is None if a later step of this member came first.
    """
    if state is None:
        state = FleetWindow(new_epoch, now, message.rules.limit, now + message.rules.grace)
    if message.member in state.members and state.members[message.member].last_step >= message.number:
        return state, None
    change = _Change(state, message, now)
    change.wait_for_reports_after_outage()
    change.return_permits_of_lost_steps()
    for report in message.reports:
        change.apply(report)
    change.remove_expired()
    granted = change.grant()
    return change.window, change.reply(granted)


class _Change:
    """One step on a copy of the window."""

    def __init__(self, state: FleetWindow, message: StepMessage, now: int) -> None:
        self.window = attrs.evolve(
            state, permits=dict(state.permits), queue=dict(state.queue), members=dict(state.members)
        )
        self.message = message
        self.rules = message.rules
        self.idle_time = now - state.now
        if -_CLOCK_JUMP <= self.idle_time < 0:
            now = state.now
        elif self.idle_time < 0:
            self._shift_times(self.idle_time)
        self.now = self.window.now = now

    # What the member reports

    def wait_for_reports_after_outage(self) -> None:
        """Grant nothing for a while if the members could not reach the store: they first report what they sent."""
        window, grace = self.window, self.rules.grace
        is_first_to_return = self.now > window.opens_at + 4 * grace
        if self.message.was_cut_off and self.idle_time > _OUTAGE and is_first_to_return:
            window.opens_at = self.now + grace

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
                self._schedule_return(permit, self.now + self.rules.per - report.ms + 1)
                if window.needs_probe and window.probe == permit:
                    window.needs_probe, window.probe = False, None
            case ReportKind.UNANSWERED:
                self._schedule_return(permit, self.now + report.ms)
                self._forget_probe(permit)
            case ReportKind.UNSENT:
                self._return(permit)
            case ReportKind.REFUSED:
                window.permits.pop(permit, None)
                self._pause(permit, self.now + report.ms)
            case ReportKind.HELD:
                window.permits[permit] = self.now + report.ms
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
        window.members[name] = _Member(now + self.rules.member_lifetime, self.message.number)
        window.queue = {other: waiting for other, waiting in window.queue.items() if other in window.members}
        if window.probe is not None and (
            window.probe not in window.permits or window.probe.split(":")[0] not in window.members
        ):
            window.probe = None

    def _shift_times(self, by: int) -> None:
        """Shift all times after the clock was set back, as if no time had passed. More has, so this is safe."""
        window = self.window
        window.opens_at += by
        window.paused_until += by
        window.permits = {permit: when + by for permit, when in window.permits.items()}
        window.members = {
            name: member._replace(alive_until=member.alive_until + by) for name, member in window.members.items()
        }

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
        window.permits |= dict.fromkeys(granted, self.now + self.rules.permit_lifetime)
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
        free = self._free()
        if free <= self._members_ahead():
            return 0
        count = min(wanted, max(1, free // len(window.queue)))
        if self.rules.reserve:
            count = min(count, max(1, self._share() - self._held(self.message.member)))
        return 1 if window.needs_probe else count

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
        return sum(permit.startswith(name + ":") for permit in self.window.permits)

    def _members_ahead(self) -> int:
        turn = self.window.queue[self.message.member].turn
        return sum(waiting.turn < turn for waiting in self.window.queue.values())

    def _closed_for(self) -> int:
        return max(0, self.window.opens_at - self.now, self.window.paused_until - self.now)

    def reply(self, granted: tuple[str, ...]) -> StepReply:
        """Return the reply: what was granted, and what the member needs to estimate its waits."""
        window, name = self.window, self.message.member
        is_waiting = name in window.queue
        returns = tuple(sorted(when - self.now for when in window.permits.values())) if is_waiting else ()
        return StepReply(
            granted=granted,
            wait=self._wait(returns) if is_waiting else None,
            limit=window.limit,
            members=len(window.members),
            epoch=window.epoch,
            opens_in=self._closed_for(),
            pause=max(0, window.paused_until - self.now),
            needs_probe=window.needs_probe,
            free=max(0, self._limit() - len(window.permits)),
            returns=returns,
            wanted_by_others=tuple(waiting.wanted for other, waiting in window.queue.items() if other != name),
        )

    def _wait(self, returns: tuple[int, ...]) -> int:
        """Return the milliseconds until another step can grant a permit to this member."""
        if self._closed_for() > 0:
            return self._closed_for()
        if self.window.needs_probe:
            return _SHORT_WAIT
        missing = self._members_ahead() - self._free()
        if missing < 0:
            # Permits are free. A member that asked again at once would take them all while the others sleep.
            return _SHORT_WAIT if len(self.window.queue) > 1 else 0
        # A request in flight returns its permit no sooner than `per` from now.
        return min(returns[missing], self.rules.per) if missing < len(returns) else self.rules.per


def _permit_name(member: str, step_number: int, index: int) -> str:
    return f"{member}:{step_number}:{index}"
