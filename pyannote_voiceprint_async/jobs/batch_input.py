"""The input of a batch: read from any kind of iterable, with its cancellations told apart from those of the batch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable
from typing import Any

from pyannote_voiceprint_async.errors import VoiceprintError

__all__ = ["BatchInput", "input_error", "is_being_cancelled"]


class BatchInput:
    """The items of a batch, read one by one.

    Args:
        items: the input.
    """

    def __init__(self, items: Iterable[Any] | AsyncIterable[Any]) -> None:
        self._items: AsyncIterator[Any] = aiter(items) if isinstance(items, AsyncIterable) else _as_async(items)

    async def read(self) -> Any:
        """Return the next item.

        Raises:
            StopAsyncIteration: there is none.
            VoiceprintError: the input raised `CancelledError` of its own, although the batch was not cancelled.
        """
        try:
            return await anext(self._items)
        except asyncio.CancelledError as error:
            if is_being_cancelled():
                raise
            raise input_error(error) from error

    async def aclose(self) -> None:
        """Close an async generator. The garbage collector and the event loop might otherwise both close it at once."""
        if isinstance(self._items, AsyncGenerator):
            await self._items.aclose()


def is_being_cancelled() -> bool:
    """Return whether the current task was cancelled, rather than its code having raised `CancelledError` itself."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def input_error(error: BaseException) -> VoiceprintError:
    """Build the error that ends the iteration after the input raised something that is no `Exception`."""
    result = VoiceprintError(
        f"The input of the batch was cancelled or interrupted: it raised {type(error).__name__}. The items after it "
        "were not read, and nothing of them was sent."
    )
    result.__cause__ = error
    return result


async def _as_async(items: Iterable[Any]) -> AsyncGenerator[Any, None]:
    for item in items:
        yield item
