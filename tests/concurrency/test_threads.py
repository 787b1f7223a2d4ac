"""Functions in worker threads."""

import asyncio
import threading
import weakref

import pytest

from pyannote_voiceprint_async.concurrency.threads import run_in_thread


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
