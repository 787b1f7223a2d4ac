"""The promises of the scheduler, against models of the API's two documented windows."""

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
    Server,
    SimulatedOutcome,
    SlidingServer,
    What,
    simulate,
)

from pyannote_voiceprint_async import RateLimit, RateLimiter, RateLimits, VoiceprintError
from pyannote_voiceprint_async.ratelimit.permit_request import PermitRequest, PermitState
from pyannote_voiceprint_async.ratelimit.scheduler import PermitScheduler

# Permits that return within a thousandth of a window return together.
TOGETHER = 1.001
KINDS = pytest.mark.parametrize("kind", [SlidingServer, FixedServer])


# Strategies


def seconds(longest: float) -> st.SearchStrategy[float]:
    """Return multiples of a quarter of a second, up to `longest`."""
    return st.integers(0, int(longest * 4)).map(lambda quarters: quarters / 4)


def request_times() -> st.SearchStrategy[float]:
    """Return times of bursts and of single requests."""
    return st.one_of(st.just(0.0), st.sampled_from([1.0, 60.0, 61.0]), seconds(200))


def successful_requests(operation: str = "submissions") -> st.SearchStrategy[Request]:
    return st.builds(
        Request,
        requested_at=request_times(),
        to_server=seconds(30),
        to_client=seconds(30),
        operation=st.just(operation),
    )


def unsent_requests(operation: str = "submissions") -> st.SearchStrategy[Request]:
    return st.builds(
        Request,
        requested_at=request_times(),
        to_client=seconds(10),
        outcome=st.just(SimulatedOutcome.UNSENT),
        operation=st.just(operation),
    )


def all_requests(operation: str = "submissions") -> st.SearchStrategy[Request]:
    """Return requests that get a response, are lost, never sent, or cancelled while they wait."""
    lost = st.builds(
        Request,
        requested_at=request_times(),
        to_server=st.one_of(st.none(), st.just(TOTAL), seconds(TOTAL)),
        to_client=seconds(TOTAL),
        outcome=st.just(SimulatedOutcome.LOST),
        operation=st.just(operation),
    )
    impatient = st.builds(
        replace, st.one_of(successful_requests(operation), lost), patience=st.one_of(st.just(0.0), seconds(100))
    )
    answered = successful_requests(operation)
    return st.one_of(answered, answered, lost, unsent_requests(operation), impatient)


FEW = st.integers(1, 6)


@st.composite
def servers(draw: st.DrawFn, *, per: float = 60.0, limits: st.SearchStrategy[int] = FEW) -> Server:
    """Return a server with either kind of window, at any phase."""
    limit = draw(limits)
    if draw(st.booleans()):
        return SlidingServer(limit, per)
    return FixedServer(limit, per, phase=draw(seconds(per - 0.25)))


@dataclass
class Scenario:
    """Requests, and the server that receives them."""

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
def scenarios(draw: st.DrawFn, requests: st.SearchStrategy[Request]) -> Scenario:
    """Return scenarios in which the client has the default limit of 100, and must learn the limit of the server."""
    return Scenario(
        requests=draw(st.lists(requests, min_size=1, max_size=24)),
        server=draw(servers()),
        max_concurrency=draw(CONCURRENCY),
    )


@st.composite
def scenarios_with_a_known_limit(draw: st.DrawFn, requests: st.SearchStrategy[Request]) -> Scenario:
    """Return scenarios in which the user sets at most the limit of the server, which may send no headers."""
    per = draw(st.sampled_from([1.0, 10.0, 60.0]))
    server = draw(servers(per=per))
    server.sends_headers = draw(st.booleans())
    ceiling = RateLimit(draw(st.integers(1, server.limit)), per)
    return Scenario(
        requests=draw(st.lists(requests, min_size=1, max_size=24)),
        server=server,
        rate_limits=RateLimits(submissions=ceiling),
        max_concurrency=draw(CONCURRENCY),
    )


def any_scenario() -> st.SearchStrategy[Scenario]:
    return st.one_of(scenarios(all_requests()), scenarios_with_a_known_limit(all_requests()))


# A client alone on its key gets no 429


@settings(deadline=None, max_examples=150)
@given(scenario=scenarios(successful_requests()))
def test_a_client_alone_on_its_key_is_never_refused_at_any_latency(scenario):
    """All requests get a response, and the first one shows the limit."""
    history = scenario.run()
    assert history.all(What.REFUSED) == []
    assert len(history.all(What.ANSWERED)) == len(scenario.requests)


@settings(deadline=None, max_examples=150)
@given(scenario=scenarios_with_a_known_limit(all_requests()))
def test_lost_unsent_and_cancelled_requests_cause_no_refusal(scenario):
    """A lost request holds its permit until the server cannot see it any more; the others hold none."""
    assert scenario.run().all(What.REFUSED) == []


@settings(deadline=None, max_examples=100)
@given(scenario=scenarios(all_requests()))
def test_lost_requests_cause_no_refusal_once_the_limit_is_known(scenario):
    """Only before the first response may lost requests exceed the limit, because it is still unknown."""
    history = scenario.run()
    first_response = next((entry.at for entry in history.all(What.ANSWERED, What.REFUSED)), 0.0)
    assert [refused for refused in refused_grants(history) if refused.at > first_response] == []


