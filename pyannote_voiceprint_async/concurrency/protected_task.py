"""Tasks that finish although their event loop or their caller is being cancelled."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["ProtectedTask", "wait_until_done"]

R = TypeVar("R")

# An eager task starts at once instead of in the event loop's next iteration.
_EAGER: dict[str, Any] = {"eager_start": True} if sys.version_info >= (3, 12) else {}


class ProtectedTask(asyncio.Task[R]):
    """A task that ignores `cancel()` unless `may_cancel()` allows it.

    When `asyncio.run()` ends, it cancels all tasks and waits for them. A submission in flight must use that time to
    read its job id, because the job is billed.

    Args:
        coroutine: the coroutine to run; it must end by itself within a bounded time.
        may_cancel: called on each cancellation.
    """

    __slots__ = ("_may_cancel",)

    def __init__(self, coroutine: Coroutine[Any, Any, R], may_cancel: Callable[[], bool]) -> None:
        self._may_cancel = may_cancel
        super().__init__(coroutine, loop=asyncio.get_running_loop(), **_EAGER)

    def cancel(self, msg: Any | None = None) -> bool:
        """Cancel the task if `may_cancel()` allows it."""
        return self._may_cancel() and super().cancel(msg)


async def wait_until_done(*tasks: asyncio.Future[Any]) -> None:
    """Wait until all tasks are done, however often the caller is cancelled meanwhile.

    Raises:
        CancelledError: the caller was cancelled. It is raised only when the tasks are done.
    """
    cancelled: asyncio.CancelledError | None = None
    while pending := [task for task in tasks if not task.done()]:
        try:
            await asyncio.wait(pending)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        try:
            raise cancelled
        finally:
            del cancelled  # breaks the reference cycle of the error and this frame
