"""Who may send now: promises of the throttle, against models of the API's two documented windows."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rate_limiter_model import (
    ENDS,
    TOTAL,
    FixedServer,
    History,
    Request,
    RequestOutcome,
    Server,
    SlidingServer,
    What,
    simulate,
)

from pyannote_voiceprint_async import RateLimit, RateLimiter, RateLimits, VoiceprintError
from pyannote_voiceprint_async.ratelimit.wait_queue import PermitState
from pyannote_voiceprint_async.ratelimit.window import PermitRequest

# Places that come back within a thousandth of a window come back together.
TOGETHER = 1.001
KINDS = pytest.mark.parametrize("kind", [SlidingServer, FixedServer])


# What the worlds are made of


def seconds(longest: float) -> st.SearchStrategy[float]:
    """Quarters of a second, up to `longest`."""
    return st.integers(0, int(longest * 4)).map(lambda quarters: quarters / 4)


def asking_times() -> st.SearchStrategy[float]:
    """Bursts, and stragglers."""
    return st.one_of(st.just(0.0), st.sampled_from([1.0, 60.0, 61.0]), seconds(200))


def answered_requests(budget: str = "submissions") -> st.SearchStrategy[Request]:
    return st.builds(
        Request, asks_at=asking_times(), to_server=seconds(30), to_client=seconds(30), budget=st.just(budget)
    )


def unsent_requests(budget: str = "submissions") -> st.SearchStrategy[Request]:
    return st.builds(
        Request,
        asks_at=asking_times(),
        to_client=seconds(10),
        fate=st.just(RequestOutcome.UNSENT),
        budget=st.just(budget),
    )


def all_requests(budget: str = "submissions") -> st.SearchStrategy[Request]:
    """Requests that are answered, lost, never sent, or leave while they wait."""
    lost = st.builds(
        Request,
        asks_at=asking_times(),
        to_server=st.one_of(st.none(), st.just(TOTAL), seconds(TOTAL)),
        to_client=seconds(TOTAL),
        fate=st.just(RequestOutcome.LOST),
        budget=st.just(budget),
    )
    impatient = st.builds(
        replace, st.one_of(answered_requests(budget), lost), patience=st.one_of(st.just(0.0), seconds(100))
    )
    return st.one_of(answered_requests(budget), answered_requests(budget), lost, unsent_requests(budget), impatient)


FEW = st.integers(1, 6)


@st.composite
def servers(draw: st.DrawFn, *, per: float = 60.0, limits: st.SearchStrategy[int] = FEW) -> Server:
    """A server with either window, at any phase."""
    limit = draw(limits)
    if draw(st.booleans()):
        return SlidingServer(limit, per)
    return FixedServer(limit, per, phase=draw(seconds(per - 0.25)))


@dataclass
class World:
    """Requests, and the server that they meet."""

    requests: list[Request]
    server: Server
    rate_limits: RateLimits = field(default_factory=RateLimits)
    max_concurrency: int = 64

    def run(self, requests: list[Request] | None = None, **more: object) -> History:
        self.server.admitted.clear()
        return simulate(
            self.requests if requests is None else requests,
            self.server,
            rate_limits=self.rate_limits,
            max_concurrency=self.max_concurrency,
            **more,  # type: ignore[arg-type]
        )


CONCURRENCY = st.one_of(st.just(64), st.integers(1, 8))


@st.composite
def worlds(draw: st.DrawFn, requests: st.SearchStrategy[Request]) -> World:
    """The client has the documented default of 100, and must learn the server's own limit."""
    return World(
        requests=draw(st.lists(requests, min_size=1, max_size=24)),
        server=draw(servers()),
        max_concurrency=draw(CONCURRENCY),
    )


@st.composite
def worlds_with_a_known_limit(draw: st.DrawFn, requests: st.SearchStrategy[Request]) -> World:
    """The user has said what the server admits, or less; the server need not say it."""
    per = draw(st.sampled_from([1.0, 10.0, 60.0]))
    server = draw(servers(per=per))
    server.speaks = draw(st.booleans())
    ceiling = RateLimit(draw(st.integers(1, server.limit)), per)
    return World(
        requests=draw(st.lists(requests, min_size=1, max_size=24)),
        server=server,
        rate_limits=RateLimits(submissions=ceiling),
        max_concurrency=draw(CONCURRENCY),
    )


def any_world() -> st.SearchStrategy[World]:
    return st.one_of(worlds(all_requests()), worlds_with_a_known_limit(all_requests()))


# No 429 for a client alone on its key


@settings(deadline=None, max_examples=150)
@given(world=worlds(answered_requests()))
def test_a_client_alone_is_never_refused_however_latency_jitters(world):
    """The limit is learned from the first answer; all requests are answered; nobody ever hears a 429."""
    history = world.run()
    assert history.all(What.REFUSED) == []
    assert len(history.all(What.ANSWERED)) == len(world.requests)


@settings(deadline=None, max_examples=150)
@given(world=worlds_with_a_known_limit(all_requests()))
def test_lost_unsent_and_impatient_requests_provoke_no_refusal(world):
    """A lost request holds its place until the server cannot see it any more; the others hold none."""
    assert world.run().all(What.REFUSED) == []