@KINDS
@pytest.mark.parametrize("limit", [1, 99, 101, 250])
def test_a_limit_other_than_the_default_is_used_in_full_from_the_second_request(kind, limit):
    """The first response shows the limit: the rest of the first window is granted at once, without a refusal."""
    history = simulate([Request(0.0, to_server=1.0)] * (limit + 10), kind(limit), max_concurrency=1000)
    assert [entry.at for entry in history.all(What.GRANTED)][:limit] == [0.0] + [1.0] * (limit - 1)
    assert len(history.all(What.ANSWERED)) == limit + 10
    assert history.all(What.REFUSED) == []


@settings(deadline=None, max_examples=100)
@given(
    scenario=scenarios(successful_requests()),
    when=seconds(150),
    limit=st.integers(1, 8),
)
def test_a_new_limit_causes_no_refusal_once_it_is_known(scenario, when, limit):
    """A request granted after the first response with the new limit, and the last with the old one, gets no 429."""
    history = scenario.run(later_limit=(when, limit))
    settled = knows_new_limit_at(history, when)
    assert [refused for refused in refused_grants(history) if refused.at > settled] == []
    assert len(history.all(What.ANSWERED)) == len(scenario.requests)


def test_requests_without_a_slot_return_their_permit_when_the_limit_is_lowered():
    """A permit of the old limit is invalid under the new one: an unsent request waits again."""
    harness = Harness(max_concurrency=1).learned(0.0, limit=10)
    first, placed = harness.request(100.0), harness.request(100.0)
    harness.scheduler.record_response(first, 101.0, limit=1)
    assert not harness.is_granted(placed)
    harness.scheduler.grant_waiting(101.0 + 60.0 * TOGETHER)
    assert harness.is_granted(placed)


def refused_grants(history: History) -> list:
    """Return the grants whose requests were refused."""
    granted, refused = {}, []
    for entry in history.log:
        if entry.what is What.GRANTED:
            granted[entry.index] = entry
        elif entry.what is What.REFUSED:
            refused.append(granted[entry.index])
    return refused


def knows_new_limit_at(history: History, when: float) -> float:
    """Return when a response sent after `when` has arrived, and every response sent before has arrived too."""
    heard = history.all(What.ANSWERED, What.REFUSED)
    seen_at = {entry: entry.at - history.requests[entry.index].to_client for entry in heard}
    last_old = max((entry.at for entry in heard if seen_at[entry] <= when), default=0.0)
    return min((entry.at for entry in heard if seen_at[entry] > when and entry.at > last_old), default=float("inf"))


# Every request gets its permit, in order


@settings(deadline=None, max_examples=150)
@given(scenario=any_scenario())
def test_no_request_starves(scenario):
    """Every request ends or is cancelled, within a time that follows from limit, latencies and slots."""
    history = scenario.run()
    over = {entry.index for entry in history.log if entry.what in ENDS | {What.LEFT}}
    assert over == set(range(len(scenario.requests)))
    assert history.log[-1].at <= latest_end(scenario)


def latest_end(scenario: Scenario) -> float:
    """Return the latest time at which the last request ends.

    In the worst case, all requests are in the queue when the last one arrives. Until the first response, they are sent
    one by one. After it, every permit of the limit is granted once per round: a permit is held while its request waits
    for a slot, while it is in flight (a lost one until the server cannot see it any more), and for one window after it.
    """
    count = len(scenario.requests)
    ceiling = scenario.rate_limits.submissions
    limit = min(scenario.server.limit, ceiling.limit) if ceiling else scenario.server.limit
    flight = max(request.in_flight for request in scenario.requests)
    slot = ceil(count / scenario.max_concurrency) * flight
    unanswered = sum(request.outcome is not SimulatedOutcome.ANSWERED for request in scenario.requests)
    held = TOTAL if unanswered else flight
    round_trip = slot + held + scenario.server.per * TOGETHER
    last_asked = max(request.requested_at for request in scenario.requests)
    refused_before_limit_is_known = (
        scenario.server.per + flight
    )  # lost requests may exceed a limit that is not known yet
    return (
        last_asked
        + (unanswered + 1) * (flight + slot)
        + refused_before_limit_is_known
        + (ceil(count / limit) + 1) * round_trip
    )


@settings(deadline=None, max_examples=100)
@given(scenario=any_scenario(), foreign=st.lists(seconds(200), max_size=12))
def test_first_come_first_served_and_refused_requests_keep_their_position(scenario, foreign):
    """A grant goes to the request that was made first among those that wait."""
    waiting: set[int] = set()
    asked: dict[int, int] = {}
    for entry in scenario.run(foreign=foreign).log:
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
@given(scenario=any_scenario(), foreign=st.lists(seconds(200), max_size=12))
def test_no_more_requests_than_slots_are_in_flight_and_every_permit_returns(scenario, foreign):
    """In the end no slot, no permit and no waiting request is left."""
    history = scenario.run(foreign=foreign)
    in_flight = 0
    for entry in history.log:
        in_flight += entry.what is What.GRANTED
        in_flight -= entry.what in ENDS | {What.REFUSED}
        assert 0 <= in_flight <= scenario.max_concurrency
    scheduler, long_after = history.scheduler, history.log[-1].at + 1000.0
    assert (scheduler.in_flight, scheduler.queued) == (0, 0)
    assert scheduler.next_grant_at(long_after) is None
    assert scheduler.expected_wait("submissions", long_after) == 0.0
    assert scheduler._windows["submissions"].in_use == 0


