"""The work behind the results of a batch: many items at once, in bounded memory."""

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

# After one of these errors, every other item would fail in the same way.
_STOPS_BATCH = (AccountError, ClientClosedError)


class BatchRun(Generic[R]):
    """Reads the input, processes its items in tasks, and queues their results. `Results` describes the arguments.

    One failed item never stops the others. The run ends by itself, whether or not a consumer is left.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - constructed in one place, `Results`
        self,
        items: Iterable[Any] | AsyncIterable[Any],
        process: Callable[[BatchItem], Awaitable[Any]],
        make_result: Callable[[BatchItem, Any, Exception | None], R],
        read_ahead: int,
        max_in_progress: int,
        is_stable: Callable[[Any], bool],
        on_abandoned: Callable[[JobCreated], None],
    ) -> None:
        self.running: set[BatchItem] = set()
        """The items that are read and not finished."""
        self.finished: deque[tuple[R, JobCreated | None]] = deque()
        """The results that wait unread, each with its job."""
        self.unfinished: list[R] = []
        """The results that were not yielded before the batch was closed."""
        self.on_over: Callable[[BatchRun[R]], None] | None = None
        """Called when the run has ended."""
        self._items = items
        self._process = process
        self._make_result = make_result
        self._is_stable = is_stable
        self._on_abandoned = on_abandoned
        self._max_unread = read_ahead
        self._unsent_slots = asyncio.Semaphore(read_ahead)
        self._progress_slots = asyncio.Semaphore(max_in_progress)
        self._changed = asyncio.Event()
        self._has_room = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped_by: Exception | None = None
        self._is_closed = False
        self._consumers = 0

    # The consumer's side

    async def next_result(self) -> R:
        """Return the next result; the first call starts the run.

        Raises:
            StopAsyncIteration: all results were returned.
            Exception: the error that stopped the batch, once, after all results.
        """
        if self._reader is None and not self._is_closed:
            self._start()
        self._consumers += 1
        try:
            while not self.finished:
                if self._is_over():
                    error, self._stopped_by = self._stopped_by, None
                    raise error or StopAsyncIteration
                self._changed.clear()
                await self._changed.wait()
            self._progress_slots.release()
            self._has_room.set()
            return self.finished.popleft()[0]
        finally:
            self._consumers -= 1
            self._keep_unread()

    def close(self) -> None:
        """Start nothing new, and stop all items whose submission is not in flight. Harmless when repeated."""
        if self._is_closed:
            return
        self._is_closed = True
        self._stop(None, ItemState.UNSENT, ItemState.SUBMITTED)
        self._keep_unread()
        self._changed.set()

    def close_from_any_thread(self) -> None:
        """Close the batch because its last reference is gone: the garbage collector runs in any thread."""
        if self._loop is None:
            self._call_if_over()
        elif not self._loop.is_closed():
            with contextlib.suppress(RuntimeError):  # another thread has just closed the loop
                self._loop.call_soon_threadsafe(self.close)

    async def aclose(self) -> None:
        """Close the batch, and wait until all its tasks are done, however often the caller is cancelled meanwhile."""
        cancelled: asyncio.CancelledError | None = None
        self.close()
        while tasks := [item.task for item in self.running] + [self._reader] * (not self._is_over()):
            try:
                await wait_until_done(*(task for task in tasks if task is not None))
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            try:
                raise cancelled
            finally:
                del cancelled  # else the error and this frame keep each other alive

    # The input

    def _start(self) -> None:
        # Raises where no loop runs, before a coroutine is created that would never be awaited.
        self._loop = running_loop()
        self._reader = asyncio.create_task(self._read())
        self._reader.add_done_callback(self._call_if_over)

    async def _read(self) -> None:
        try:
            await self._read_items()
        except asyncio.CancelledError:
            if not self._is_closed and self._stopped_by is None:
                raise
        except Exception as error:  # noqa: BLE001 - raised to the consumer after all results
            self._stopped_by = self._stopped_by or error
        finally:
            self._changed.set()

    async def _read_items(self) -> None:
        index = 0
        async with aclosing(_as_async(self._items)) as items:
            while True:
                await self._wait_for_room()
                try:
                    value = await anext(items)
                except StopAsyncIteration:
                    return
                item = self._start_item(index, value)
                if not self._is_stable(value):
                    await item.value_released.wait()
                index += 1

    async def _wait_for_room(self) -> None:
        await self._progress_slots.acquire()
        await self._unsent_slots.acquire()
        while len(self.finished) >= self._max_unread:
            self._has_room.clear()
            await self._has_room.wait()

    def _start_item(self, index: int, value: Any) -> BatchItem:
        item = BatchItem(index, value, self._on_submitted, self._on_refused)
        self.running.add(item)
        item.task = asyncio.create_task(self._run_item(item))
        item.task.add_done_callback(partial(self._finish_unstarted, item))
        item.task.add_done_callback(lambda _: item.release_value())
        return item

    # The items

    async def _run_item(self, item: BatchItem) -> None:
        outcome, error = None, None
        try:
            outcome = await self._process(item)
        except asyncio.CancelledError:
            if item.stopped_by is None:
                self._drop(item)
                raise
            error = item.stopped_by
        except Exception as exc:  # noqa: BLE001 - one failed item never stops the others
            error = exc
        self._finish(item, outcome, error)
        if isinstance(error, _STOPS_BATCH) and self._stopped_by is None:
            self._stopped_by = error
            self._stop(error, ItemState.UNSENT)

    def _finish_unstarted(self, item: BatchItem, _: object) -> None:
        """Finish an item whose task was cancelled before its first step, so that `_run_item` never ran."""
        if item in self.running and item.stopped_by is not None:
            self._finish(item, None, item.stopped_by)

    def _finish(self, item: BatchItem, outcome: Any, error: Exception | None) -> None:
        """Queue the result of an item."""
        self._release(item)
        result = self._make_result(item, outcome, error)
        job = outcome if isinstance(outcome, JobCreated) else item.job
        self.finished.append((result, job))
        self._keep_unread()
        self._changed.set()
        self._call_if_over()

    def _drop(self, item: BatchItem) -> None:
        """Forget an item whose task was cancelled by other code than this batch: it has no result."""
        self._release(item)
        self._progress_slots.release()
        self._changed.set()
        self._call_if_over()

    def _release(self, item: BatchItem) -> None:
        if item.state is not ItemState.SUBMITTED:
            self._unsent_slots.release()
        self.running.discard(item)

    def _on_submitted(self, item: BatchItem) -> None:
        self._unsent_slots.release()
        if self._is_closed:
            item.stop()

    def _on_refused(self, item: BatchItem) -> None:
        if self._is_closed:
            item.stop()
        elif self._stopped_by is not None:
            item.stop(_unsent_error(self._stopped_by))

    # The end

    def _stop(self, error: Exception | None, *states: ItemState) -> None:
        """Stop reading, and stop the items in these states."""
        if self._reader is not None:
            self._reader.cancel()
        for item in self.running:
            if item.state in states:
                item.stop(None if error is None else _unsent_error(error))

    def _keep_unread(self) -> None:
        """Move results that no consumer will take from a closed batch to `unfinished`."""
        while self._is_closed and len(self.finished) > self._consumers:
            result, job = self.finished.pop()
            self.unfinished.append(result)
            if job is not None:
                self._on_abandoned(job)

    def _is_over(self) -> bool:
        return not self.running and (self._reader is None or self._reader.done())

    def _call_if_over(self, _: object = None) -> None:
        if self._is_over() and self.on_over is not None:
            self.on_over(self)


def _unsent_error(error: Exception) -> Exception:
    """Build the error of an item that was stopped before it was sent, from the error that stopped the batch."""
    error = copy.copy(error)
    error.args = (f"The item was not sent, because another item failed in a way that all items would fail. {error}",)
    return error


async def _as_async(items: Iterable[Any] | AsyncIterable[Any]) -> AsyncGenerator[Any, None]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
