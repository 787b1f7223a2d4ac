"""The input of a batch: every kind of iterable, and cancellations of its own."""

import asyncio

import pytest

from pyannote_voiceprint_async.errors import VoiceprintError
from pyannote_voiceprint_async.jobs.batch_input import BatchInput


async def generator():
    for number in range(3):
        yield number


class Counter:
    """An async iterator that is no generator: it has no `aclose`."""

    def __init__(self):
        self.numbers = iter(range(3))

    def __aiter__(self):
        return self

    async def __anext__(self):
        try:
            return next(self.numbers)
        except StopIteration:
            raise StopAsyncIteration from None


@pytest.mark.parametrize("make", [lambda: [0, 1, 2], lambda: iter(range(3)), generator, Counter])
async def test_every_kind_of_iterable_is_read_to_its_end(make):
    items = BatchInput(make())
    assert [await items.read() for _ in range(3)] == [0, 1, 2]
    with pytest.raises(StopAsyncIteration):
        await items.read()
    await items.aclose()


async def test_closing_runs_the_finally_of_a_generator():
    closed = []

    async def numbers():
        try:
            yield 1
            yield 2
        finally:
            closed.append(True)

    items = BatchInput(numbers())
    await items.read()
    await items.aclose()
    assert closed == [True]


async def test_a_cancelled_error_of_the_input_is_no_cancellation_of_the_batch():
    async def numbers():
        raise asyncio.CancelledError
        yield

    with pytest.raises(VoiceprintError, match="it raised CancelledError"):
        await BatchInput(numbers()).read()


async def test_a_cancellation_of_the_reading_task_stays_one():
    started, never = asyncio.Event(), asyncio.Event()

    async def numbers():
        started.set()
        await never.wait()
        yield

    task = asyncio.create_task(BatchInput(numbers()).read())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