@settings(deadline=None, max_examples=100)
@given(scenario=any_scenario())
def test_a_request_that_is_cancelled_while_it_waits_uses_no_permit(scenario):
    """Without the cancelled requests, the others are granted at exactly the same times."""
    history = scenario.run()
    sent = {entry.index for entry in history.all(What.GRANTED)}
    gone = {entry.index for entry in history.all(What.LEFT)} - sent
    stayed = [index for index in range(len(scenario.requests)) if index not in gone]
    alone = scenario.run([scenario.requests[index] for index in stayed])
    granted = [(entry.at, entry.index) for entry in history.all(What.GRANTED)]
    assert granted == [(entry.at, stayed[entry.index]) for entry in alone.all(What.GRANTED)]


def test_a_new_request_does_not_overtake_the_queue_when_the_timer_is_late():
    """A permit is free but not granted yet: the first request in the queue gets it."""
    harness = Harness(rate_limits=RateLimits(submissions=RateLimit(1, per=10.0))).learned()
    waiting = harness.request()
    new_request = harness.request(11.0)
    assert [harness.is_granted(permit) for permit in (waiting, new_request)] == [True, False]


# Operations are independent of each other


@settings(deadline=None, max_examples=50)
@given(
    requests=st.lists(st.one_of(all_requests("submissions"), all_requests("job_reads")), min_size=1, max_size=24),
    submissions=servers(),
    foreign=st.lists(seconds(200), max_size=12),
)
def test_an_exhausted_or_paused_operation_does_not_affect_another(requests, submissions, foreign):
    """With enough slots, job reads are granted as if there were no submissions."""

    def grants_of_reads(requests: list[Request], foreign: list[float]) -> list[tuple[float, int]]:
        submissions.admitted.clear()
        both = {"submissions": submissions, "job_reads": SlidingServer(2)}
        history = simulate(requests, both, max_concurrency=len(requests) + 1, foreign=foreign)
        reads = [index for index, request in enumerate(requests) if request.operation == "job_reads"]
        return [(e.at, reads.index(e.index)) for e in history.all(What.GRANTED) if e.index in reads]

    alone = [request for request in requests if request.operation == "job_reads"]
    assert grants_of_reads(requests, foreign) == grants_of_reads(alone, [])


@pytest.mark.parametrize("hindrance", ["full", "paused", "first under way"])
def test_a_request_of_another_operation_gets_the_free_slot(hindrance):
    """Submissions that wait for a permit hold no slot: a job read is granted at once."""
    harness = Harness(max_concurrency=2, rate_limits=RateLimits(submissions=RateLimit(1)))
    first = harness.request()
    if hindrance == "full":
        harness.scheduler.record_response(first, 0.0)
    elif hindrance == "paused":
        harness.scheduler.record_refusal(first, 0.0, wait=10.0)
    waiting = harness.request()
    assert harness.is_granted(harness.request(operation="job_reads"))
    assert not harness.is_granted(waiting)


# A refusal


@settings(deadline=None, max_examples=150)
@given(scenario=scenarios(all_requests()), foreign=st.lists(seconds(200), min_size=1, max_size=30))
def test_a_refusal_pauses_the_operation_and_then_one_probe_is_sent(scenario, foreign):
    """No request is granted during the pause; after it, the next grant follows the end of the probe."""
    history = scenario.run(foreign=foreign)
    paused_until, probe, needs_probe = 0.0, None, False
    for position, entry in enumerate(history.log):
        match entry.what:
            case What.REFUSED:
                paused_until, probe, needs_probe = max(paused_until, history.pauses[position]), None, True
            case What.GRANTED:
                assert entry.at >= paused_until
                assert probe is None
                probe = entry.index if needs_probe else None
            case What.ANSWERED if entry.index == probe:
                probe, needs_probe = None, False
            case What.LOST | What.UNSENT if entry.index == probe:
                probe = None


@settings(deadline=None, max_examples=100)
@given(scenario=scenarios(successful_requests()), foreign=st.lists(seconds(200), max_size=30))
def test_no_request_starves_beside_another_program(scenario, foreign):
    """When the other program has stopped, all requests end within two windows more than alone."""
    history = scenario.run(foreign=foreign)
    assert len(history.all(What.ANSWERED)) == len(scenario.requests)
    flight = max(request.in_flight for request in scenario.requests)
    gone = max(foreign, default=0.0)
    # The pause of a refusal ends within one window, and the permits of the other program return within another one.
    assert history.log[-1].at <= max(gone, 0.0) + 2 * (scenario.server.per * TOGETHER + flight) + latest_end(scenario)