@settings(deadline=None, max_examples=100)
@given(world=worlds(all_requests()))
def test_once_the_limit_is_known_lost_requests_provoke_no_refusal(world):
    """Only before the first word of the server may lost requests have used up a limit that nobody knew."""
    history = world.run()
    first_word = next((entry.at for entry in history.all(What.ANSWERED, What.REFUSED)), 0.0)
    assert [refused for refused in refused_grants(history) if refused.at > first_word] == []


@KINDS
@pytest.mark.parametrize("limit", [1, 99, 101, 250])
def test_a_limit_beside_the_documented_one_is_used_in_full_from_the_second_request_on(kind, limit):
    """The first answer teaches it: the rest of the first window is granted at once, and nothing is refused."""
    history = simulate([Request(0.0, to_server=1.0)] * (limit + 10), kind(limit), max_concurrency=1000)
    assert [entry.at for entry in history.all(What.GRANTED)][:limit] == [0.0] + [1.0] * (limit - 1)
    assert len(history.all(What.ANSWERED)) == limit + 10
    assert history.all(What.REFUSED) == []


@settings(deadline=None, max_examples=100)
@given(
    world=worlds(answered_requests()),
    when=seconds(150),
    limit=st.integers(1, 8),
)
def test_after_the_server_has_said_a_new_limit_nobody_is_refused(world, when, limit):
    """Who is granted after the new limit was heard, and the last answer with the old one, hears no 429."""
    history = world.run(later_limit=(when, limit))
    settled = knows_new_limit_at(history, when)
    assert [refused for refused in refused_grants(history) if refused.at > settled] == []
    assert len(history.all(What.ANSWERED)) == len(world.requests)


def test_requests_with_a_place_but_no_slot_check_again_when_the_limit_is_lowered():
    """A place of the old limit is none of the new one: who has not been sent yet waits with the others."""
    line = WaitQueue(max_concurrency=1).learned(0.0, limit=10)
    first, placed = line.ask(100.0), line.ask(100.0)
    line.throttle.answered(first, 101.0, limit=1)
    assert not line.is_granted(placed)
    line.throttle.advance(101.0 + 60.0 * TOGETHER)
    assert line.is_granted(placed)


def refused_grants(history: History) -> list:
    """The grants whose requests were refused."""
    granted, refused = {}, []
    for entry in history.log:
        if entry.what is What.GRANTED:
            granted[entry.index] = entry
        elif entry.what is What.REFUSED:
            refused.append(granted[entry.index])
    return refused


def knows_new_limit_at(history: History, when: float) -> float:
    """When an answer given after `when` is here, and no answer given before it comes any more."""
    heard = history.all(What.ANSWERED, What.REFUSED)
    seen_at = {entry: entry.at - history.requests[entry.index].to_client for entry in heard}
    last_old = max((entry.at for entry in heard if seen_at[entry] <= when), default=0.0)
    return min((entry.at for entry in heard if seen_at[entry] > when and entry.at > last_old), default=float("inf"))


# Everybody's turn comes, in order


@settings(deadline=None, max_examples=150)
@given(world=any_world())
def test_nobody_starves(world):
    """Every request ends or leaves, in a time that follows from limit, latencies and slots."""
    history = world.run()
    over = {entry.index for entry in history.log if entry.what in ENDS | {What.LEFT}}
    assert over == set(range(len(world.requests)))
    assert history.log[-1].at <= latest_end(world)


def latest_end(world: World) -> float:
    """When the last request is over at the latest.

    In line are all of them, since the last one asked. Until an answer comes they go one by one. From then on a
    round gives every place of the limit once: a place is held while its request waits for a slot, is in flight (a
    lost one until the server cannot see it any more), and for one window after that.
    """
    count = len(world.requests)
    ceiling = world.rate_limits.submissions
    limit = min(world.server.limit, ceiling.limit) if ceiling else world.server.limit
    flight = max(request.in_flight for request in world.requests)
    slot = ceil(count / world.max_concurrency) * flight
    unanswered = sum(request.fate is not RequestOutcome.ANSWERED for request in world.requests)
    held = TOTAL if unanswered else flight
    round_trip = slot + held + world.server.per * TOGETHER
    last_asked = max(request.asks_at for request in world.requests)
    refused_unknowing = world.server.per + flight  # see the test of lost requests and a limit that nobody knew
    return last_asked + (unanswered + 1) * (flight + slot) + refused_unknowing + (ceil(count / limit) + 1) * round_trip


@settings(deadline=None, max_examples=100)
@given(world=any_world(), foreign=st.lists(seconds(200), max_size=12))
def test_first_come_first_served_and_the_refused_keep_their_turn(world, foreign):
    """A grant goes to the first in line: by the order of asking, whatever happened since."""
    waiting: set[int] = set()
    asked: dict[int, int] = {}
    for entry in world.run(foreign=foreign).log:
        match entry.what:
            case What.ASKED:
                asked[entry.index] = len(asked)
                waiting.add(entry.index)
            case What.REFUSED:
                waiting.add(entry.index)
            case What.GRANTED:
                assert entry.index == min(waiting, key=asked.__getitem__)
                waiting.remove(entry.index)
            case What.LEFT:
                waiting.remove(entry.index)


