"""The results of a batch, as they finish."""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from pyannote_voiceprint_async.models import JobCreated
from pyannote_voiceprint_async.reprs import safe_repr

from .batch_item import BatchItem
from .batch_run import BatchRun

__all__ = ["Results"]

R = TypeVar("R")


@safe_repr
class Results(Generic[R]):
    """An async iterator and an async context manager over results as they finish.

    Leaving early stops new work and finishes what was sent: by `break` inside `async with`, by `aclose()`, or when the
    last reference to the results is dropped, as by `break` out of `async for … in client.submit_many(…)`. Every item
    that was read is either yielded or in `unfinished`; jobs that were accepted and not yielded are also in
    `client.abandoned`. When `ahead` results wait unread, no new item starts.

    Args:
        items: what is to be done; read by one task, never further ahead than `ahead` unsent items.
        run: does one item.
        result: makes the result of an item out of what `run` gave, or out of an error.
        ahead: items that are read but not submitted, and results that wait unread.
        waiting: items that are read but whose result was not taken.
        is_stable: whether an item stays as it is while the next one is read. Of others the next is read when `run` has
            said that the item is taken: a recorder fills the same array again and again.
        on_abandoned: called with each accepted job whose result was not yielded before the results were left.
    """

    def __init__(  # noqa: PLR0913 - what differs between the two bulk calls
        self,
        items: Iterable[Any] | AsyncIterable[Any],
        process: Callable[[BatchItem], Awaitable[Any]],
        make_result: Callable[[BatchItem, Any, Exception | None], R],
        *,
        read_ahead: int,
        max_in_progress: int,
        is_stable: Callable[[Any], bool] = lambda _: True,
        on_abandoned: Callable[[JobCreated], None] = lambda _: None,
    ) -> None:
        self.batch: BatchRun[R] = BatchRun(
            items, process, make_result, read_ahead, max_in_progress, is_stable, on_abandoned
        )
        """What goes on behind the results. It holds no reference to them, so that dropping them can be noticed."""
        weakref.finalize(self, self.batch.dropped).atexit = False

    def __repr__(self) -> str:
        return f"<Results running={len(self.batch.running)} finished={len(self.batch.finished)}>"

    @property
    def unfinished(self) -> list[R]:
        """Results that were not yielded before the results were left; complete when `aclose()` returns."""
        return self.batch.unfinished

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> R:
        return await self.batch.next()

    async def aclose(self) -> None:
        """Stop new work, finish what was sent, and keep what was not yielded in `unfinished`.

        A caller that is cancelled meanwhile is cancelled afterwards.
        """
        await self.batch.aclose()