class Harness:
    """A scheduler, and the notifications of each of its requests."""

    def __init__(self, **settings: object) -> None:
        self.scheduler = RateLimiter(**settings).scheduler  # type: ignore[arg-type]
        self.notified: dict[PermitRequest, list[VoiceprintError | None]] = {}

    def request(self, now: float = 0.0, operation: str = "submissions", **bounds: float) -> PermitRequest:
        notifications: list[VoiceprintError | None] = []
        permit = self.scheduler.request(operation, now, notifications.append, **bounds)
        self.notified[permit] = notifications
        return permit

    def learned(self, now: float = 0.0, operation: str = "submissions", limit: int | None = None) -> "Harness":
        """Record the response of a first request, which shows the limit."""
        self.scheduler.record_response(self.request(now, operation), now, limit)
        return self

    @staticmethod
    def is_granted(permit: PermitRequest) -> bool:
        return permit.state is PermitState.GRANTED


def test_requests_without_a_slot_return_their_permit_after_a_refusal():
    """The slot of the refused request goes to another operation, not to the next refusal."""
    harness = Harness(max_concurrency=1).learned(operation="submissions").learned(operation="job_reads")
    refused, placed, read = harness.request(), harness.request(), harness.request(operation="job_reads")
    harness.scheduler.record_refusal(refused, 1.0, wait=10.0)
    assert [harness.is_granted(permit) for permit in (refused, placed, read)] == [False, False, True]
    harness.scheduler.record_response(read, 2.0)
    harness.scheduler.grant_waiting(11.0)
    assert [harness.is_granted(permit) for permit in (refused, placed)] == [True, False]
    harness.scheduler.record_response(refused, 12.0)
    assert harness.is_granted(placed)


def test_a_burst_of_refusals_counts_as_one():
    """The next refusal counts again, and a response of the probe resets the count."""
    harness = Harness().learned()
    burst = [harness.request() for _ in range(5)]
    for permit in burst:
        harness.scheduler.record_refusal(permit, 1.0, wait=10.0)
    assert harness.scheduler.refusals("submissions") == 1
    harness.scheduler.grant_waiting(11.0)
    harness.scheduler.record_refusal(burst[0], 12.0, wait=10.0)
    assert harness.scheduler.refusals("submissions") == 2
    harness.scheduler.grant_waiting(22.0)
    harness.scheduler.record_response(burst[0], 23.0)
    assert harness.scheduler.refusals("submissions") == 0


def test_a_response_to_another_request_of_the_burst_does_not_end_the_pause():
    """That request was sent before the refusal, so its response does not show whether the pause is over."""
    harness = Harness().learned()
    refused, answered, waiting = harness.request(), harness.request(), None
    harness.scheduler.record_refusal(refused, 1.0, wait=10.0)
    harness.scheduler.record_response(answered, 2.0)
    waiting = harness.request(3.0)
    harness.scheduler.grant_waiting(11.0)
    assert [harness.is_granted(permit) for permit in (refused, waiting)] == [True, False]
    assert harness.scheduler.refusals("submissions") == 1


@pytest.mark.parametrize(("waits", "until"), [((10.0, 5.0), 11.0), ((5.0, 10.0), 11.0), ((5.0, 5.0), 6.0)])
def test_the_longest_requested_pause_counts(waits, until):
    harness = Harness().learned()
    burst = [harness.request() for _ in waits]
    for permit, wait in zip(burst, waits, strict=True):
        harness.scheduler.record_refusal(permit, 1.0, wait)
    assert harness.scheduler.pause_left("submissions", 2.0) == until - 2.0
    assert harness.scheduler.next_grant_at(2.0) == until
    harness.scheduler.grant_waiting(until - 0.25)
    assert [harness.is_granted(permit) for permit in burst] == [False, False]
    harness.scheduler.grant_waiting(until)
    assert [harness.is_granted(permit) for permit in burst] == [True, False]
    assert harness.scheduler.pause_left("submissions", until) == 0.0


def test_a_refusal_shows_the_limit_and_uses_no_permit():
    harness = Harness()
    refused = harness.request()
    harness.scheduler.record_refusal(refused, 0.0, wait=1.0, limit=2)
    harness.scheduler.grant_waiting(1.0)
    harness.scheduler.record_response(refused, 1.0, limit=2)
    later = [harness.request(1.0), harness.request(1.0)]
    assert harness.scheduler.limit("submissions") == 2
    assert [harness.is_granted(permit) for permit in later] == [True, False]


@pytest.mark.parametrize(("wait", "pause"), [(599.0, 599.0), (601.0, 600.0), (1.8e12, 600.0)])
def test_a_pause_ends_in_one_probe_after_ten_minutes(wait, pause):
    """The server may request a pause of any length."""
    harness = Harness().learned()
    refused = harness.request()
    harness.scheduler.record_refusal(refused, 1.0, wait)
    waiting = harness.request(2.0)
    harness.scheduler.grant_waiting(pause)
    assert not harness.is_granted(refused)
    harness.scheduler.grant_waiting(1.0 + pause)
    assert [harness.is_granted(permit) for permit in (refused, waiting)] == [True, False]


