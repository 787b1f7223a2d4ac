"""Cancellations that a task has not met yet."""

import asyncio

import pytest

from pyannote_voiceprint_async.concurrency.cancellation import count_cancellations, raise_new_cancellation


async def cancel_itself(*, meets_it: bool) -> str:
    task = asyncio.current_task()
    assert task is not None
    before = count_cancellations()
    task.cancel()
    if meets_it:
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(0)
        before = count_cancellations()
    try:
        await raise_new_cancellation(before)
    except asyncio.CancelledError:
        return "cancelled"
    return "not cancelled"


async def test_a_cancellation_is_raised_before_the_task_ends():
    assert await asyncio.create_task(cancel_itself(meets_it=False)) == "cancelled"


async def test_an_earlier_cancellation_is_not_raised_again():
    """The caller has handled it, as code that cleans up does."""
    assert await asyncio.create_task(cancel_itself(meets_it=True)) == "not cancelled"
