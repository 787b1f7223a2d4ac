"""The results of a batch: what `submit_many` and `voiceprint_many` return."""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from pyannote_voiceprint_async.models import JobCreated
from pyannote_voiceprint_async.reprs import safe_repr

from .batch_item import BatchItem
from .batch_run import BatchRun
from .batch_scope import may_wait_for

__all__ = ["Results"]

R = TypeVar("R")


@safe_repr
class Results(Generic[R]):
    """The results of a batch, in the order in which they finish: an async iterator and an async context manager.

    The first `anext` starts the batch. To close the batch early, leave the `async with` block, call `aclose()`, or drop
    the last reference to the results, as a `break` out of `async for … in client.submit_many(…)` does. A closed batch
    starts nothing new, but finishes the submissions in flight. Each item that was read is either yielded or in
    `unfinished`. Accepted jobs whose result was not yielded are also in `client.abandoned`.

    Args:
        items: the input; one task reads it.
        process: processes one item.
        make_result: makes the result of an item from its index, its value, what `process` returned, and its error; one
            of the last two is None.
        read_ahead: the most items that are read but not submitted, and the most results that wait unread.
        max_in_progress: the most items that are read but whose result was not yielded.
        is_stable: returns whether the value of an item cannot change while the next item is read. If it can, as with
            an array that the input fills again for each item, the batch reads the next item only after
            `BatchItem.release_value` was called.
        on_abandoned: called with each accepted job whose result was not yielded before the batch was closed.
    """

    def __init__(  # noqa: PLR0913 - what differs between the batches
        self,
        items: Iterable[Any] | AsyncIterable[Any],
        process: Callable[[BatchItem], Awaitable[Any]],
        make_result: Callable[[int, Any, Any, Exception | None], R],
        *,
        read_ahead: int,
        max_in_progress: int,
        is_stable: Callable[[Any], bool] = lambda _: True,
        on_abandoned: Callable[[JobCreated], None] = lambda _: None,
    ) -> None:
        self.batch: BatchRun[R] = BatchRun(
            items, process, make_result, read_ahead, max_in_progress, is_stable, on_abandoned
        )
        """The tasks behind the results. They have no reference to this object, so that dropping it closes the batch."""
        weakref.finalize(self, self.batch.close_from_any_thread).atexit = False

    def __repr__(self) -> str:
        return f"<Results running={len(self.batch.running)} unread={len(self.batch.unread)}>"

    @property
    def unfinished(self) -> list[R]:
        """The results that were not yielded before the batch was closed. Complete after `aclose()` has returned."""
        return self.batch.not_yielded

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> R:
        return await self.batch.next_result()

    async def aclose(self) -> None:
        """Start nothing new, finish the submissions in flight, and move the remaining results to `unfinished`.

        A caller that is cancelled meanwhile gets its `CancelledError` when the batch is closed.

        The input and the `on_submitted` of the batch may call this method too. It then only begins to close the batch,
        and returns at once: the batch cannot end while its own code waits for it. Inside another batch, a caller that
        is cancelled stops waiting at once.
        """
        may_wait = may_wait_for(self.batch.scope)
        self.batch.close()
        if may_wait:
            await self.batch.aclose()