def test_a_pause_becomes_long_once():
    """A burst of refusals makes the pause long once, and the next pause counts again."""
    harness = Harness().learned()
    is_long = []
    burst = [harness.request() for _ in range(5)]
    for now, (permit, wait) in enumerate(zip(burst, [5.0, 30.0, 30.0, 5.0, 60.0], strict=True)):
        is_long.append(harness.scheduler.record_refusal(permit, 1.0 + now, wait))
    assert is_long == [False, True, False, False, False]
    harness.scheduler.grant_waiting(100.0)
    assert harness.scheduler.record_refusal(burst[0], 101.0, 10.0) is False
    harness.scheduler.grant_waiting(200.0)
    assert harness.scheduler.record_refusal(burst[0], 201.0, 10.5) is True


# Requests that would wait too long


def test_a_refusal_removes_requests_whose_expected_wait_is_too_long():
    """The wait so far counts, the round trip of the refused request does not; later requests move up."""
    harness = Harness(rate_limits=RateLimits(submissions=RateLimit(3, per=10.0))).learned(-20.0)
    refused = harness.request(0.0, max_queue_wait=10.0)
    under_way = [harness.request(0.0) for _ in range(2)]
    early = harness.request(1.0, max_queue_wait=17.0)
    late = harness.request(6.0, max_queue_wait=17.0)
    patient, second = harness.request(6.0), harness.request(6.0, max_queue_wait=25.0)
    for permit in under_way:
        harness.scheduler.record_response(permit, 2.0)
    harness.scheduler.record_refusal(refused, 9.0, wait=10.0)  # it waits since 9, so until 19
    assert harness.scheduler.remove_overdue("submissions", 9.0) == [early]
    assert early.expected_wait == 10.0
    assert [permit.expected_wait for permit in (refused, late, patient, second)] == [None] * 4
    assert harness.scheduler.queued == 4
    harness.scheduler.grant_waiting(19.0)
    harness.scheduler.record_response(refused, 19.0)
    assert [harness.is_granted(permit) for permit in (early, late, patient, second)] == [False, True, True, False]


@pytest.mark.parametrize("limit_and_remaining", [(1, 0), (1, None)])
def test_a_lowered_limit_removes_requests_that_would_wait_too_long(limit_and_remaining):
    """A lowered limit makes waits longer, as a refusal does."""
    harness = Harness(rate_limits=RateLimits(submissions=RateLimit(4, per=10.0))).learned(-20.0)
    first, second, *_ = [harness.request() for _ in range(4)]
    waiting, patient = harness.request(max_queue_wait=10.5), harness.request()
    assert harness.scheduler.record_response(first, 0.0, 4, 3) is False
    assert harness.scheduler.remove_overdue("submissions", 0.0) == []
    assert harness.scheduler.record_response(second, 1.0, *limit_and_remaining) is True
    assert harness.scheduler.remove_overdue("submissions", 1.0) == [waiting]
    assert (waiting.expected_wait, patient.expected_wait) == (pytest.approx(10.0, rel=2e-3), None)


@pytest.mark.parametrize(("asked_at", "ends_at"), [(0.0, 240.0), (100.0, 360.0)])
def test_a_request_is_refused_no_longer_than_its_max_elapsed(asked_at, ends_at):
    """Counted from the first refusal in a row or from when the permit was requested, whichever is later."""
    harness = Harness().learned()
    probe = harness.request()
    harness.scheduler.record_refusal(probe, 0.0, wait=120.0)
    call, ended, now = harness.request(asked_at, max_elapsed=300.0), [], 0.0
    while not ended and now < 1000.0:
        now += 120.0
        harness.scheduler.grant_waiting(now)
        harness.scheduler.record_refusal(probe, now, wait=120.0)
        ended = harness.scheduler.remove_overdue("submissions", now)
    assert (ended, now, call.expected_wait) == ([call], ends_at, None)


def test_a_response_ends_the_refusals_in_a_row():
    harness = Harness().learned()
    probe = harness.request()
    for now in (0.0, 120.0):
        harness.scheduler.record_refusal(probe, now, wait=120.0)
        harness.scheduler.grant_waiting(now + 120.0)
    waiting = harness.request(240.0, max_elapsed=300.0)
    harness.scheduler.record_response(probe, 240.0)
    harness.scheduler.record_refusal(waiting, 240.0, wait=120.0)
    assert harness.scheduler.remove_overdue("submissions", 240.0) == []


@settings(deadline=None, max_examples=100)
@given(
    limit=st.integers(1, 5),
    answers=st.lists(seconds(9.75), max_size=5),
    waits=st.lists(seconds(60), min_size=1, max_size=20),
    wait=seconds(30),
)
def test_the_remaining_requests_are_expected_to_be_granted_in_time(limit, answers, waits, wait):
    """A removed request would not have been granted in time, at its position among the remaining ones."""
    harness = Harness(rate_limits=RateLimits(submissions=RateLimit(limit, per=10.0))).learned(-100.0)
    permits = [harness.request() for _ in range(limit)]
    refused, *others = permits
    queue = [harness.request(max_queue_wait=longest) for longest in waits]
    for permit, now in zip(others, sorted(answers), strict=False):
        harness.scheduler.record_response(permit, now)
    harness.scheduler.record_refusal(refused, 10.0, wait)
    gone = harness.scheduler.remove_overdue("submissions", 10.0)
    operation = harness.scheduler._windows["submissions"]
    assert harness.scheduler.remove_overdue("submissions", 10.0) == []
    position = 1 + (refused.state is PermitState.WAITING_FOR_PERMIT)
    for permit, longest in zip(queue, waits, strict=True):
        if permit.state is PermitState.GRANTED:
            continue
        expected = 10.0 + operation.expected_wait(position, 10.0)
        assert (permit in gone) == (expected > longest)
        position += permit not in gone


