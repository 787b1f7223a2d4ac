"""Cancellations that a task has not met yet."""

from __future__ import annotations

import asyncio
from contextlib import suppress

__all__ = ["count_cancellations", "raise_new_cancellation"]


def count_cancellations() -> int:
    """Return how often the running task was cancelled so far; 0 without a task or an event loop."""
    with suppress(RuntimeError):
        if (task := asyncio.current_task()) is not None:
            return task.cancelling()
    return 0


async def raise_new_cancellation(before: int) -> None:
    """Raise `CancelledError` if the running task was cancelled by code that it called, such as an event hook.

    Otherwise, such a task raises it at its next `await`. If there is none, asyncio drops the result of the task.

    Args:
        before: the number of cancellations before that code was called.
    """
    if count_cancellations() > before:
        await asyncio.sleep(0)