@settings(deadline=None, max_examples=100)
@given(world=any_world(), foreign=st.lists(seconds(200), max_size=12))
def test_never_more_in_flight_than_slots_and_everything_is_given_back(world, foreign):
    """At most `max_concurrency` are granted at once; in the end no slot, no place and nobody in line is left."""
    history = world.run(foreign=foreign)
    in_flight = 0
    for entry in history.log:
        in_flight += entry.what is What.GRANTED
        in_flight -= entry.what in ENDS | {What.REFUSED}
        assert 0 <= in_flight <= world.max_concurrency
    throttle, long_after = history.throttle, history.log[-1].at + 1000.0
    assert (throttle.in_flight, throttle.queued) == (0, 0)
    assert throttle.next_at(long_after) is None
    assert throttle.expected_wait("submissions", long_after) == 0.0
    assert throttle._budgets["submissions"].in_use == 0


@settings(deadline=None, max_examples=100)
@given(world=any_world())
def test_a_waiter_that_leaves_costs_nothing(world):
    """Without those that left while they waited, the others are granted at exactly the same times."""
    history = world.run()
    sent = {entry.index for entry in history.all(What.GRANTED)}
    gone = {entry.index for entry in history.all(What.LEFT)} - sent
    stayed = [index for index in range(len(world.requests)) if index not in gone]
    alone = world.run([world.requests[index] for index in stayed])
    granted = [(entry.at, entry.index) for entry in history.all(What.GRANTED)]
    assert granted == [(entry.at, stayed[entry.index]) for entry in alone.all(What.GRANTED)]


def test_a_newcomer_does_not_pass_the_line_though_the_timer_is_late():
    """A place is free, but nobody has looked since: it is the first in line's."""
    line = WaitQueue(rate_limits=RateLimits(submissions=RateLimit(1, per=10.0))).learned()
    waiting = line.ask()
    newcomer = line.ask(11.0)
    assert [line.is_granted(turn) for turn in (waiting, newcomer)] == [True, False]


# Budgets do not disturb each other


@settings(deadline=None, max_examples=50)
@given(
    requests=st.lists(st.one_of(all_requests("submissions"), all_requests("job_reads")), min_size=1, max_size=24),
    submissions=servers(),
    foreign=st.lists(seconds(200), max_size=12),
)
def test_a_budget_that_is_full_or_paused_disturbs_no_other(requests, submissions, foreign):
    """With slots for all, job reads are granted as if there were no submissions."""

    def grants_of_reads(requests: list[Request], foreign: list[float]) -> list[tuple[float, int]]:
        submissions.admitted.clear()
        both = {"submissions": submissions, "job_reads": SlidingServer(2)}
        history = simulate(requests, both, max_concurrency=len(requests) + 1, foreign=foreign)
        reads = [index for index, request in enumerate(requests) if request.budget == "job_reads"]
        return [(e.at, reads.index(e.index)) for e in history.all(What.GRANTED) if e.index in reads]

    alone = [request for request in requests if request.budget == "job_reads"]
    assert grants_of_reads(requests, foreign) == grants_of_reads(alone, [])


@pytest.mark.parametrize("hindrance", ["full", "paused", "first under way"])
def test_a_request_of_another_budget_takes_the_free_slot(hindrance):
    """A line of submissions that cannot go holds no slot: a job read goes at once."""
    line = WaitQueue(max_concurrency=2, rate_limits=RateLimits(submissions=RateLimit(1)))
    first = line.ask()
    if hindrance == "full":
        line.throttle.answered(first, 0.0)
    elif hindrance == "paused":
        line.throttle.refused(first, 0.0, wait=10.0)
    waiting = line.ask()
    assert line.is_granted(line.ask(budget="job_reads"))
    assert not line.is_granted(waiting)


# A refusal


@settings(deadline=None, max_examples=150)
@given(world=worlds(all_requests()), foreign=st.lists(seconds(200), min_size=1, max_size=30))
def test_a_refusal_pauses_everybody_and_then_one_goes_first(world, foreign):
    """No grant before the told time; after it one goes, and the next only after the end of that one."""
    history = world.run(foreign=foreign)
    paused_until, first, one_goes_first = 0.0, None, False
    for position, entry in enumerate(history.log):
        match entry.what:
            case What.REFUSED:
                paused_until, first, one_goes_first = max(paused_until, history.pauses[position]), None, True
            case What.GRANTED:
                assert entry.at >= paused_until
                assert first is None
                first = entry.index if one_goes_first else None
            case What.ANSWERED if entry.index == first:
                first, one_goes_first = None, False
            case What.LOST | What.UNSENT if entry.index == first:
                first = None


@settings(deadline=None, max_examples=100)
@given(world=worlds(answered_requests()), foreign=st.lists(seconds(200), max_size=30))
def test_nobody_starves_beside_another_program(world, foreign):
    """When the other program has gone, everybody's turn comes within two windows more than alone."""
    history = world.run(foreign=foreign)
    assert len(history.all(What.ANSWERED)) == len(world.requests)
    flight = max(request.in_flight for request in world.requests)
    gone = max(foreign, default=0.0)
    # One window in which a refusal's pause ends, one in which the places of the other program cool.
    assert history.log[-1].at <= max(gone, 0.0) + 2 * (world.server.per * TOGETHER + flight) + latest_end(world)