def test_reject_waiting_removes_every_waiting_request_of_the_operation():
    """Requests in flight and requests of other operations stay."""
    harness = Harness(rate_limits=RateLimits(job_reads=RateLimit(1)))
    under_way, waiting, gone, last = harness.request(), harness.request(), harness.request(), harness.request()
    reads = [harness.request(operation="job_reads") for _ in range(2)]
    harness.scheduler.cancel(gone, 0.0)
    error = VoiceprintError("too long")
    harness.scheduler.reject_waiting("submissions", error)
    assert [harness.notified[permit] for permit in (waiting, gone, last)] == [[error], [], [error]]
    assert error not in harness.notified[under_way] + harness.notified[reads[0]] + harness.notified[reads[1]]
    assert harness.scheduler.queued == 1
    harness.scheduler.record_response(under_way, 1.0)
    assert harness.is_granted(harness.request(1.0))
    assert harness.scheduler.in_flight == 2


# The first request of an operation


def get_a_response(harness: Harness, permit: PermitRequest) -> None:
    harness.scheduler.record_response(permit, 1.0)


def get_lost(harness: Harness, permit: PermitRequest) -> None:
    harness.scheduler.record_no_response(permit, 1.0, deadline=TOTAL)


def stay_unsent(harness: Harness, permit: PermitRequest) -> None:
    harness.scheduler.cancel(permit, 1.0)


@pytest.mark.parametrize(
    ("end", "granted_then"),
    [(get_a_response, [True, True]), (get_lost, [True, False]), (stay_unsent, [True, False])],
)
def test_the_first_request_of_an_operation_is_sent_alone(end: Callable[[Harness, PermitRequest], None], granted_then):
    """Its response releases the others; if it is lost or never sent, the next request is the first one."""
    harness = Harness()
    first, *others = (harness.request() for _ in range(3))
    assert [harness.is_granted(permit) for permit in (first, *others)] == [True, False, False]
    assert harness.scheduler.next_grant_at(0.0) is None
    end(harness, first)
    assert [harness.is_granted(permit) for permit in others] == granted_then


def test_when_the_first_request_is_cancelled_before_it_has_a_slot_the_next_one_is_sent_alone():
    harness = Harness(max_concurrency=1)
    read = harness.request(operation="job_reads")
    first, second, third = harness.request(), harness.request(), harness.request()
    harness.scheduler.cancel(first, 1.0)
    harness.scheduler.record_response(read, 2.0)
    assert [harness.is_granted(permit) for permit in (second, third)] == [True, False]
    harness.scheduler.record_response(second, 3.0)
    assert harness.is_granted(third)


# Other programs with the same key


@settings(deadline=None, max_examples=100)
@given(
    server=servers(limits=st.integers(2, 12)),
    earlier=st.lists(seconds(59.75), max_size=11),
    requests=st.lists(st.one_of(successful_requests(), unsent_requests()), min_size=1, max_size=24),
    concurrency=CONCURRENCY,
)
def test_a_restarted_program_does_not_exceed_the_limit(server, earlier, requests, concurrency):
    """If the first response has `Remaining: r`, only r more requests are granted in the window, without a refusal."""
    earlier = earlier[: server.limit - 1]  # of the last run; there is room for the first request of this one
    requests = [replace(request, requested_at=request.requested_at + 60.0) for request in requests]
    history = simulate(requests, server, foreign=earlier, max_concurrency=concurrency)
    assert history.all(What.REFUSED) == []
    for first in history.all(What.ANSWERED)[:1]:
        unsent = {entry.index for entry in history.all(What.UNSENT)}
        sent = [entry for entry in history.all(What.GRANTED) if entry.index not in unsent | {first.index}]
        assert sum(entry.at < first.at + server.per for entry in sent) <= history.remaining[first.index]


@pytest.mark.parametrize(("limit", "remaining", "further"), [(10, 9, 9), (10, 4, 4), (10, 1, 1), (10, 0, 0)])
def test_only_the_remaining_permits_of_the_first_response_are_granted_in_its_window(limit, remaining, further):
    harness = Harness()
    harness.scheduler.record_response(harness.request(), 5.0, limit, remaining)
    permits = [harness.request(5.0) for _ in range(limit)]
    assert sum(harness.is_granted(permit) for permit in permits) == further
    harness.scheduler.grant_waiting(64.75)
    assert sum(harness.is_granted(permit) for permit in permits) == further
    harness.scheduler.grant_waiting(5.0 + 60.0 * TOGETHER)
    assert all(harness.is_granted(permit) for permit in permits)


