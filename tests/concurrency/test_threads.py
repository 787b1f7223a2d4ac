"""Functions in worker threads."""

import asyncio
import threading
import weakref

import pytest

from pyannote_voiceprint_async.concurrency.threads import LongFunctions, run_in_thread


async def test_it_returns_what_the_function_returns():
    assert await run_in_thread(threading.get_ident) != threading.get_ident()


class KeptError(ValueError):
    pass


async def test_an_error_is_freed_when_the_caller_has_handled_it():
    def fail() -> None:
        raise KeptError

    kept = None
    for _ in range(50):
        try:
            await run_in_thread(fail)
        except KeptError as error:
            kept = weakref.ref(error)
        assert kept is not None
        assert kept() is None


async def test_a_cancelled_caller_does_not_wait_for_the_thread():
    released = threading.Event()
    task = asyncio.create_task(run_in_thread(released.wait))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    released.set()


async def test_long_functions_run_one_at_a_time_in_the_order_of_their_calls():
    long_functions, running, order = LongFunctions(), threading.Lock(), []

    def call(number: int) -> int:
        assert running.acquire(blocking=False)
        order.append(number)
        running.release()
        return number

    calls = [long_functions.run(lambda number=number: call(number)) for number in range(5)]
    assert await asyncio.gather(*calls) == order == [0, 1, 2, 3, 4]


async def test_a_long_function_that_raises_lets_the_next_one_run():
    long_functions = LongFunctions()
    with pytest.raises(ZeroDivisionError):
        await long_functions.run(lambda: 1 // 0)
    assert await long_functions.run(lambda: 5) == 5
