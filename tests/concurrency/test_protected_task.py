"""Protected tasks, and waiting for tasks while the caller is cancelled."""

import asyncio

import pytest
from fake_clock import settle

from pyannote_voiceprint_async.concurrency.protected_task import ProtectedTask, wait_until_done


async def done_when(event: asyncio.Event) -> str:
    await event.wait()
    return "done"


async def test_a_task_is_cancelled_only_if_may_cancel_allows_it():
    event, may_cancel = asyncio.Event(), False
    task = ProtectedTask(done_when(event), lambda: may_cancel)
    await settle(1)
    assert not task.cancel()
    await settle()
    assert not task.done()
    may_cancel = True
    assert task.cancel("now")
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_task_that_ignored_a_cancellation_returns_its_result():
    event = asyncio.Event()
    task = ProtectedTask(done_when(event), lambda: False)
    for _ in range(3):
        task.cancel()
        await settle(1)
    event.set()
    assert (await task, task.cancelling()) == ("done", 0)


@pytest.mark.parametrize("times", [0, 1, 2, 5])
async def test_waiting_ignores_cancellation_until_the_end_and_raises_the_last_one(times):
    """anyio recognizes its own cancellations by their message."""
    event = asyncio.Event()
    task = ProtectedTask(done_when(event), lambda: False)
    waiting = asyncio.create_task(wait_until_done(task))
    await settle(2)
    for number in range(times):
        waiting.cancel(f"cancellation {number}")
        await settle(2)
    assert not waiting.done()
    event.set()
    if times:
        with pytest.raises(asyncio.CancelledError, match=f"cancellation {times - 1}"):
            await waiting
    else:
        await waiting
    assert task.result() == "done"


async def test_waiting_for_no_task_returns_at_once():
    await wait_until_done()
