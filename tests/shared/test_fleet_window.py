"""The window that processes share: a model of members that die, lose replies, and send late messages."""

from __future__ import annotations

import itertools
import random
import statistics
from collections.abc import Callable

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyannote_voiceprint_async.shared.fleet_window import (
    FleetWindow,
    MeasuredTime,
    PermitReport,
    ReportKind,
    StepMessage,
    StepReply,
    WindowRules,
    step,
)

PER, RESPONSE_TIMEOUT, USABLE = 1000, 300, 200
LIFETIME = USABLE + RESPONSE_TIMEOUT + PER
RULES = WindowRules(limit=3, per=PER, permit_lifetime=LIFETIME, member_lifetime=3000, grace=1500, reserve=0)


class Member:
    """A process: it keeps granted permits, sends requests, and reports what became of them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.number = 0
        self.lost_steps: list[tuple[int, int]] = []
        self.reports: list[tuple[PermitReport, int]] = []  # with the time at which the fact happened
        self.granted: dict[str, int] = {}
        self.in_flight: dict[str, int] = {}  # permit -> time of sending
        self.last_reply: tuple[StepReply, int, int] | None = None  # with the times of its message and its arrival

    def message(self, wanted: int, now: int) -> StepMessage:
        """Return the next message, whose times are counted from now."""
        self.number += 1
        reports = tuple(_at(report, now - happened) for report, happened in self.reports)
        return StepMessage(
            self.name, self.number, wanted, RULES, reports, tuple(self.lost_steps), time=self.measure_time(now)
        )

    def measure_time(self, now: int) -> MeasuredTime | None:
        """Return the time of the window, which the clock of this member shows."""
        if self.last_reply is None:
            return None
        reply, sent, arrived = self.last_reply
        return MeasuredTime(reply.epoch, reply.era, reply.now + now - arrived, reply.now + now - sent)

    def receive(self, reply: StepReply, sent: int, now: int) -> None:
        """Accept the granted permits; the store has the reports now."""
        self.lost_steps, self.reports, self.last_reply = [], [], (reply, sent, now)
        self.granted |= dict.fromkeys(reply.granted, sent)


def _at(report: PermitReport, age: int) -> PermitReport:
    match report.kind:
        case ReportKind.ANSWERED:
            return report._replace(ms=age)
        case ReportKind.UNANSWERED | ReportKind.REFUSED:
            return report._replace(ms=max(0, report.ms - age))
    return report


class Fleet:
    """Members and one stored window, driven by chance. It knows every request that the server may still count."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.true_time = 1_000_000
        self.clock_offset = 0
        self.state: FleetWindow | None = None
        self.names = itertools.count()
        self.members = [self.new_member() for _ in range(rng.randint(1, 4))]
        self.late: list[StepMessage] = []
        self.counted_until: list[int] = []  # by the server, of requests that are not in flight any more
        self.granted = 0
        self.members_before_jump: set[str] = set()
        """The members that knew the time when the clock was set forward, until one of them has made a step."""

    def new_member(self) -> Member:
        return Member(f"m{next(self.names)}")

    def run(self, events: int) -> None:
        """Run this many events."""
        for _ in range(events):
            self.true_time += self.rng.choices([0, 1, 5, 20, 60, 300], [4, 4, 4, 4, 4, 1])[0]
            member = self.rng.choice(self.members)
            self.send_requests(member)
            self.finish_requests(member)
            self.make_step(member)
            for chance, event in (
                (0.02, self.deliver_late),
                (0.01, self.kill_member),
                (0.01, self.set_clock_back),
                (0.01, self.set_clock_forward),
            ):
                if self.rng.random() < chance:
                    event()

    def make_step(self, member: Member) -> None:
        wanted = self.rng.randint(0, 4)
        sent = self.true_time
        message = member.message(wanted, sent)
        fate = self.rng.choices(["reply", "slow", "lost", "no reply", "late"], [20, 2, 1, 1, 1])[0]
        if fate in {"reply", "slow"}:
            self.true_time += 150 * (fate == "slow")
            reply = self.store(message)
            assert reply is not None
            self.true_time += 150 * (fate == "slow")
            assert len(reply.granted) <= wanted
            if member.name in self.members_before_jump:
                self.members_before_jump = set()
            member.receive(reply, sent, self.true_time)
            self.check_window(reply)
            return
        member.lost_steps.append((message.number, wanted))
        if fate == "no reply":
            self.store(message)
        elif fate == "late":
            self.late.append(message)

    def send_requests(self, member: Member) -> None:
        """Send a request with each granted permit that is still usable, and return the others."""
        for permit, granted in list(member.granted.items()):
            if self.true_time - granted >= USABLE or self.rng.random() < 0.05:
                member.reports.append((PermitReport(ReportKind.UNSENT, permit), self.true_time))
            elif self.rng.random() < 0.8:
                member.in_flight[permit] = self.true_time
            else:
                continue
            del member.granted[permit]

    def finish_requests(self, member: Member) -> None:
        for permit, sent in list(member.in_flight.items()):
            latest = sent + RESPONSE_TIMEOUT
            if self.true_time > latest or self.rng.random() < 0.03:
                self.counted_until.append(latest + PER)
                report = PermitReport(ReportKind.UNANSWERED, permit, ms=latest + PER - self.true_time)
            elif self.rng.random() < 0.03:
                # A server counts no request that it refused.
                report = PermitReport(ReportKind.REFUSED, permit, ms=400)
            elif self.rng.random() < 0.5:
                self.counted_until.append(self.true_time + PER)
                report = PermitReport(ReportKind.ANSWERED, permit)
            else:
                continue
            del member.in_flight[permit]
            member.reports.append((report, self.true_time))
            if report.kind is ReportKind.ANSWERED and self.rng.random() < 0.05:
                limit = PermitReport(ReportKind.LIMIT, limit=self.rng.choice([2, 3, 5]))
                member.reports.append((limit, self.true_time))

    def deliver_late(self) -> None:
        """Deliver the messages that were held up; each of them is older than what its member has sent since, or not."""
        for message in self.late:
            before = self.state
            is_outdated = before is not None and before.members.get(message.member, (0, 0))[1] >= message.number
            reply = self.store(message)
            if is_outdated:
                assert reply is None
                assert self.state is before
        self.late = []

    def kill_member(self) -> None:
        if self.members_before_jump:
            return  # if no member has seen that the clock was set, it looks as if all of them were idle
        dead = self.members.pop(self.rng.randrange(len(self.members)))
        self.counted_until += [sent + RESPONSE_TIMEOUT + PER for sent in dead.in_flight.values()]
        self.members.append(self.new_member())

    def set_clock_back(self) -> None:
        self.clock_offset -= self.rng.choice([500, 5_000, 10_000_000])

    def set_clock_forward(self) -> None:
        self.members_before_jump = {member.name for member in self.members if member.last_reply is not None}
        if self.members_before_jump:
            self.clock_offset += self.rng.choice([300, 500, 5_000, 300_000, 10_000_000])

    def store(self, message: StepMessage) -> StepReply | None:
        """Make the step as a store does, through JSON; a repeated message changes nothing."""
        before = self.state
        copy = None if before is None else FleetWindow.from_json(orjson.loads(orjson.dumps(before.to_json())))
        assert copy == before
        self.state, reply = step(before, message, self.true_time + self.clock_offset, "epoch")
        assert copy == before
        if reply is not None:
            again, nothing = step(self.state, message, self.true_time + self.clock_offset, "epoch")
            assert nothing is None
            assert again is self.state
        return reply

    def check_window(self, reply: StepReply) -> None:
        """Check after a grant that the server can count no more requests than the limit allows."""
        if not reply.granted:
            return
        self.granted += len(reply.granted)
        now, members = self.true_time, self.members
        usable = sum(now - granted < USABLE for member in members for granted in member.granted.values())
        in_flight = sum(now < sent + RESPONSE_TIMEOUT + PER for member in members for sent in member.in_flight.values())
        counted = sum(when > now for when in self.counted_until)
        assert usable + in_flight + counted <= reply.limit


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_server_never_counts_more_requests_than_the_limit(seed: int) -> None:
    fleet = Fleet(random.Random(seed))
    fleet.run(events=300)