@settings(deadline=None, max_examples=100)
@given(
    server=servers(limits=st.integers(2, 12)),
    earlier=st.lists(seconds(59.75), max_size=11),
    count=st.integers(1, 24),
    ceiling=st.integers(1, 12),
)
def test_a_program_with_a_ceiling_uses_no_more_than_others_leave(server, earlier, count, ceiling):
    """Requests of others count only where they exceed what our ceiling leaves them."""
    earlier = earlier[: server.limit - 1]
    limits = RateLimits(submissions=RateLimit(ceiling))
    history = simulate([Request(60.0)] * count, server, foreign=earlier, rate_limits=limits)
    assert history.all(What.REFUSED) == []
    # The first response shows the remaining permits; the ceiling is another bound.
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
    """Together the programs stay within the limit of the server, whatever the outcome of their requests."""
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
    ours=st.lists(st.builds(Request, requested_at=request_times(), to_server=seconds(2)), min_size=1, max_size=24),
    others=st.lists(st.builds(Request, requested_at=request_times(), to_server=seconds(2)), max_size=48),
    kind=st.sampled_from([SlidingServer, FixedServer]),
)
def test_a_program_uses_its_share_as_if_it_were_alone(ours, others, kind):
    """Other programs that stay within their shares delay none of its requests."""
    limits = RateLimits(submissions=RateLimit(2))
    others = [replace(request, program=1 + number % 3) for number, request in enumerate(others)]
    together = simulate([*ours, *others], kind(8), rate_limits=limits, programs=4).times(What.GRANTED)
    alone = simulate(ours, kind(8), rate_limits=limits).times(What.GRANTED)
    assert {index: together[index] for index in alone} == alone


@KINDS
def test_eight_programs_use_their_shares(kind):
    """Eight programs with 12 of 100 use at least 0.93 of 96 in each window, without a refusal."""
    windows, latency = 10, 0.5
    requests = [Request(0.0, latency, program=program) for program in range(8) for _ in range(12 * windows)]
    history = simulate(requests, kind(100), rate_limits=SHARES, programs=8)
    assert history.all(What.REFUSED) == []
    for window in range(windows - 1):
        accepted = [entry for entry in history.all(What.ANSWERED) if window <= entry.at / 61.0 < window + 1]
        assert len(accepted) >= 0.93 * 96


@KINDS
def test_a_light_program_beside_seven_busy_ones_is_granted_at_once(kind):
    busy = [Request(0.0, 0.25, program=program) for program in range(1, 8) for _ in range(12 * 10)]
    light = [Request(7.5 * number, 0.25) for number in range(60)]
    history = simulate([*light, *busy], kind(100), rate_limits=SHARES, programs=8)
    granted = history.times(What.GRANTED)
    assert [granted[index] - request.requested_at for index, request in enumerate(light)] == [0.0] * len(light)
    assert history.all(What.REFUSED) == []


# Permits return


@pytest.mark.parametrize(
    ("end", "from_when"),
    [
        (lambda scheduler, permit: scheduler.record_response(permit, 7.0), 7.0),
        (lambda scheduler, permit: scheduler.record_no_response(permit, 7.0, deadline=50.0), 50.0),
    ],
)
def test_a_permit_returns_one_window_after_the_server_can_have_seen_its_request(end, from_when):
    """The window starts at the response, or at the last moment at which the server may see a lost request."""
    harness = Harness(rate_limits=RateLimits(submissions=RateLimit(2, per=10.0)))
    harness.learned(-100.0)
    permits = [harness.request(), harness.request()]
    for permit in permits:
        end(harness.scheduler, permit)
    waiting = harness.request(8.0)
    harness.scheduler.grant_waiting(from_when + 9.99)
    assert not harness.is_granted(waiting)
    opens_at = harness.scheduler.next_grant_at(from_when + 9.99)
    assert from_when + 10.0 <= opens_at <= from_when + 10.0 * TOGETHER + 1e-9
    harness.scheduler.grant_waiting(opens_at)
    assert harness.is_granted(waiting)


def test_an_unsent_request_returns_its_permit_at_once():
    harness = Harness(rate_limits=RateLimits(submissions=RateLimit(2))).learned()
    unsent, waiting = harness.request(), harness.request()
    assert not harness.is_granted(waiting)
    harness.scheduler.cancel(unsent, 1.0)
    assert harness.is_granted(waiting)


def test_cancelling_again_or_after_the_end_does_nothing():
    """A caller may clean up without knowing the progress of its request."""
    harness = Harness(max_concurrency=2).learned()
    answered, twice, waiting = harness.request(), harness.request(), harness.request()
    harness.scheduler.record_response(answered, 1.0)
    harness.scheduler.cancel(answered, 1.0)
    harness.scheduler.cancel(twice, 1.0)
    harness.scheduler.cancel(twice, 1.0)
    assert harness.is_granted(waiting)
    assert (harness.scheduler.in_flight, harness.scheduler.queued) == (1, 0)


