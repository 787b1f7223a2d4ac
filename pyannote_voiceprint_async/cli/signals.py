"""SIGINT and SIGTERM: the first signal lets a command finish cleanly, the second ends it at once."""

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

__all__ = ["run_until_signal", "sigterm_as_interrupt"]

T = TypeVar("T")

# `timeout` and a terminal with a wrapper signal both the process and its group, so that one signal arrives twice.
_SAME_SIGNAL_SECONDS = 0.5


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Raise KeyboardInterrupt at SIGTERM, as Python does at SIGINT, so that the block can clean up."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def run_until_signal(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a new event loop, and return its result.

    Raises:
        KeyboardInterrupt: SIGINT or SIGTERM arrived. The first signal cancels `main`, which may clean up; a second
            signal ends it at once.
    """
    try:
        return asyncio.run(_cancel_at_signal(main))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


async def _cancel_at_signal(main: Coroutine[Any, Any, T]) -> T:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    first_signal_at: float | None = None

    def handle_signal() -> None:
        nonlocal first_signal_at
        assert task is not None  # noqa: S101 - a coroutine of asyncio.run has a task
        if first_signal_at is None:
            first_signal_at = loop.time()
            task.cancel()
        elif loop.time() - first_signal_at > _SAME_SIGNAL_SECONDS:
            raise KeyboardInterrupt  # leaves the event loop; asyncio.run then cancels the remaining tasks

    # Windows does not support signal handlers of the event loop. asyncio.run itself handles SIGINT there.
    with suppress(NotImplementedError):
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, handle_signal)
    return await main
