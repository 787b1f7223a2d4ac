"""Tasks that finish although their loop or their caller is being cancelled."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["ProtectedTask", "wait_until_done"]

R = TypeVar("R")

# Start in the caller's step instead of the event loop's next one, where Python can.
_EAGER: dict[str, Any] = {"eager_start": True} if sys.version_info >= (3, 12) else {}


class ProtectedTask(asyncio.Task[R]):
    """A task that ignores `cancel()` unless `may_cancel()` allows it.

    `asyncio.run()` cancels all tasks at its end and waits for them. A submission on the wire must use that time to
    read its job id: it is paid for.

    Args:
        coroutine: what to run; it must end by itself in bounded time.
        may_cancel: called for each cancellation.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, R], may_cancel: Callable[[], bool]) -> None:
        self._may_cancel = may_cancel
        super().__init__(coroutine, loop=asyncio.get_running_loop(), **_EAGER)

    def cancel(self, msg: Any | None = None) -> bool:
        """Cancel the task, if it allows that."""
        return self._may_cancel() and super().cancel(msg)


async def wait_until_done(*tasks: asyncio.Future[Any]) -> None:
    """Wait until the tasks are done, however often the caller is cancelled meanwhile.

    Raises:
        CancelledError: the caller was cancelled; raised when the tasks are done.
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
            del cancelled  # else the error and this frame keep each other alive