@KINDS
@pytest.mark.parametrize("latency", [0.0, 0.5, 10.0, 60.0])
def test_at_least_97_percent_of_the_limit_are_used(kind, latency):
    """Over many windows, with a constant latency."""
    limit, windows = 20, 40
    history = simulate([Request(0.0, latency / 2, latency / 2)] * (limit * windows), kind(limit))
    assert history.all(What.REFUSED) == []
    throughput = limit * windows / history.log[-1].at
    assert throughput >= 0.97 * limit / (60.0 + latency)


# The expected wait


def test_no_wait_is_expected_while_a_permit_is_free():
    """With no free permit, the expected wait is the time until the first permit returns."""
    harness = Harness(rate_limits=RateLimits(submissions=RateLimit(3, per=10.0)))
    expected = [harness.scheduler.expected_wait("submissions", 0.0)]
    harness.learned()
    for _ in range(2):
        expected.append(harness.scheduler.expected_wait("submissions", 0.0))
        harness.request()
    assert expected == [0.0, 0.0, 0.0]
    assert 10.0 <= harness.scheduler.expected_wait("submissions", 0.0) <= 10.0 * TOGETHER
    assert harness.scheduler.expected_wait("job_reads", 0.0) == 0.0


def test_the_expected_wait_includes_the_pause_of_a_refusal():
    harness = Harness().learned()
    harness.scheduler.record_refusal(harness.request(), 0.0, wait=30.0)
    assert harness.scheduler.expected_wait("submissions", 10.0) == 20.0


@pytest.mark.parametrize(("wait", "expected"), [(5.0, 10.0), (30.0, 30.0)])
def test_the_expected_wait_is_the_longer_of_the_pause_and_the_return_of_a_permit(wait, expected):
    """A permit that returns during the pause is not granted before the pause ends."""
    harness = Harness(rate_limits=RateLimits(submissions=RateLimit(2, per=10.0))).learned()
    harness.scheduler.record_refusal(harness.request(), 0.0, wait)
    assert harness.scheduler.expected_wait("submissions", 0.0) == pytest.approx(expected, rel=2e-3)


def test_a_paused_queue_is_expected_to_move_only_after_the_pause():
    """One permit, two waiting requests: they are granted at 30 and 40, and a new one at 50."""
    harness = Harness(rate_limits=RateLimits(submissions=RateLimit(1, per=10.0)))
    harness.scheduler.record_refusal(harness.request(), 0.0, wait=30.0)
    harness.request()
    assert harness.scheduler.expected_wait("submissions", 0.0) == pytest.approx(50.0, rel=2e-3)


@settings(deadline=None, max_examples=100)
@given(
    asked_at=st.lists(request_times(), min_size=1, max_size=40),
    latency=seconds(20),
    limit=st.integers(1, 6),
)
def test_the_expected_wait_is_exact_except_for_latencies(asked_at, latency, limit):
    """The estimate is never too long, and too short by at most one latency and one rounding per round."""
    requests = [Request(when, to_server=latency) for when in asked_at]
    rate_limits = RateLimits(submissions=RateLimit(limit))
    history = simulate(requests, SlidingServer(limit), rate_limits=rate_limits)
    rounds = ceil(len(requests) / limit) + 1
    granted = history.times(What.GRANTED)
    errors = [granted[index] - requests[index].requested_at - expected for index, expected in history.expected.items()]
    assert min(errors) >= -1e-6
    assert max(errors) <= rounds * (latency + 60.0 * (TOGETHER - 1.0)) + 1e-6


# Bounds


def attribute_values(owner: object) -> list[object]:
    names = owner.__slots__ if hasattr(owner, "__slots__") else vars(owner)
    return [getattr(owner, name) for name in names]


def entries(scheduler: PermitScheduler) -> int:
    """Return the number of entries in all collections of a scheduler."""
    windows = scheduler._windows.values()
    returning = [returning for window in windows for returning in (window._returning, window._others)]
    values = [value for owner in (scheduler, *windows, *returning) for value in attribute_values(owner)]
    return sum(len(value) for value in values if hasattr(value, "__len__"))


def test_a_window_keeps_a_thousand_groups_for_any_limit():
    """Check 100,000 responses within one window of a million permits."""
    harness = Harness(rate_limits=RateLimits(submissions=RateLimit(10**6)))
    scheduler, most, known = harness.scheduler, 0, entries(harness.scheduler)
    for number in range(100_000):
        now = number * 60.0 / 100_000
        scheduler.record_response(scheduler.request("submissions", now, print), now, limit=10**6)
        if number % 1000 == 0:
            most = max(most, entries(scheduler))
    assert scheduler._windows["submissions"].in_use == 100_000
    assert most - known <= 1010


@pytest.mark.parametrize(
    ("waits_for", "settings"),
    [
        ("permit", {"rate_limits": RateLimits(submissions=RateLimit(2))}),
        ("slot", {"max_concurrency": 1}),
    ],
)
def test_cancelled_requests_are_forgotten(waits_for, settings):
    """The queues stay small when 5,000 requests come and go."""
    harness = Harness(**settings).learned()
    harness.request()
    known = entries(harness.scheduler)
    for _ in range(5000):
        permit = harness.scheduler.request("submissions", 1.0, print)
        harness.scheduler.cancel(permit, 1.0)
    assert harness.scheduler.queued == 0
    assert entries(harness.scheduler) - known <= 2000
