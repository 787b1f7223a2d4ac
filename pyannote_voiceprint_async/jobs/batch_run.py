"""The tasks of a batch: one reads the input, and one for each item processes it. Memory stays bounded."""

from __future__ import annotations

import asyncio
import contextlib
import copy
from collections import deque
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from functools import partial
from typing import Any, Generic, TypeVar

from pyannote_voiceprint_async.concurrency.event_loop import running_loop
from pyannote_voiceprint_async.errors import AccountError, ClientClosedError, VoiceprintError
from pyannote_voiceprint_async.models import JobCreated

from .batch_input import BatchInput, input_error, is_being_cancelled
from .batch_item import BatchItem, ItemState
from .batch_scope import BatchScope, is_inside_batch

__all__ = ["BatchRun"]

R = TypeVar("R")

# After one of these errors, every other item would fail in the same way.
_STOPS_BATCH = (AccountError, ClientClosedError)


class BatchRun(Generic[R]):
    """Reads the input, processes each item in a task, and queues the results. `Results` describes the arguments.

    One failed item never stops the others. After `close`, the run ends by itself, also without a consumer.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - constructed in one place, `Results`
        self,
        items: Iterable[Any] | AsyncIterable[Any],
        process: Callable[[BatchItem], Awaitable[Any]],
        make_result: Callable[[int, Any, Any, Exception | None], R],
        read_ahead: int,
        max_in_progress: int,
        is_stable: Callable[[Any], bool],
        on_abandoned: Callable[[JobCreated], None],
    ) -> None:
        self.running: set[BatchItem] = set()
        """The items that were read and have no result yet."""
        self.unread: deque[tuple[R, JobCreated | None]] = deque()
        """The results that the consumer has not read yet, each with its job."""
        self.not_yielded: list[R] = []
        """The results that the consumer did not read before the batch was closed: `Results.unfinished`."""
        self.on_done: Callable[[BatchRun[R]], None] | None = None
        """Called when all tasks of the run are done, and no result waits unread."""
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

    # Called by the consumer, through `Results`

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
                if self._is_done:
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
            self._report_if_done()

    def close(self) -> None:
        """Start nothing new, and stop all items whose submission is not in flight. A second call does nothing."""
        if self.scope.is_closed:
            return
        self.scope.is_closed = True
        self._stop(None, ItemState.UNSENT, ItemState.SUBMITTED)
        self._move_unread()
        self._changed.set()
        self._report_if_done()

    def close_from_any_thread(self) -> None:
        """Close the batch after the garbage collector, which may run in any thread, has removed its `Results`."""
        if self._loop is None:  # the batch never started
            self._report_if_done()
        elif not self._loop.is_closed():
            with contextlib.suppress(RuntimeError):  # another thread may close the loop just now
                self._loop.call_soon_threadsafe(self.close)

    async def aclose(self) -> None:
        """Close the batch, and wait until all its tasks are done, however often the caller is cancelled meanwhile.

        A caller inside another batch stops waiting when it is cancelled: two batches that close each other would
        otherwise wait for ever.
        """
        cancelled: asyncio.CancelledError | None = None
        self.close()
        while tasks := self._tasks():
            try:
                await asyncio.wait(tasks)
            except asyncio.CancelledError as error:
                if is_inside_batch():
                    raise
                cancelled = error
        if cancelled is not None:
            try:
                raise cancelled
            finally:
                del cancelled  # breaks the reference cycle of the error and this frame

    # The reader, a task that reads the input

    def _start(self) -> None:
        # Without a running loop this raises before a coroutine exists that would never be awaited.
        self._loop = running_loop()
        self._is_reading = True
        self._reader = asyncio.create_task(self._read())
        self._reader.add_done_callback(self._on_reader_done)

    async def _read(self) -> None:
        # The reader starts the tasks of the items, so they belong to the batch too.
        self.scope.enter()
        try:
            await self._read_items()
        except Exception as error:  # noqa: BLE001 - raised to the consumer after all results
            self._stopped_by = self._stopped_by or error

    async def _read_items(self) -> None:
        index = 0
        items = BatchInput(self._items)
        try:
            # Checked for each item: the input may catch the cancellation that stops the reader.
            while not self._is_stopping:
                await self._wait_for_room()
                try:
                    value = await items.read()
                except StopAsyncIteration:
                    return
                item = self._start_item(index, value)
                self._stop_item_if_stopping(item)
                if not self._is_stable(value):
                    await item.value_released.wait()
                index += 1
        finally:
            await items.aclose()

    def _on_reader_done(self, reader: asyncio.Task[None]) -> None:
        self._is_reading = False
        error = None if reader.cancelled() else reader.exception()
        if error is not None:
            self._stopped_by = self._stopped_by or input_error(error)
        elif reader.cancelled() and not self._is_stopping:
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
        item = BatchItem(index, value, self._on_submitted, self._stop_item_if_stopping)
        self.running.add(item)
        item.task = asyncio.create_task(self._run_item(item))
        item.task.add_done_callback(partial(self._on_item_task_done, item))
        item.task.add_done_callback(lambda _: item.release_value())
        return item

    # The items

    async def _run_item(self, item: BatchItem) -> None:
        outcome, error = None, None
        try:
            outcome = await self._process(item)
        except asyncio.CancelledError:
            if item.stopped_by is None and is_being_cancelled():
                raise  # other code cancelled the task: `_on_item_task_done` queues a result for the item
            error = item.stopped_by or self._cancelled_error(item)
        except Exception as exc:  # noqa: BLE001 - one failed item never stops the others
            error = exc
        self._finish(item, outcome, error)
        if isinstance(error, _STOPS_BATCH) and self._stopped_by is None:
            self._stopped_by = error
            self._stop(error, ItemState.UNSENT)

    def _cancelled_error(self, item: BatchItem) -> Exception:
        """Keep the job of an item whose own code, such as a callback, raised `CancelledError`, and build its error."""
        if item.job is not None:
            self._on_abandoned(item.job)
        return item.error_of("its processing was cancelled from inside, for example by on_submitted")

    def _on_item_task_done(self, item: BatchItem, task: asyncio.Task[None]) -> None:
        """Queue a result for an item whose task was cancelled by other code, perhaps before its first step."""
        if item not in self.running:
            return  # the task has queued the result itself
        if item.stopped_by is None:
            self._close_after_cancellation()
        self._finish(item, None, item.stopped_by or item.error_of("the batch was closed"))
        if not task.cancelled():
            task.exception()  # retrieved, so that asyncio does not log it: the event loop has raised it already

    def _finish(self, item: BatchItem, outcome: Any, error: Exception | None) -> None:
        """Queue the result of an item."""
        if item.state is not ItemState.SUBMITTED:
            self._unsent_slots.release()
        self.running.discard(item)
        result = self._make_result(item.index, item.value, outcome, error)
        job = outcome if isinstance(outcome, JobCreated) else item.job
        self.unread.append((result, job))
        self._move_unread()
        self._changed.set()
        self._report_if_done()

    def _on_submitted(self, item: BatchItem) -> None:
        self._unsent_slots.release()
        if self.scope.is_closed:
            item.stop()

    def _stop_item_if_stopping(self, item: BatchItem) -> None:
        if self.scope.is_closed:
            item.stop()
        elif self._stopped_by is not None:
            item.stop(_unsent_error(self._stopped_by))

    # Stopping and closing

    @property
    def _is_stopping(self) -> bool:
        return self.scope.is_closed or self._stopped_by is not None

    def _close_after_cancellation(self) -> None:
        """Close the batch after other code cancelled one of its tasks. The end of `asyncio.run` cancels all tasks."""
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
        """Move the results of a closed batch that no waiting consumer will read to `not_yielded`."""
        while self.scope.is_closed and len(self.unread) > self._consumers:
            result, job = self.unread.pop()
            self.not_yielded.append(result)
            if job is not None:
                self._on_abandoned(job)

    def _tasks(self) -> list[asyncio.Task[None]]:
        """Return the tasks that are not done."""
        reader = [self._reader] if self._reader is not None and self._is_reading else []
        return [item.task for item in self.running] + reader

    @property
    def _is_done(self) -> bool:
        return not self.running and not self._is_reading

    def _report_if_done(self) -> None:
        if self._is_done:
            self.scope.is_done = True
            if self.on_done is not None and not self.unread:
                self.on_done(self)


def _unsent_error(error: Exception) -> Exception:
    """Build the error of an item that was not sent, because another item failed with this error."""
    error = copy.copy(error)
    error.args = (f"The item was not sent: another item failed with an error that every item would have. {error}",)
    return error
