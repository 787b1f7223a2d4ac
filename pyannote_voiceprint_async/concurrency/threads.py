"""Run functions in threads that keep no reference to what the functions returned or raised."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

__all__ = ["LongFunctions", "run_in_thread"]

T = TypeVar("T")


async def run_in_thread(function: Callable[[], T]) -> T:
    """Return or raise what a function returns or raises in a worker thread.

    With `asyncio.to_thread`, the worker keeps the result or the error until it gets the interpreter lock once more: an
    error with its frames would outlive the `except` of the caller.
    """
    results: list[T] = []
    errors: list[Exception] = []

    def call() -> None:
        try:
            results.append(function())
        except Exception as error:  # noqa: BLE001 - raised in the caller
            errors.append(error)

    await asyncio.to_thread(call)
    if errors:
        raise errors.pop()
    return results.pop()


class LongFunctions:
    """Runs long functions of pure Python in a thread, one at a time, in the order of their calls.

    Several threads at once would make the event loop wait for the interpreter lock until each of them had its turn, and
    would need the memory of all functions at once.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def run(self, function: Callable[[], T]) -> T:
        """Return or raise what a function returns or raises in a worker thread."""
        async with self._lock:
            return await run_in_thread(function)