def test_the_model_grants_permits():
    """Otherwise, the test above could not fail."""
    fleets = [Fleet(random.Random(seed)) for seed in range(10)]
    for fleet in fleets:
        fleet.run(events=300)
    assert sum(fleet.granted for fleet in fleets) > 50


OUTAGE_RULES, OUTAGE_BEGIN, PATIENCE = RULES._replace(limit=12, reserve=1), 3_000, 1_000


class FleetWithOutage:
    """Members that lose the store together, use their shares without it, and return one after the other."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.members = [Member(f"m{number}") for number in range(rng.randint(2, 5))]
        end = OUTAGE_BEGIN + rng.randint(4_000, 8_000)
        self.returns = {member.name: end + rng.randint(0, 2_500) for member in self.members}
        self.held: dict[str, dict[str, int]] = {member.name: {} for member in self.members}
        """The permits of each member, with the times at which the server counts their requests no more."""
        self.unknown_to_store: set[str] = set()
        self.names = itertools.count()
        self.state: FleetWindow | None = None
        self.granted_during_returns = 0

    def run(self) -> None:
        for now in range(1_000_000, 1_018_000, 10):
            for member in self.rng.sample(self.members, len(self.members)):
                if self.rng.random() < 0.3:
                    self.act(member, now)

    def act(self, member: Member, now: int) -> None:
        held, time = self.held[member.name], now - 1_000_000
        self.receive_responses(member, held, now)
        for permit in [permit for permit, when in held.items() if when <= now]:
            del held[permit]
        if not OUTAGE_BEGIN <= time < self.returns[member.name]:
            self.make_step(member, held, now)
        elif time >= OUTAGE_BEGIN + PATIENCE:
            while len(held) < OUTAGE_RULES.limit // len(self.members) and self.rng.random() < 0.8:
                permit = f"{member.name}:alone{next(self.names)}"
                self.unknown_to_store.add(permit)
                self.send(member, permit, now)

    def receive_responses(self, member: Member, held: dict[str, int], now: int) -> None:
        for permit, sent in list(member.in_flight.items()):
            if now - sent >= RESPONSE_TIMEOUT - 100 or self.rng.random() < 0.2:
                del member.in_flight[permit]
                held[permit] = now + PER
                member.reports.append((PermitReport(ReportKind.ANSWERED, permit), now))

    def make_step(self, member: Member, held: dict[str, int], now: int) -> None:
        unknown = self.unknown_to_store & held.keys()
        reports = tuple(PermitReport(ReportKind.HELD, permit, ms=held[permit] - now) for permit in unknown)
        message = member.message(self.rng.randint(0, 8), now)
        was_cut_off = member.last_reply is not None and member.last_reply[1] < 1_000_000 + OUTAGE_BEGIN <= now
        message = message._replace(rules=OUTAGE_RULES, reports=reports + message.reports, was_cut_off=was_cut_off)
        self.state, reply = step(self.state, message, now, "epoch")
        assert reply is not None
        member.receive(reply, now, now)
        self.unknown_to_store -= unknown
        for permit in reply.granted:
            del member.granted[permit]
            self.send(member, permit, now)
        if OUTAGE_BEGIN <= now - 1_000_000 < min(self.returns.values()) + OUTAGE_RULES.member_lifetime:
            assert reply.members == len(self.members)
            self.granted_during_returns += len(reply.granted)

    def send(self, member: Member, permit: str, now: int) -> None:
        member.in_flight[permit] = now
        self.held[member.name][permit] = now + RESPONSE_TIMEOUT + PER
        # Before the outage, a member may have used more than its share.
        if now - 1_000_000 >= OUTAGE_BEGIN + PATIENCE + RESPONSE_TIMEOUT + PER:
            assert sum(when > now for held in self.held.values() for when in held.values()) <= OUTAGE_RULES.limit


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_members_that_return_after_an_outage_exceed_no_limit(seed: int) -> None:
    FleetWithOutage(random.Random(seed)).run()


def test_a_member_without_permits_waits_while_a_returned_store_collects_reports() -> None:
    """All permits are taken by another member when a new one asks for its share."""

    def ask(member: Member, now: int, *, was_cut_off: bool = False) -> StepReply:
        nonlocal state
        message = member.message(3, now)._replace(was_cut_off=was_cut_off)
        state, reply = step(state, message, now, "epoch")
        assert reply is not None
        member.receive(reply, now, now)
        return reply

    state: FleetWindow | None = None
    old, new = Member("old"), Member("new")
    for now in range(1_000, 4_000, 100):
        ask(old, now)
        for permit in list(old.granted):
            old.reports.append((PermitReport(ReportKind.ANSWERED, permit), now))
            del old.granted[permit]
    ask(old, 60_000, was_cut_off=True)
    held = [PermitReport(ReportKind.HELD, f"old:alone{number}", ms=900) for number in range(3)]
    old.reports = [(report, 60_010) for report in held]
    ask(old, 60_010)
    reply = ask(new, 60_020)
    assert state is not None
    assert state.shares_until > 60_020
    assert reply.granted == ()
    assert reply.wait is not None
    assert 0 < reply.wait <= RULES.member_lifetime


def test_members_that_return_after_an_outage_get_their_shares_at_once() -> None:
    """The store waits for the reports of the others, and each member goes on as during the outage."""
    fleets = [FleetWithOutage(random.Random(seed)) for seed in range(10)]
    for fleet in fleets:
        fleet.run()
    assert sum(fleet.granted_during_returns for fleet in fleets) > 50


def busy_fleet(
    count: int, *, seconds: int, reserve: int = 0, light: bool = False, clock: Callable[[int], int] = lambda now: now
) -> dict[str, list[int]]:
    """Run members that always want permits, on a virtual clock; return the times of each member's grants.

    Args:
        count: the number of members.
        seconds: how long they run.
        reserve: see `WindowRules`.
        light: whether the last member wants only one permit every second.
        clock: what the clock of the store shows at a time.
    """
    rng, rules = random.Random(1), RULES._replace(limit=40, reserve=reserve)
    state: FleetWindow | None = None
    numbers = dict.fromkeys((f"m{index}" for index in range(count)), 0)
    wakes = dict.fromkeys(numbers, 0)
    answers: dict[str, list[tuple[int, str]]] = {name: [] for name in numbers}
    grants: dict[str, list[int]] = {name: [] for name in numbers}
    wanted_since: dict[str, int] = {}
    replies: dict[str, tuple[StepReply, int]] = {}
    now = 0
    while now < seconds * 1000:
        name = min(wakes, key=lambda member: wakes[member])
        now = max(now, wakes[name])
        due = [answer for answer in answers[name] if answer[0] <= now]
        answers[name] = [answer for answer in answers[name] if answer[0] > now]
        reports = tuple(PermitReport(ReportKind.ANSWERED, permit, ms=now - when) for when, permit in due)
        is_light = light and name == f"m{count - 1}"
        wanted = 1 if is_light else 30
        if is_light:
            wanted_since.setdefault(name, now)
        numbers[name] += 1
        message = StepMessage(name, numbers[name], wanted, rules, reports)
        if name in replies:
            last, arrived = replies[name]
            window_time = last.now + now - arrived
            message = message._replace(time=MeasuredTime("epoch", last.era, window_time, window_time))
        state, reply = step(state, message, clock(now), "epoch")
        assert reply is not None
        replies[name] = reply, now
        for permit in reply.granted:
            answers[name].append((now + rng.randrange(0, 200), permit))
            grants[name].append(now - wanted_since.pop(name) if is_light else now)
        next_answer = min((when for when, _ in answers[name]), default=now + 1000)
        wait = 1000 if is_light and reply.granted else reply.wait if reply.wait is not None else 50
        wakes[name] = max(now + 1, min(now + wait, next_answer))
    return grants


@pytest.mark.parametrize("count", [1, 4, 8, 32])
def test_busy_members_use_the_whole_limit_in_equal_shares(count: int) -> None:
    grants = busy_fleet(count, seconds=40)
    totals = [len(times) for times in grants.values()]
    assert sum(totals) >= 0.95 * 40 * 40 / (1 + 0.1)
    assert sum(totals) ** 2 / (count * sum(total**2 for total in totals)) >= 0.98


def test_reserve_keeps_a_light_member_quick_beside_busy_ones() -> None:
    with_reserve, without = (busy_fleet(8, seconds=40, reserve=reserve, light=True)["m7"] for reserve in (1, 0))
    assert min(len(with_reserve), len(without)) > 20
    assert statistics.median(with_reserve) <= 300
    assert statistics.median(with_reserve) < statistics.median(without)


@pytest.mark.parametrize("jump", [-3_600_000, -5_000, 200, 5_000, 3_600_000])
def test_a_clock_that_is_set_again_and_again_delays_no_member_for_long(jump: int) -> None:
    """Every other second, the clock of the store is set, and set back in the second after that."""
    grants = busy_fleet(4, seconds=40, clock=lambda now: now + 4_000_000 + jump * (now // 1000 % 2))
    assert sum(map(len, grants.values())) >= 0.75 * 40 * 40
    for times in grants.values():
        assert max(later - earlier for earlier, later in itertools.pairwise(times)) <= 2 * PER


def test_a_new_member_does_not_wait_for_permits_of_ended_members() -> None:
    """Long ago, a member took the whole limit and was killed, which a new member cannot know."""
    rules = RULES._replace(limit=40, per=60_000, permit_lifetime=90_000)
    state, now = None, 0
    for number, wanted in ((1, 0), (2, 40), (3, 40)):
        now += 2000
        reports = (PermitReport(ReportKind.ANSWERED, "old:2:0"),)
        measured = None if state is None else MeasuredTime("epoch", state.era, state.now + 2000, state.now + 2000)
        state, _ = step(state, StepMessage("old", number, wanted, rules, reports, time=measured), now, "epoch")
    assert state is not None
    assert len(state.permits) == 40
    now += 600_000
    state, reply = step(state, StepMessage("new", 1, 30, rules), now, "epoch")
    assert reply is not None
    assert reply.granted == ()
    assert reply.wait == rules.grace
    assert max(reply.returns) <= rules.grace
    measured = MeasuredTime("epoch", reply.era, reply.now + rules.grace, reply.now + rules.grace)
    state, reply = step(state, StepMessage("new", 2, 30, rules, time=measured), now + rules.grace, "epoch")
    assert reply is not None
    assert len(reply.granted) == 30


def test_processes_that_run_one_after_the_other_wait_for_nothing() -> None:
    """As a command that a script repeats: no member is left that could know the time better than the store."""
    rules = RULES._replace(limit=3, per=60_000, permit_lifetime=90_000, grace=0)
    state: FleetWindow | None = None
    for number in range(20):
        now = number * 25_000
        state, first = step(state, StepMessage(f"m{number}", 1, 1, rules), now, "epoch")
        assert first is not None
        assert len(first.granted) == 1
        measured = MeasuredTime("epoch", first.era, first.now + 100, first.now + 100)
        reports = (PermitReport(ReportKind.ANSWERED, first.granted[0]),)
        last = StepMessage(f"m{number}", 2, 0, rules, reports, time=measured, is_last=True)
        state, _ = step(state, last, now + 100, "epoch")
        assert state.members == {}
