"""Many calls at once, results as they finish: bounded memory, and one bad item never stops the rest."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import weakref
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable
from contextlib import aclosing
from enum import Enum
from functools import partial
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from pyannote_voiceprint_async.concurrency.event_loop import running_loop
from pyannote_voiceprint_async.concurrency.protected_task import wait_until_done
from pyannote_voiceprint_async.errors import AccountError, ClientClosedError, JobTimeoutError, VoiceprintError
from pyannote_voiceprint_async.models import JobCreated
from pyannote_voiceprint_async.reprs import safe_repr

__all__ = ["BatchItem", "BatchRun", "Results"]

R = TypeVar("R")

# After one of these every other item would fail the same way.
_STOPS_ALL = (AccountError, ClientClosedError)


class ItemState(Enum):
    """How far an item has come."""

    UNSENT = "nothing of it may have been accepted"
    SENDING = "its submission is on the wire: it is left to finish"
    WAITING = "its job is accepted"


class BatchItem:
    """One item on its way. Whoever runs it says how far it is."""

    def __init__(
        self, index: int, value: Any, on_submitted: Callable[[BatchItem], None], on_refused: Callable[[BatchItem], None]
    ) -> None:
        self.index = index
        self.value = value
        self.phase = ItemState.UNSENT
        self.job: JobCreated | None = None
        self.stopped_by: Exception | None = None
        self.task: asyncio.Task[None]
        self.is_taken = asyncio.Event()
        self._on_submitted = on_submitted
        self._on_refused = on_refused

    def taken(self) -> None:
        """Take note that the value is not needed any more: whoever gave it may change it."""
        self.is_taken.set()

    async def before_send(self) -> None:
        """Take note that the submission is about to leave; one that was stopped must not leave any more."""
        if self.stopped_by is not None:
            raise asyncio.CancelledError
        self.phase = ItemState.SENDING

    def refused(self) -> None:
        """Take note that the submission was refused for now: nothing of it is on the wire."""
        self.phase = ItemState.UNSENT
        self._on_refused(self)

    def submitted(self, job: JobCreated) -> None:
        """Take note of the job, so that the next item may be read."""
        self.job = job
        self.phase = ItemState.WAITING
        self._on_submitted(self)

    def stop(self, error: Exception | None) -> None:
        """End it here, with this error, or with one that says that its results were left."""
        self.stopped_by = error or self._left()
        self.task.cancel()

    def _left(self) -> VoiceprintError:
        if self.job is None:
            return VoiceprintError("It was not sent: its results were left before its turn.", retryable=True)
        return JobTimeoutError(
            f"Its results were left before job {self.job.job_id} was done. The job goes on: wait() picks it up.",
            job_id=self.job.job_id,
        )


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
        lasts: whether an item stays as it is while the next one is read. Of others the next is read when `run` has
            said that the item is taken: a recorder fills the same array again and again.
        on_left: called with each job that was accepted, and whose result was not yielded before the results were left.
    """

    def __init__(  # noqa: PLR0913 - what differs between the two bulk calls
        self,
        items: Iterable[Any] | AsyncIterable[Any],
        run: Callable[[BatchItem], Awaitable[Any]],
        result: Callable[[BatchItem, Any, Exception | None], R],
        *,
        ahead: int,
        waiting: int,
        lasts: Callable[[Any], bool] = lambda _: True,
        on_left: Callable[[JobCreated], None] = lambda _: None,
    ) -> None:
        self.work: BatchRun[R] = BatchRun(items, run, result, ahead, waiting, lasts, on_left)
        """What goes on behind the results. It holds no reference to them, so that dropping them can be noticed."""
        weakref.finalize(self, self.work.dropped).atexit = False

    def __repr__(self) -> str:
        return f"<Results running={len(self.work.running)} finished={len(self.work.finished)}>"

    @property
    def unfinished(self) -> list[R]:
        """Results that were not yielded before the results were left; complete when `aclose()` returns."""
        return self.work.unfinished

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> R:
        return await self.work.next()

    async def aclose(self) -> None:
        """Stop new work, finish what was sent, and keep what was not yielded in `unfinished`.

        A caller that is cancelled meanwhile is cancelled afterwards.
        """
        await self.work.aclose()


class BatchRun(Generic[R]):
    """The items of `Results` on their way. It ends by itself, whether or not anybody waits for it.

    `running` has the items that are read and not finished, `finished` the results that wait unread, each with its job.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - made in one place, `Results`
        self,
        items: Iterable[Any] | AsyncIterable[Any],
        run: Callable[[BatchItem], Awaitable[Any]],
        result: Callable[[BatchItem, Any, Exception | None], R],
        ahead: int,
        waiting: int,
        lasts: Callable[[Any], bool],
        on_left: Callable[[JobCreated], None],
    ) -> None:
        self.unfinished: list[R] = []
        self.running: set[BatchItem] = set()
        self.finished: deque[tuple[R, JobCreated | None]] = deque()
        self.on_over: Callable[[BatchRun[R]], None] | None = None
        self._items = items
        self._run = run
        self._result = result
        self._lasts = lasts
        self._on_left = on_left
        self._most_unread = ahead
        self._ahead = asyncio.Semaphore(ahead)
        self._waiting = asyncio.Semaphore(waiting)
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
            self._waiting.release()
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
                    await self._waiting.acquire()
                    await self._ahead.acquire()
                    while len(self.finished) >= self._most_unread:
                        self._has_room.clear()
                        await self._has_room.wait()
                    item = BatchItem(index, await anext(items), self._moved_on, self._stayed_back)
                    self.running.add(item)
                    item.task = asyncio.create_task(self._do(item))
                    item.task.add_done_callback(partial(self._take_in_unbegun, item))
                    item.task.add_done_callback(lambda _, item=item: item.taken())  # type: ignore[misc]
                    if not self._lasts(item.value):
                        await item.is_taken.wait()
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
        if item.phase is not ItemState.WAITING:
            self._ahead.release()
        self.running.discard(item)
        result = self._result(item, outcome, error)
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
                self._on_left(job)

    async def _do(self, item: BatchItem) -> None:
        outcome, error = None, None
        try:
            outcome = await self._run(item)
        except asyncio.CancelledError:
            if item.stopped_by is None:
                # Somebody else canceled it: its place is free again.
                self.running.discard(item)
                if item.phase is not ItemState.WAITING:
                    self._ahead.release()
                self._waiting.release()
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
        self._ahead.release()
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
            if item.phase in phases:
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