class WaitQueue:
    """Requests before a throttle, by hand."""

    def __init__(self, **settings: object) -> None:
        self.throttle = RateLimiter(**settings)  # type: ignore[arg-type]
        self.told: dict[PermitRequest, list[VoiceprintError | None]] = {}

    def ask(self, now: float = 0.0, budget: str = "submissions", **bounds: float) -> PermitRequest:
        told: list[VoiceprintError | None] = []
        turn = self.throttle.ask(budget, now, told.append, **bounds)
        self.told[turn] = told
        return turn

    def learned(self, now: float = 0.0, budget: str = "submissions", limit: int | None = None) -> "WaitQueue":
        """Let a first request be answered."""
        self.throttle.answered(self.ask(now, budget), now, limit)
        return self

    @staticmethod
    def is_granted(turn: PermitRequest) -> bool:
        return turn.stage is PermitState.GRANTED


def test_requests_with_a_place_but_no_slot_check_again_after_a_refusal():
    """The slot that the refused request leaves goes to another budget, not to the next refusal."""
    line = WaitQueue(max_concurrency=1).learned(budget="submissions").learned(budget="job_reads")
    refused, placed, read = line.ask(), line.ask(), line.ask(budget="job_reads")
    line.throttle.refused(refused, 1.0, wait=10.0)
    assert [line.is_granted(turn) for turn in (refused, placed, read)] == [False, False, True]
    line.throttle.answered(read, 2.0)
    line.throttle.advance(11.0)
    assert [line.is_granted(turn) for turn in (refused, placed)] == [True, False]
    line.throttle.answered(refused, 12.0)
    assert line.is_granted(placed)


def test_a_burst_of_refusals_is_one_refusal():
    """However many requests tell of it; the next one counts anew, and an answer of the first ends the count."""
    line = WaitQueue().learned()
    burst = [line.ask() for _ in range(5)]
    for turn in burst:
        line.throttle.refused(turn, 1.0, wait=10.0)
    assert line.throttle.refusals("submissions") == 1
    line.throttle.advance(11.0)
    line.throttle.refused(burst[0], 12.0, wait=10.0)
    assert line.throttle.refusals("submissions") == 2
    line.throttle.advance(22.0)
    line.throttle.answered(burst[0], 23.0)
    assert line.throttle.refusals("submissions") == 0


def test_an_answer_to_another_request_of_the_burst_does_not_open_the_budget():
    """It was sent before the refusal, and says nothing about the time after it."""
    line = WaitQueue().learned()
    refused, answered, waiting = line.ask(), line.ask(), None
    line.throttle.refused(refused, 1.0, wait=10.0)
    line.throttle.answered(answered, 2.0)
    waiting = line.ask(3.0)
    line.throttle.advance(11.0)
    assert [line.is_granted(turn) for turn in (refused, waiting)] == [True, False]
    assert line.throttle.refusals("submissions") == 1


@pytest.mark.parametrize(("waits", "until"), [((10.0, 5.0), 11.0), ((5.0, 10.0), 11.0), ((5.0, 5.0), 6.0)])
def test_the_longest_pause_that_was_told_counts(waits, until):
    line = WaitQueue().learned()
    burst = [line.ask() for _ in waits]
    for turn, wait in zip(burst, waits, strict=True):
        line.throttle.refused(turn, 1.0, wait)
    assert line.throttle.pause_left("submissions", 2.0) == until - 2.0
    assert line.throttle.next_at(2.0) == until
    line.throttle.advance(until - 0.25)
    assert [line.is_granted(turn) for turn in burst] == [False, False]
    line.throttle.advance(until)
    assert [line.is_granted(turn) for turn in burst] == [True, False]
    assert line.throttle.pause_left("submissions", until) == 0.0


def test_a_refusal_teaches_the_limit_and_uses_no_place():
    line = WaitQueue()
    refused = line.ask()
    line.throttle.refused(refused, 0.0, wait=1.0, limit=2)
    line.throttle.advance(1.0)
    line.throttle.answered(refused, 1.0, limit=2)
    later = [line.ask(1.0), line.ask(1.0)]
    assert line.throttle.limit("submissions") == 2
    assert [line.is_granted(turn) for turn in later] == [True, False]


@pytest.mark.parametrize(("wait", "pause"), [(599.0, 599.0), (601.0, 600.0), (1.8e12, 600.0)])
def test_a_pause_ends_in_one_probe_after_ten_minutes(wait, pause):
    """However long the server asks for."""
    line = WaitQueue().learned()
    refused = line.ask()
    line.throttle.refused(refused, 1.0, wait)
    waiting = line.ask(2.0)
    line.throttle.advance(pause)
    assert not line.is_granted(refused)
    line.throttle.advance(1.0 + pause)
    assert [line.is_granted(turn) for turn in (refused, waiting)] == [True, False]


def test_a_pause_becomes_long_once():
    """However many requests of a burst are refused, and whatever each of them is told; the next pause counts anew."""
    line = WaitQueue().learned()
    told = []
    burst = [line.ask() for _ in range(5)]
    for now, (turn, wait) in enumerate(zip(burst, [5.0, 30.0, 30.0, 5.0, 60.0], strict=True)):
        told.append(line.throttle.refused(turn, 1.0 + now, wait))
    assert told == [False, True, False, False, False]
    line.throttle.advance(100.0)
    assert line.throttle.refused(burst[0], 101.0, 10.0) is False
    line.throttle.advance(200.0)
    assert line.throttle.refused(burst[0], 201.0, 10.5) is True


