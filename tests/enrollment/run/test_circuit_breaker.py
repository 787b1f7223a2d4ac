"""Nobody passes while the API is in trouble, but one who tries."""

import asyncio

import pytest
from fake_clock import settle

from pyannote_voiceprint_async.enrollment.run.circuit_breaker import CircuitBreaker


class Told(list):
    def __call__(self, reason, seconds) -> None:
        self.append((reason, seconds))


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def gate(clock, told) -> CircuitBreaker:
    return CircuitBreaker(clock.time, clock.sleep, told)


def passing(gate, passed, *, how=None):
    """Pass, say how it went, and note it."""

    async def go():
        async with gate.passage() as passage:
            passed.append(passage)
            if how is not None:
                how(passage)

    return asyncio.create_task(go())


async def test_all_pass_while_all_is_well(gate, told):
    passed = []
    await asyncio.gather(*(passing(gate, passed) for _ in range(5)))
    assert (len(passed), told) == (5, [])


async def test_after_trouble_one_tries_and_lets_the_others_go(gate, clock, told):
    gate.shut("It is down.", 10.0)
    passed = []
    first = passing(gate, passed, how=lambda passage: passage.well())
    others = [passing(gate, passed) for _ in range(5)]
    await settle()
    assert passed == []
    await clock.advance(9.9)
    assert passed == []
    await clock.advance(0.1)
    assert len(passed) == 6
    assert told == [("It is down.", 10.0), (None, 0.0)]
    await asyncio.gather(first, *others)


async def test_the_pause_grows_up_to_a_minute_while_each_one_who_tries_meets_trouble(gate, clock, told):
    gate.shut("It is down.")
    for _ in range(9):
        task = passing(gate, [], how=lambda passage: passage.trouble("It is down."))
        await settle()
        await clock.advance(60.0)
        await task
    assert [seconds for _, seconds in told] == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]


async def test_of_many_on_their_way_only_the_first_lengthens_the_pause(gate, told):
    for _ in range(64):
        gate.shut("It is down.")
    assert told == [("It is down.", 1.0)]


async def test_the_longest_word_of_the_server_counts(gate, clock, told):
    gate.shut("It is busy.", 5.0)
    gate.shut("It is busy.", 30.0)
    passed = []
    task = passing(gate, passed)
    await settle()
    await clock.advance(29.0)
    assert not passed
    await clock.advance(1.0)
    assert passed[0].tries
    await task


@pytest.mark.parametrize("first", [1.0, 1e12])
async def test_no_word_of_the_server_shuts_the_gate_for_ever(gate, clock, first):
    """After ten minutes one tries, whatever was asked for."""
    gate.shut("It is busy.", first)
    gate.shut("It is busy.", 1e12)
    passed = []
    task = passing(gate, passed)
    await settle()
    await clock.advance(599.0)
    assert not passed
    await clock.advance(1.0)
    assert passed[0].tries
    await task


async def test_one_who_says_nothing_leaves_the_next_one_to_try(gate, clock):
    gate.shut("It is down.", 10.0)
    passed = []
    silent, next_one = passing(gate, passed), passing(gate, passed, how=lambda passage: passage.well())
    await settle()
    await clock.advance(10.0)
    await silent
    await next_one
    assert [passage.tries for passage in passed] == [True, True]
    assert gate.is_open


async def test_one_who_is_canceled_while_it_waits_to_try_leaves_the_gate_to_others(gate, clock):
    gate.shut("It is down.", 10.0)
    passed = []
    canceled, next_one = passing(gate, passed), passing(gate, passed)
    await settle()
    canceled.cancel()
    await settle()
    await clock.advance(10.0)
    await next_one
    assert len(passed) == 1


async def test_success_makes_the_next_pause_short_again(gate, told):
    gate.shut("It is down.", 50.0)
    gate.open()
    gate.shut("It is down.")
    assert told[-1] == ("It is down.", 1.0)


async def test_a_longer_word_that_comes_while_one_waits_to_try_holds_it_back(gate, clock):
    gate.shut("It is busy.", 5.0)
    passed = []
    task = passing(gate, passed)
    await settle()
    gate.shut("It is busy.", 30.0)
    await clock.advance(29.0)
    assert not passed
    await clock.advance(1.0)
    await task
    assert len(passed) == 1
