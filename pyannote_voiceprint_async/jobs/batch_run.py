"""The work behind the results of a batch."""

from __future__ import annotations

import asyncio
import contextlib
import copy
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable
from contextlib import aclosing
from functools import partial
from typing import Any, Generic, TypeVar

from pyannote_voiceprint_async.concurrency.event_loop import running_loop
from pyannote_voiceprint_async.concurrency.protected_task import wait_until_done
from pyannote_voiceprint_async.errors import AccountError, ClientClosedError
from pyannote_voiceprint_async.models import JobCreated

from .batch_item import BatchItem, ItemState

__all__ = ["BatchRun"]

R = TypeVar("R")

# After one of these every other item would fail the same way.
_STOPS_ALL = (AccountError, ClientClosedError)


class BatchRun(Generic[R]):
    """The items of `Results` on their way. It ends by itself, whether or not anybody waits for it.

    `running` has the items that are read and not finished, `finished` the results that wait unread, each with its job.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - made in one place, `Results`
        self,
        items: Iterable[Any] | AsyncIterable[Any],
        process: Callable[[BatchItem], Awaitable[Any]],
        make_result: Callable[[BatchItem, Any, Exception | None], R],
        read_ahead: int,
        max_in_progress: int,
        is_stable: Callable[[Any], bool],
        on_abandoned: Callable[[JobCreated], None],
    ) -> None:
        self.unfinished: list[R] = []
        self.running: set[BatchItem] = set()
        self.finished: deque[tuple[R, JobCreated | None]] = deque()
        self.on_over: Callable[[BatchRun[R]], None] | None = None
        self._items = items
        self._process = process
        self._make_result = make_result
        self._is_stable = is_stable
        self._on_abandoned = on_abandoned
        self._max_unread = read_ahead
        self._unsent_slots = asyncio.Semaphore(read_ahead)
        self._progress_slots = asyncio.Semaphore(max_in_progress)
        self._news = asyncio.Event()
        self._has_room = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped_by: Exception | None = None
        self._left = False
        self._takers = 0

    async def next(self) -> R:
        """Return the next result; the first call starts the work.

        Raises:
            StopAsyncIteration: there is none any more.
        """
        if self._reader is None and not self._left:
            self._loop = running_loop()  # raises where there is none, before a coroutine is made that nobody awaits
            self._reader = asyncio.create_task(self._read())
            self._reader.add_done_callback(self._look_if_over)
        self._takers += 1
        try:
            while not self.finished:
                if self._is_over():
                    error, self._stopped_by = self._stopped_by, None
                    raise error or StopAsyncIteration
                self._news.clear()
                await self._news.wait()
            self._progress_slots.release()
            self._has_room.set()
            return self.finished.popleft()[0]
        finally:
            self._takers -= 1
            self._keep_unread()

    def leave(self) -> None:
        """Stop new work, and leave what was sent to finish. Harmless when repeated."""
        if self._left:
            return
        self._left = True
        self._stop(None, ItemState.UNSENT, ItemState.WAITING)
        self._keep_unread()
        self._news.set()

    def dropped(self) -> None:
        """Leave, because the last reference to the results is gone; called by the garbage collector, in any thread."""
        if self._loop is None:
            self._look_if_over()
        elif not self._loop.is_closed():
            with contextlib.suppress(RuntimeError):  # it was closed just now, by another thread
                self._loop.call_soon_threadsafe(self.leave)

    async def aclose(self) -> None:
        """Leave, and wait until all that was sent is finished, however often the caller is cancelled meanwhile."""
        cancelled: asyncio.CancelledError | None = None
        self.leave()
        while tasks := [item.task for item in self.running] + [self._reader] * (not self._is_over()):
            try:
                await wait_until_done(*(task for task in tasks if task is not None))
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            try:
                raise cancelled
            finally:
                del cancelled

    def _look_if_over(self, _: object = None) -> None:
        if self._is_over() and self.on_over is not None:
            self.on_over(self)

    def _is_over(self) -> bool:
        return not self.running and (self._reader is None or self._reader.done())

    async def _read(self) -> None:
        index = 0
        try:
            async with aclosing(_as_async(self._items)) as items:
                while True:
                    await self._progress_slots.acquire()
                    await self._unsent_slots.acquire()
                    while len(self.finished) >= self._max_unread:
                        self._has_room.clear()
                        await self._has_room.wait()
                    item = BatchItem(index, await anext(items), self._moved_on, self._stayed_back)
                    self.running.add(item)
                    item.task = asyncio.create_task(self._do(item))
                    item.task.add_done_callback(partial(self._take_in_unbegun, item))
                    item.task.add_done_callback(lambda _, item=item: item.release_value())  # type: ignore[misc]
                    if not self._is_stable(item.value):
                        await item.value_released.wait()
                    index += 1
        except StopAsyncIteration:
            pass
        except asyncio.CancelledError:
            if not self._left and self._stopped_by is None:
                raise
        except Exception as exc:  # noqa: BLE001 - an error of the input: raised when all else is yielded
            self._stopped_by = self._stopped_by or exc
        finally:
            self._news.set()

    def _finish(self, item: BatchItem, outcome: Any, error: Exception | None) -> None:
        if item.state is not ItemState.WAITING:
            self._unsent_slots.release()
        self.running.discard(item)
        result = self._make_result(item, outcome, error)
        job = outcome if isinstance(outcome, JobCreated) else item.job
        self.finished.append((result, job))
        self._keep_unread()
        self._news.set()
        self._look_if_over()

    def _keep_unread(self) -> None:
        """Keep what nobody takes any more, once the results are left."""
        while self._left and len(self.finished) > self._takers:
            result, job = self.finished.pop()
            self.unfinished.append(result)
            if job is not None:
                self._on_abandoned(job)

    async def _do(self, item: BatchItem) -> None:
        outcome, error = None, None
        try:
            outcome = await self._process(item)
        except asyncio.CancelledError:
            if item.stopped_by is None:
                # Somebody else canceled it: its place is free again.
                self.running.discard(item)
                if item.state is not ItemState.WAITING:
                    self._unsent_slots.release()
                self._progress_slots.release()
                self._news.set()
                self._look_if_over()
                raise
            error = item.stopped_by
        except Exception as exc:  # noqa: BLE001 - one bad item never stops the rest
            error = exc
        self._finish(item, outcome, error)
        if isinstance(error, _STOPS_ALL) and self._stopped_by is None:
            self._stopped_by = error
            self._stop(error, ItemState.UNSENT)

    def _take_in_unbegun(self, item: BatchItem, _: object) -> None:
        """Take in an item whose task was canceled before its first step: `_do` never ran."""
        if item in self.running and item.stopped_by is not None:
            self._finish(item, None, item.stopped_by)

    def _moved_on(self, item: BatchItem) -> None:
        self._unsent_slots.release()
        if self._left:
            item.stop(None)

    def _stayed_back(self, item: BatchItem) -> None:
        if self._left:
            item.stop(None)
        elif self._stopped_by is not None:
            item.stop(_not_sent(self._stopped_by))

    def _stop(self, error: Exception | None, *phases: ItemState) -> None:
        if self._reader is not None:
            self._reader.cancel()
        for item in self.running:
            if item.state in phases:
                item.stop(None if error is None else _not_sent(error))


def _not_sent(error: Exception) -> Exception:
    """Say of an item that never left why it will not."""
    error = copy.copy(error)
    error.args = (f"It was not sent, because another one had shown that it cannot succeed. {error}",)
    return error


async def _as_async(items: Iterable[Any] | AsyncIterable[Any]) -> AsyncGenerator[Any, None]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
