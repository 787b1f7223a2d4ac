"""The queue between a run and the program that iterates over its events."""

import asyncio

import pytest
from fake_clock import settle

from pyannote_voiceprint_async.enrollment import Paused, Resumed, RowUncertain
from pyannote_voiceprint_async.enrollment.run.event_queue import EventQueue


@pytest.fixture
def queue() -> EventQueue:
    return EventQueue()


async def fill(queue) -> None:
    await queue.put(*(RowUncertain(f"person {number}") for number in range(1000)))


async def test_events_are_read_in_their_order_and_none_follows_the_end(queue):
    await queue.put(RowUncertain("Ada"), Resumed())
    queue.end()
    assert [await queue.get() for _ in range(3)] == [RowUncertain("Ada"), Resumed(), None]


async def test_put_waits_for_room_until_an_event_is_read(queue):
    await fill(queue)
    putting = asyncio.create_task(queue.put(Resumed()))
    await settle()
    assert not putting.done()
    await queue.get()
    await putting


async def test_put_nowait_adds_to_a_full_queue(queue):
    await fill(queue)
    queue.put_nowait(Paused("The API is down.", 1.0))
    assert [await queue.get() for _ in range(1001)][-1] == Paused("The API is down.", 1.0)


async def test_put_returns_at_once_when_the_consumer_has_left(queue):
    await fill(queue)
    putting = asyncio.create_task(queue.put(Resumed()))
    await settle()
    queue.abandon()
    await putting
    await queue.put(Resumed())


async def test_get_waits_for_an_event_or_the_end(queue):
    getting = asyncio.create_task(queue.get())
    await settle()
    assert not getting.done()
    queue.end()
    assert await getting is None