# Those who would wait too long


def test_a_refusal_sends_home_everybody_whose_expected_wait_is_too_long():
    """The wait so far counts, the time of the refused request does not; those behind move up."""
    line = WaitQueue(rate_limits=RateLimits(submissions=RateLimit(3, per=10.0))).learned(-20.0)
    refused = line.ask(0.0, max_queue_wait=10.0)
    under_way = [line.ask(0.0) for _ in range(2)]
    early = line.ask(1.0, max_queue_wait=17.0)
    late = line.ask(6.0, max_queue_wait=17.0)
    patient, second = line.ask(6.0), line.ask(6.0, max_queue_wait=25.0)
    for turn in under_way:
        line.throttle.answered(turn, 2.0)
    line.throttle.refused(refused, 9.0, wait=10.0)  # in line since 9: until 19
    assert line.throttle.overdue("submissions", 9.0) == [early]
    assert early.expected_wait == 10.0
    assert [turn.expected_wait for turn in (refused, late, patient, second)] == [None] * 4
    assert line.throttle.queued == 4
    line.throttle.advance(19.0)
    line.throttle.answered(refused, 19.0)
    assert [line.is_granted(turn) for turn in (early, late, patient, second)] == [False, True, True, False]


@pytest.mark.parametrize("limit_and_remaining", [(1, 0), (1, None)])
def test_fewer_places_send_home_whoever_would_wait_longer(limit_and_remaining):
    """A limit that is lowered makes a wait longer, as a refusal does."""
    line = WaitQueue(rate_limits=RateLimits(submissions=RateLimit(4, per=10.0))).learned(-20.0)
    first, second, *_ = [line.ask() for _ in range(4)]
    waiting, patient = line.ask(max_queue_wait=10.5), line.ask()
    assert line.throttle.answered(first, 0.0, 4, 3) is False
    assert line.throttle.overdue("submissions", 0.0) == []
    assert line.throttle.answered(second, 1.0, *limit_and_remaining) is True
    assert line.throttle.overdue("submissions", 1.0) == [waiting]
    assert (waiting.expected_wait, patient.expected_wait) == (pytest.approx(10.0, rel=2e-3), None)


@pytest.mark.parametrize(("asked_at", "ends_at"), [(0.0, 240.0), (100.0, 360.0)])
def test_a_call_is_refused_no_longer_than_its_max_elapsed(asked_at, ends_at):
    """From the first refusal in a row, or from when it asked; at the refusal whose pause would exceed it."""
    line = WaitQueue().learned()
    probe = line.ask()
    line.throttle.refused(probe, 0.0, wait=120.0)
    call, ended, now = line.ask(asked_at, max_elapsed=300.0), [], 0.0
    while not ended and now < 1000.0:
        now += 120.0
        line.throttle.advance(now)
        line.throttle.refused(probe, now, wait=120.0)
        ended = line.throttle.overdue("submissions", now)
    assert (ended, now, call.expected_wait) == ([call], ends_at, None)


def test_an_answer_ends_the_refusals_in_a_row():
    line = WaitQueue().learned()
    probe = line.ask()
    for now in (0.0, 120.0):
        line.throttle.refused(probe, now, wait=120.0)
        line.throttle.advance(now + 120.0)
    waiting = line.ask(240.0, max_elapsed=300.0)
    line.throttle.answered(probe, 240.0)
    line.throttle.refused(waiting, 240.0, wait=120.0)
    assert line.throttle.overdue("submissions", 240.0) == []


@settings(deadline=None, max_examples=100)
@given(
    limit=st.integers(1, 5),
    answers=st.lists(seconds(9.75), max_size=5),
    waits=st.lists(seconds(60), min_size=1, max_size=20),
    wait=seconds(30),
)
def test_those_who_stay_in_line_are_expected_to_go_in_time(limit, answers, waits, wait):
    """Who was sent home would not have gone in time, at its place among those who stay."""
    line = WaitQueue(rate_limits=RateLimits(submissions=RateLimit(limit, per=10.0))).learned(-100.0)
    turns = [line.ask() for _ in range(limit)]
    refused, *others = turns
    queue = [line.ask(max_queue_wait=longest) for longest in waits]
    for turn, now in zip(others, sorted(answers), strict=False):
        line.throttle.answered(turn, now)
    line.throttle.refused(refused, 10.0, wait)
    gone = line.throttle.overdue("submissions", 10.0)
    budget = line.throttle._budgets["submissions"]
    assert line.throttle.overdue("submissions", 10.0) == []
    position = 1 + (refused.stage is PermitState.WAITS_FOR_PLACE)
    for turn, longest in zip(queue, waits, strict=True):
        if turn.stage is PermitState.GRANTED:
            continue
        expected = 10.0 + budget.expected_wait(position, 10.0)
        assert (turn in gone) == (expected > longest)
        position += turn not in gone


