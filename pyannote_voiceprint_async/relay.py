"""A coroutine that runs in the task that awaits it, and that another task can go on with when that one is canceled.

A submission on the wire must not end with its caller. A task of its own for each would cost an eighth of a submission;
so it runs in its caller's, and gets its own only when the caller goes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any, Generic, TypeVar, cast

__all__ = ["Relay"]

R = TypeVar("R")


class Relay(Generic[R]):
    """Await it to run the work; when that is canceled and the work is not over, await it again to go on.

    Towards its task it plays the future that the work waits for (see `asyncio.isfuture`). So a cancellation of the
    task comes here first, and reaches the work only if it may.

    `over` says whether the work has ended, in whatever way; `canceled` whether the task that awaits it was canceled.

    Args:
        work: the coroutine.
        may_end: asked when the task is canceled: whether the work is canceled with it.
    """

    __slots__ = (
        "_asyncio_future_blocking",
        "_awaited",
        "_begun",
        "_context",
        "_interrupted",
        "_may_end",
        "_result",
        "_wake_task",
        "_work",
        "canceled",
        "over",
    )

    _result: R
    _wake_task: Callable[[asyncio.Future[Any]], object]
    _context: Context | None

    def __init__(self, work: Coroutine[Any, Any, R], may_end: Callable[[], bool]) -> None:
        self.over = False
        self._work = work
        self._may_end = may_end
        self._begun = False
        self._interrupted = False
        # What the work waits for; None: it only let others go first.
        self._awaited: asyncio.Future[Any] | None = None

    def __await__(self) -> Generator[Any, None, R]:
        self.canceled = False
        if not self._begun:
            self._begun = True
            self._step()
        while not self.over:
            error: BaseException | None = None
            self._asyncio_future_blocking = True
            try:
                yield None if self._awaited is None else self
            except asyncio.CancelledError as canceled:
                # It is the task's, and not the work's, unless what the work waits for was canceled.
                self.canceled |= self._awaited is None or not self._awaited.cancelled()
                if self.canceled and not self._may_end():
                    raise
                error = canceled
            except BaseException as raised:  # noqa: BLE001 - it is the work's
                error = raised
            if self._interrupted:
                self._interrupted = False
                error = error or asyncio.CancelledError()
            # Outside of the `except`: what the work raises must not have this one as its context.
            self._step(error)
        return self._result

    def interrupt(self) -> None:
        """Cancel the work, and no task."""
        # What it waits for may be done already, when answers come without end: then at its next step.
        self._interrupted = self._awaited is None or not self._awaited.cancel()

    # What a task asks of the future that it waits for.

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Give the event loop; called by the task."""
        return cast("asyncio.Future[Any]", self._awaited).get_loop()

    def add_done_callback(
        self, callback: Callable[[asyncio.Future[Any]], object], *, context: Context | None = None
    ) -> None:
        """Let the task be woken when the work can go on; called by the task."""
        self._wake_task = callback
        self._context = context
        if self._awaited is not None:
            self._awaited.add_done_callback(callback, context=context)

    def cancel(self, msg: Any | None = None) -> bool:
        """Take the cancellation of the task: it goes on to the work, or wakes the task alone; called by the task."""
        self.canceled = True
        if self._awaited is None:
            return False
        if self._may_end():
            return self._awaited.cancel(msg)
        if not self._awaited.remove_done_callback(self._wake_task):
            # It is done, and the task about to be woken: it is canceled at its next step.
            return False
        canceled = self.get_loop().create_future()
        canceled.add_done_callback(self._wake_task, context=self._context)
        return canceled.cancel(msg)

    def _step(self, error: BaseException | None = None) -> None:
        """Run the work to where it waits again."""
        try:
            self._awaited = self._work.send(None) if error is None else self._work.throw(error)
        except StopIteration as end:
            self.over = True
            self._result = end.value
        except BaseException:
            self.over = True
            raise
