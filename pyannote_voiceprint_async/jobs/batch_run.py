"""The work behind the results of a batch: many items at once, in bounded memory."""

from __future__ import annotations

import asyncio
import contextlib
import copy
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from functools import partial
from typing import Any, Generic, TypeVar

from pyannote_voiceprint_async.concurrency.event_loop import running_loop
from pyannote_voiceprint_async.errors import AccountError, ClientClosedError, VoiceprintError
from pyannote_voiceprint_async.models import JobCreated

from .batch_item import BatchItem, ItemState
from .batch_scope import BatchScope, is_inside_batch

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
        self.unread: deque[tuple[R, JobCreated | None]] = deque()
        """The results that wait unread, each with its job."""
        self.not_yielded: list[R] = []
        """The results that were not yielded before the batch was closed."""
        self.on_done: Callable[[BatchRun[R]], None] | None = None
        """Called when the run has ended."""
        self.scope = BatchScope()
        """The code that runs inside the batch."""
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
        self._is_reading = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped_by: Exception | None = None
        self._consumers = 0

    # The consumer's side

    async def next_result(self) -> R:
        """Return the next result; the first call starts the run.

        Raises:
            StopAsyncIteration: all results were returned.
            Exception: the error that stopped the batch, once, after all results.
        """
        if self._reader is None and not self.scope.is_closed:
            self._start()
        self._consumers += 1
        try:
            while not self.unread:
                if self._is_done():
                    error, self._stopped_by = self._stopped_by, None
                    raise error or StopAsyncIteration
                self._changed.clear()
                await self._changed.wait()
            self._progress_slots.release()
            self._has_room.set()
            return self.unread.popleft()[0]
        finally:
            self._consumers -= 1
            self._move_unread()

    def close(self) -> None:
        """Start nothing new, and stop all items whose submission is not in flight. Harmless when repeated."""
        if self.scope.is_closed:
            return
        self.scope.is_closed = True
        self._stop(None, ItemState.UNSENT, ItemState.SUBMITTED)
        self._move_unread()
        self._changed.set()

    def close_from_any_thread(self) -> None:
        """Close the batch because its last reference is gone: the garbage collector runs in any thread."""
        if self._loop is None:
            self._report_if_done()
        elif not self._loop.is_closed():
            with contextlib.suppress(RuntimeError):  # another thread has just closed the loop
                self._loop.call_soon_threadsafe(self.close)

    async def aclose(self) -> None:
        """Close the batch, and wait until all its tasks are done, however often the caller is cancelled meanwhile.

        Inside another batch, a cancellation ends the wait: two batches that close each other must not wait for ever.
        """
        cancelled: asyncio.CancelledError | None = None
        self.close()
        while tasks := [item.task for item in self.running] + [self._reader] * self._is_reading:
            try:
                await asyncio.wait([task for task in tasks if task is not None])
            except asyncio.CancelledError as error:
                if is_inside_batch():
                    raise
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
        self._is_reading = True
        self._reader = asyncio.create_task(self._read())
        self._reader.add_done_callback(self._end_reading)

    async def _read(self) -> None:
        # The tasks of the items are started here, and so belong to the batch too.
        self.scope.enter()
        try:
            await self._read_items()
        except Exception as error:  # noqa: BLE001 - raised to the consumer after all results
            self._stopped_by = self._stopped_by or error

    async def _read_items(self) -> None:
        index = 0
        items = aiter(self._items) if isinstance(self._items, AsyncIterable) else _as_async(self._items)
        try:
            # The input may have caught the cancellation that ends the reading.
            while not self._is_ending:
                await self._wait_for_room()
                try:
                    value = await _next_value(items)
                except StopAsyncIteration:
                    return
                item = self._start_item(index, value)
                self._stop_if_ending(item)
                if not self._is_stable(value):
                    await item.value_released.wait()
                index += 1
        finally:
            # Left to the garbage collector, a generator may be closed twice at once when the event loop ends.
            if isinstance(items, AsyncGenerator):
                await items.aclose()

    def _end_reading(self, reader: asyncio.Task[None]) -> None:
        self._is_reading = False
        error = None if reader.cancelled() else reader.exception()
        if error is not None:
            self._stopped_by = self._stopped_by or _input_error(error)
        elif reader.cancelled() and not self._is_ending:
            self._close_after_cancellation()
        self._changed.set()
        self._report_if_done()

    async def _wait_for_room(self) -> None:
        await self._progress_slots.acquire()
        await self._unsent_slots.acquire()
        while len(self.unread) >= self._max_unread:
            self._has_room.clear()
            await self._has_room.wait()

    def _start_item(self, index: int, value: Any) -> BatchItem:
        item = BatchItem(index, value, self._on_submitted, self._on_refused)
        self.running.add(item)
        item.task = asyncio.create_task(self._run_item(item))
        item.task.add_done_callback(partial(self._end_item, item))
        item.task.add_done_callback(lambda _: item.release_value())
        return item

    # The items

    async def _run_item(self, item: BatchItem) -> None:
        outcome, error = None, None
        try:
            outcome = await self._process(item)
        except asyncio.CancelledError:
            if item.stopped_by is None and _is_being_cancelled():
                raise  # cancelled by other code: `_end_item` keeps the item
            error = item.stopped_by or self._cancelled_error(item)
        except Exception as exc:  # noqa: BLE001 - one failed item never stops the others
            error = exc
        self._finish(item, outcome, error)
        if isinstance(error, _STOPS_BATCH) and self._stopped_by is None:
            self._stopped_by = error
            self._stop(error, ItemState.UNSENT)

    def _cancelled_error(self, item: BatchItem) -> Exception:
        """Build the error of an item whose own code, such as a callback, raised `CancelledError`; keep its job."""
        if item.job is not None:
            self._on_abandoned(item.job)
        return item.error_of("its processing was cancelled from inside, for example by on_submitted")

    def _end_item(self, item: BatchItem, task: asyncio.Task[None]) -> None:
        """Finish an item whose task ended without a result: other code cancelled it, perhaps before its first step."""
        if item not in self.running:
            return
        if item.stopped_by is None:
            self._close_after_cancellation()
        self._finish(item, None, item.stopped_by or item.error_of("the batch was closed"))
        if not task.cancelled():
            task.exception()  # such as KeyboardInterrupt, which the event loop has raised

    def _finish(self, item: BatchItem, outcome: Any, error: Exception | None) -> None:
        """Queue the result of an item."""
        self._release(item)
        result = self._make_result(item, outcome, error)
        job = outcome if isinstance(outcome, JobCreated) else item.job
        self.unread.append((result, job))
        self._move_unread()
        self._changed.set()
        self._report_if_done()

    def _release(self, item: BatchItem) -> None:
        if item.state is not ItemState.SUBMITTED:
            self._unsent_slots.release()
        self.running.discard(item)

    def _on_submitted(self, item: BatchItem) -> None:
        self._unsent_slots.release()
        if self.scope.is_closed:
            item.stop()

    def _on_refused(self, item: BatchItem) -> None:
        self._stop_if_ending(item)

    def _stop_if_ending(self, item: BatchItem) -> None:
        if self.scope.is_closed:
            item.stop()
        elif self._stopped_by is not None:
            item.stop(_unsent_error(self._stopped_by))

    # The end

    @property
    def _is_ending(self) -> bool:
        return self.scope.is_closed or self._stopped_by is not None

    def _close_after_cancellation(self) -> None:
        """Close the batch after other code cancelled one of its tasks, as the end of `asyncio.run` cancels all."""
        if self.scope.is_closed:
            return
        self._stopped_by = self._stopped_by or VoiceprintError(
            "The batch was closed, because other code cancelled one of its tasks. Its remaining items are in "
            "`unfinished`, their accepted jobs in `client.abandoned`."
        )
        self.close()

    def _stop(self, error: Exception | None, *states: ItemState) -> None:
        """Stop reading, and stop the items in these states."""
        if self._reader is not None:
            self._reader.cancel()
        for item in self.running:
            if item.state in states:
                item.stop(None if error is None else _unsent_error(error))

    def _move_unread(self) -> None:
        """Move results that no consumer will take from a closed batch to `unfinished`."""
        while self.scope.is_closed and len(self.unread) > self._consumers:
            result, job = self.unread.pop()
            self.not_yielded.append(result)
            if job is not None:
                self._on_abandoned(job)

    def _is_done(self) -> bool:
        return not self.running and not self._is_reading

    def _report_if_done(self, _: object = None) -> None:
        if self._is_done():
            self.scope.is_done = True
            if self.on_done is not None:
                self.on_done(self)


def _unsent_error(error: Exception) -> Exception:
    """Build the error of an item that was stopped before it was sent, from the error that stopped the batch."""
    error = copy.copy(error)
    error.args = (f"The item was not sent, because another item failed in a way that all items would fail. {error}",)
    return error


def _is_being_cancelled() -> bool:
    """Return whether the current task was cancelled, rather than its code having raised `CancelledError` itself."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _input_error(error: BaseException) -> Exception:
    """Build the error that ends the iteration after the input raised something that is no `Exception`."""
    result = VoiceprintError(
        f"The input of the batch was cancelled or interrupted: it raised {type(error).__name__}. The items after it "
        "were not read, and nothing of them was sent."
    )
    result.__cause__ = error
    return result


async def _next_value(items: AsyncIterator[Any]) -> Any:
    try:
        return await anext(items)
    except asyncio.CancelledError as error:
        if _is_being_cancelled():
            raise
        raise _input_error(error) from error


async def _as_async(items: Iterable[Any] | AsyncIterable[Any]) -> AsyncGenerator[Any, None]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