def test_dismissal_sends_home_everybody_who_stands_in_that_line():
    """Those under way, and those of other budgets, are left alone."""
    line = WaitQueue(rate_limits=RateLimits(job_reads=RateLimit(1)))
    under_way, waiting, gone, last = line.ask(), line.ask(), line.ask(), line.ask()
    reads = [line.ask(budget="job_reads") for _ in range(2)]
    line.throttle.leave(gone, 0.0)
    error = VoiceprintError("too long")
    line.throttle.dismiss("submissions", error)
    assert [line.told[turn] for turn in (waiting, gone, last)] == [[error], [], [error]]
    assert error not in line.told[under_way] + line.told[reads[0]] + line.told[reads[1]]
    assert line.throttle.queued == 1
    line.throttle.answered(under_way, 1.0)
    assert line.is_granted(line.ask(1.0))
    assert line.throttle.in_flight == 2


# The first of a budget


def be_answered(line: WaitQueue, turn: PermitRequest) -> None:
    line.throttle.answered(turn, 1.0)


def be_lost(line: WaitQueue, turn: PermitRequest) -> None:
    line.throttle.lost(turn, 1.0, until=TOTAL)


def never_be_sent(line: WaitQueue, turn: PermitRequest) -> None:
    line.throttle.leave(turn, 1.0)


@pytest.mark.parametrize(
    ("end", "granted_then"),
    [(be_answered, [True, True]), (be_lost, [True, False]), (never_be_sent, [True, False])],
)
def test_the_first_of_a_budget_goes_alone(end: Callable[[WaitQueue, PermitRequest], None], granted_then):
    """Its answer lets the others go; when it is lost or never sent, the next one is the first."""
    line = WaitQueue()
    first, *others = (line.ask() for _ in range(3))
    assert [line.is_granted(turn) for turn in (first, *others)] == [True, False, False]
    assert line.throttle.next_at(0.0) is None
    end(line, first)
    assert [line.is_granted(turn) for turn in others] == granted_then


def test_a_first_that_leaves_before_it_has_a_slot_makes_the_next_one_the_first():
    line = WaitQueue(max_concurrency=1)
    read = line.ask(budget="job_reads")
    first, second, third = line.ask(), line.ask(), line.ask()
    line.throttle.leave(first, 1.0)
    line.throttle.answered(read, 2.0)
    assert [line.is_granted(turn) for turn in (second, third)] == [True, False]
    line.throttle.answered(second, 3.0)
    assert line.is_granted(third)


# Others on the same key


@settings(deadline=None, max_examples=100)
@given(
    server=servers(limits=st.integers(2, 12)),
    earlier=st.lists(seconds(59.75), max_size=11),
    requests=st.lists(st.one_of(answered_requests(), unsent_requests()), min_size=1, max_size=24),
    concurrency=CONCURRENCY,
)
def test_a_restarted_program_does_not_overdraw(server, earlier, requests, concurrency):
    """The first answer says `Remaining: r`: no more than r others go within the window, and none is refused."""
    earlier = earlier[: server.limit - 1]  # of the last run; there is room for the first request of this one
    requests = [replace(request, asks_at=request.asks_at + 60.0) for request in requests]
    history = simulate(requests, server, foreign=earlier, max_concurrency=concurrency)
    assert history.all(What.REFUSED) == []
    for first in history.all(What.ANSWERED)[:1]:
        unsent = {entry.index for entry in history.all(What.UNSENT)}
        sent = [entry for entry in history.all(What.GRANTED) if entry.index not in unsent | {first.index}]
        assert sum(entry.at < first.at + server.per for entry in sent) <= history.remaining[first.index]


@pytest.mark.parametrize(("limit", "remaining", "further"), [(10, 9, 9), (10, 4, 4), (10, 1, 1), (10, 0, 0)])
def test_what_the_first_answer_leaves_is_all_that_goes_in_this_window(limit, remaining, further):
    line = WaitQueue()
    line.throttle.answered(line.ask(), 5.0, limit, remaining)
    turns = [line.ask(5.0) for _ in range(limit)]
    assert sum(line.is_granted(turn) for turn in turns) == further
    line.throttle.advance(64.75)
    assert sum(line.is_granted(turn) for turn in turns) == further
    line.throttle.advance(5.0 + 60.0 * TOGETHER)
    assert all(line.is_granted(turn) for turn in turns)


@settings(deadline=None, max_examples=100)
@given(
    server=servers(limits=st.integers(2, 12)),
    earlier=st.lists(seconds(59.75), max_size=11),
    count=st.integers(1, 24),
    ceiling=st.integers(1, 12),
)
def test_a_program_with_its_own_limit_takes_no_more_than_others_leave(server, earlier, count, ceiling):
    """What the others have taken counts only where it exceeds what our own limit leaves them."""
    earlier = earlier[: server.limit - 1]
    limits = RateLimits(submissions=RateLimit(ceiling))
    history = simulate([Request(60.0)] * count, server, foreign=earlier, rate_limits=limits)
    assert history.all(What.REFUSED) == []
    # The first answer leaves so many; our own limit is another bound.
    at_once = 1 + min(count - 1, min(ceiling, server.limit) - 1, history.remaining[0])
    assert sum(entry.at == 60.0 for entry in history.all(What.GRANTED)) == at_once


# A limit that is split among programs

SHARES = RateLimits(submissions=RateLimit(12))


