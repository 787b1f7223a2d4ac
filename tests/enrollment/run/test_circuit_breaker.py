"""The circuit breaker: closed, open after a failure, half-open for one probe after the pause."""

import asyncio

import pytest
from fake_clock import settle

from pyannote_voiceprint_async.enrollment.run.circuit_breaker import CircuitBreaker, CircuitState


@pytest.fixture
def changes() -> list:
    return []


@pytest.fixture
def breaker(clock, changes) -> CircuitBreaker:
    return CircuitBreaker(clock.time, clock.sleep, lambda reason, seconds: changes.append((reason, seconds)))


def start_attempt(breaker, started, *, record=None):
    """Start an attempt in a task: add it to `started` when the circuit breaker allows it, then record its result."""

    async def run():
        async with breaker.attempt() as attempt:
            started.append(attempt)
            if record is not None:
                record(attempt)

    return asyncio.create_task(run())


def succeed(attempt):
    attempt.record_success()


def fail(attempt):
    attempt.record_failure("The API is down.")


async def test_every_attempt_starts_while_the_circuit_is_closed(breaker, changes):
    started = []
    await asyncio.gather(*(start_attempt(breaker, started) for _ in range(5)))
    assert (len(started), changes) == (5, [])


async def test_after_the_pause_one_probe_starts_and_its_success_starts_all_others(breaker, clock, changes):
    breaker.record_failure("The API is down.", 10.0)
    started = []
    probe = start_attempt(breaker, started, record=succeed)
    others = [start_attempt(breaker, started) for _ in range(5)]
    await settle()
    assert started == []
    await clock.advance(9.9)
    assert started == []
    await clock.advance(0.1)
    assert len(started) == 6
    assert changes == [("The API is down.", 10.0), (None, 0.0)]
    await asyncio.gather(probe, *others)


async def test_the_state_is_closed_open_half_open_and_closed_again(breaker, clock):
    states = [breaker.state]
    breaker.record_failure("The API is down.", 10.0)
    states.append(breaker.state)
    await clock.advance(10.0)
    states.append(breaker.state)
    breaker.record_success()
    states.append(breaker.state)
    assert states == [CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN, CircuitState.CLOSED]


async def test_repr_shows_the_state_and_the_time_of_the_next_probe(breaker, clock):
    assert repr(breaker) == "<CircuitBreaker closed>"
    breaker.record_failure("The API is down.", 10.0)
    assert repr(breaker) == "<CircuitBreaker open, next probe in 10 s>"
    await clock.advance(60.0)
    assert repr(breaker) == "<CircuitBreaker half-open, next probe in 0 s>"


async def test_the_pause_doubles_up_to_a_minute_with_each_failed_probe(breaker, clock, changes):
    breaker.record_failure("The API is down.")
    for _ in range(9):
        probe = start_attempt(breaker, [], record=fail)
        await settle()
        await clock.advance(60.0)
        await probe
    assert [seconds for _, seconds in changes] == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]


async def test_many_failures_in_flight_at_once_pause_only_once(breaker, changes):
    for _ in range(64):
        breaker.record_failure("The API is down.")
    assert changes == [("The API is down.", 1.0)]


async def test_the_longest_pause_that_the_server_requested_counts(breaker, clock):
    breaker.record_failure("The API is busy.", 5.0)
    breaker.record_failure("The API is busy.", 30.0)
    started = []
    probe = start_attempt(breaker, started)
    await settle()
    await clock.advance(29.0)
    assert not started
    await clock.advance(1.0)
    assert started[0].is_probe
    await probe


@pytest.mark.parametrize("first", [1.0, 1e12])
async def test_no_requested_pause_delays_the_probe_by_more_than_ten_minutes(breaker, clock, first):
    breaker.record_failure("The API is busy.", first)
    breaker.record_failure("The API is busy.", 1e12)
    started = []
    probe = start_attempt(breaker, started)
    await settle()
    await clock.advance(599.0)
    assert not started
    await clock.advance(1.0)
    assert started[0].is_probe
    await probe


async def test_a_probe_without_a_result_leaves_the_probing_to_the_next_attempt(breaker, clock):
    breaker.record_failure("The API is down.", 10.0)
    started = []
    without_result, next_one = start_attempt(breaker, started), start_attempt(breaker, started, record=succeed)
    await settle()
    await clock.advance(10.0)
    await without_result
    await next_one
    assert [attempt.is_probe for attempt in started] == [True, True]
    assert breaker.state is CircuitState.CLOSED


async def test_a_cancelled_probe_leaves_the_probing_to_the_next_attempt(breaker, clock):
    breaker.record_failure("The API is down.", 10.0)
    started = []
    cancelled, next_one = start_attempt(breaker, started), start_attempt(breaker, started)
    await settle()
    cancelled.cancel()
    await settle()
    await clock.advance(10.0)
    await next_one
    assert len(started) == 1


async def test_success_makes_the_next_pause_short_again(breaker, changes):
    breaker.record_failure("The API is down.", 50.0)
    breaker.record_success()
    breaker.record_failure("The API is down.")
    assert changes[-1] == ("The API is down.", 1.0)


async def test_a_failure_during_the_pause_with_a_longer_requested_pause_delays_the_probe(breaker, clock):
    breaker.record_failure("The API is busy.", 5.0)
    started = []
    probe = start_attempt(breaker, started)
    await settle()
    breaker.record_failure("The API is busy.", 30.0)
    await clock.advance(29.0)
    assert not started
    await clock.advance(1.0)
    await probe
    assert len(started) == 1