@settings(deadline=None, max_examples=100)
@given(
    programs=st.integers(2, 8),
    share=st.integers(1, 3),
    spare=st.integers(0, 3),
    requests=st.lists(st.tuples(all_requests(), st.integers(0, 7)), min_size=1, max_size=40),
    kind=st.sampled_from([SlidingServer, FixedServer]),
)
def test_programs_that_split_a_limit_are_never_refused(programs, share, spare, requests, kind):
    """Whatever becomes of their requests: together they stay inside what the server allows."""
    server = kind(programs * share + spare)
    history = simulate(
        [replace(request, program=number % programs) for request, number in requests],
        server,
        rate_limits=RateLimits(submissions=RateLimit(share)),
        programs=programs,
    )
    assert history.all(What.REFUSED) == []


@settings(deadline=None, max_examples=100)
@given(
    ours=st.lists(st.builds(Request, asks_at=asking_times(), to_server=seconds(2)), min_size=1, max_size=24),
    others=st.lists(st.builds(Request, asks_at=asking_times(), to_server=seconds(2)), max_size=48),
    kind=st.sampled_from([SlidingServer, FixedServer]),
)
def test_a_program_uses_its_share_as_if_it_were_alone(ours, others, kind):
    """Other programs that stay inside their own shares delay none of its requests."""
    limits = RateLimits(submissions=RateLimit(2))
    others = [replace(request, program=1 + number % 3) for number, request in enumerate(others)]
    together = simulate([*ours, *others], kind(8), rate_limits=limits, programs=4).times(What.GRANTED)
    alone = simulate(ours, kind(8), rate_limits=limits).times(What.GRANTED)
    assert {index: together[index] for index in alone} == alone


@KINDS
def test_eight_programs_use_what_they_have_split(kind):
    """Eight times 12 of 100: at least 0.93 of 96 in each window, and no refusal."""
    windows, latency = 10, 0.5
    requests = [Request(0.0, latency, program=program) for program in range(8) for _ in range(12 * windows)]
    history = simulate(requests, kind(100), rate_limits=SHARES, programs=8)
    assert history.all(What.REFUSED) == []
    for window in range(windows - 1):
        accepted = [entry for entry in history.all(What.ANSWERED) if window <= entry.at / 61.0 < window + 1]
        assert len(accepted) >= 0.93 * 96


@KINDS
def test_a_light_program_beside_seven_busy_ones_goes_at_once(kind):
    busy = [Request(0.0, 0.25, program=program) for program in range(1, 8) for _ in range(12 * 10)]
    light = [Request(7.5 * number, 0.25) for number in range(60)]
    history = simulate([*light, *busy], kind(100), rate_limits=SHARES, programs=8)
    granted = history.times(What.GRANTED)
    assert [granted[index] - request.asks_at for index, request in enumerate(light)] == [0.0] * len(light)
    assert history.all(What.REFUSED) == []


# Places come back


@pytest.mark.parametrize(
    ("end", "from_when"),
    [
        (lambda throttle, turn: throttle.answered(turn, 7.0), 7.0),
        (lambda throttle, turn: throttle.lost(turn, 7.0, until=50.0), 50.0),
    ],
)
def test_a_place_comes_back_one_window_after_the_server_can_have_seen_its_request(end, from_when):
    """Counted from the answer, or from the last moment of one that is lost; `next_at` says when to look."""
    line = WaitQueue(rate_limits=RateLimits(submissions=RateLimit(2, per=10.0)))
    line.learned(-100.0)
    turns = [line.ask(), line.ask()]
    for turn in turns:
        end(line.throttle, turn)
    waiting = line.ask(8.0)
    line.throttle.advance(from_when + 9.99)
    assert not line.is_granted(waiting)
    opens_at = line.throttle.next_at(from_when + 9.99)
    assert from_when + 10.0 <= opens_at <= from_when + 10.0 * TOGETHER + 1e-9
    line.throttle.advance(opens_at)
    assert line.is_granted(waiting)


def test_a_request_that_was_never_sent_gives_its_place_back_at_once():
    line = WaitQueue(rate_limits=RateLimits(submissions=RateLimit(2))).learned()
    unsent, waiting = line.ask(), line.ask()
    assert not line.is_granted(waiting)
    line.throttle.leave(unsent, 1.0)
    assert line.is_granted(waiting)


def test_leaving_is_harmless_when_repeated_and_after_the_end():
    """A caller may clean up without knowing how far its request had come."""
    line = WaitQueue(max_concurrency=2).learned()
    answered, twice, waiting = line.ask(), line.ask(), line.ask()
    line.throttle.answered(answered, 1.0)
    line.throttle.leave(answered, 1.0)
    line.throttle.leave(twice, 1.0)
    line.throttle.leave(twice, 1.0)
    assert line.is_granted(waiting)
    assert (line.throttle.in_flight, line.throttle.queued) == (1, 0)


@KINDS
@pytest.mark.parametrize("latency", [0.0, 0.5, 10.0, 60.0])
def test_the_limit_is_used_but_for_three_in_a_hundred(kind, latency):
    """Over many windows, with a constant latency, at least 0.97 of limit / (window + latency) go through."""
    limit, windows = 20, 40
    history = simulate([Request(0.0, latency / 2, latency / 2)] * (limit * windows), kind(limit))
    assert history.all(What.REFUSED) == []
    throughput = limit * windows / history.log[-1].at
    assert throughput >= 0.97 * limit / (60.0 + latency)


# How long the wait will be


def test_no_wait_is_expected_while_a_place_is_free():
    """Neither before anything was sent, nor with all but one place in use; then one place's way back."""
    line = WaitQueue(rate_limits=RateLimits(submissions=RateLimit(3, per=10.0)))
    expected = [line.throttle.expected_wait("submissions", 0.0)]
    line.learned()
    for _ in range(2):
        expected.append(line.throttle.expected_wait("submissions", 0.0))
        line.ask()
    assert expected == [0.0, 0.0, 0.0]
    assert 10.0 <= line.throttle.expected_wait("submissions", 0.0) <= 10.0 * TOGETHER
    assert line.throttle.expected_wait("job_reads", 0.0) == 0.0


def test_the_pause_of_a_refusal_is_expected():
    line = WaitQueue().learned()
    line.throttle.refused(line.ask(), 0.0, wait=30.0)
    assert line.throttle.expected_wait("submissions", 10.0) == 20.0


@pytest.mark.parametrize(("wait", "expected"), [(5.0, 10.0), (30.0, 30.0)])
def test_the_longer_of_pause_and_way_back_is_expected(wait, expected):
    """A place that is free before the pause is over helps nobody."""
    line = WaitQueue(rate_limits=RateLimits(submissions=RateLimit(2, per=10.0))).learned()
    line.throttle.refused(line.ask(), 0.0, wait)
    assert line.throttle.expected_wait("submissions", 0.0) == pytest.approx(expected, rel=2e-3)


def test_a_line_that_is_paused_is_expected_to_move_only_after_the_pause():
    """One place, two in line: one goes at 30, one at 40, and the newcomer at 50."""
    line = WaitQueue(rate_limits=RateLimits(submissions=RateLimit(1, per=10.0)))
    line.throttle.refused(line.ask(), 0.0, wait=30.0)
    line.ask()
    assert line.throttle.expected_wait("submissions", 0.0) == pytest.approx(50.0, rel=2e-3)


@settings(deadline=None, max_examples=100)
@given(
    asked_at=st.lists(asking_times(), min_size=1, max_size=40),
    latency=seconds(20),
    limit=st.integers(1, 6),
)
def test_the_expected_wait_is_right_but_for_the_latencies_on_the_way(asked_at, latency, limit):
    """It is never too long; what it lacks is one latency (and one rounding) for each round before it."""
    requests = [Request(when, to_server=latency) for when in asked_at]
    rate_limits = RateLimits(submissions=RateLimit(limit))
    history = simulate(requests, SlidingServer(limit), rate_limits=rate_limits)
    rounds = ceil(len(requests) / limit) + 1
    granted = history.times(What.GRANTED)
    lacking = [granted[index] - requests[index].asks_at - told for index, told in history.expected.items()]
    assert min(lacking) >= -1e-6
    assert max(lacking) <= rounds * (latency + 60.0 * (TOGETHER - 1.0)) + 1e-6


# Bounds


def contents(room: object) -> list[object]:
    names = room.__slots__ if hasattr(room, "__slots__") else vars(room)
    return [getattr(room, name) for name in names]


def entries(throttle: RateLimiter) -> int:
    """Everything that is kept in a collection."""
    budgets = throttle._budgets.values()
    rooms = [throttle, *budgets, *(cooling for budget in budgets for cooling in (budget._cooling, budget._others))]
    return sum(len(kept) for room in rooms for kept in contents(room) if hasattr(kept, "__len__"))


def test_a_budget_remembers_a_thousand_moments_however_large_its_limit_is():
    """After 100,000 answers within one window of a million places."""
    line = WaitQueue(rate_limits=RateLimits(submissions=RateLimit(10**6)))
    throttle, most, known = line.throttle, 0, entries(line.throttle)
    for number in range(100_000):
        now = number * 60.0 / 100_000
        throttle.answered(throttle.ask("submissions", now, print), now, limit=10**6)
        if number % 1000 == 0:
            most = max(most, entries(throttle))
    assert throttle._budgets["submissions"].in_use == 100_000
    assert most - known <= 1010


@pytest.mark.parametrize(
    ("waits_for", "settings"),
    [
        ("place", {"rate_limits": RateLimits(submissions=RateLimit(2))}),
        ("slot", {"max_concurrency": 1}),
    ],
)
def test_waiters_that_left_are_forgotten(waits_for, settings):
    """However many came and went while nothing else happened."""
    line = WaitQueue(**settings).learned()
    line.ask()
    known = entries(line.throttle)
    for _ in range(5000):
        turn = line.throttle.ask("submissions", 1.0, print)
        line.throttle.leave(turn, 1.0)
    assert line.throttle.queued == 0
    assert entries(line.throttle) - known <= 2000


def test_what_it_shows_of_itself():
    line = WaitQueue(max_concurrency=3, rate_limits=RateLimits(submissions=RateLimit(2)))
    line.learned()
    line.ask()
    line.ask()
    assert repr(line.throttle) == "<Throttle in_flight=1/3 queued=1>"
