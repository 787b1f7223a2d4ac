"""SIGINT and SIGTERM: the first signal lets a command finish cleanly, the second ends it at once."""

import asyncio
import signal
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn, TypeVar

from .exit_codes import Terminated

__all__ = ["run_until_signal", "sigterm_as_interrupt"]

T = TypeVar("T")

# `timeout` and a terminal with a wrapper signal both the process and its group, so that one signal arrives twice.
_SAME_SIGNAL_SECONDS = 0.5
_EXCEPTIONS: Mapping[signal.Signals, type[KeyboardInterrupt]] = {
    signal.SIGINT: KeyboardInterrupt,
    signal.SIGTERM: Terminated,
}


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Raise `Terminated` at SIGTERM, as Python raises KeyboardInterrupt at SIGINT, so that the block can clean up."""
    before = signal.signal(signal.SIGTERM, _raise_terminated)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def run_until_signal(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a new event loop, and return its result.

    Raises:
        KeyboardInterrupt: SIGINT arrived, or SIGTERM (`Terminated`). The first signal cancels `main`, which may clean
            up; a second signal ends it at once.
    """
    signals: list[type[KeyboardInterrupt]] = []
    try:
        return asyncio.run(_cancel_at_signal(main, signals))
    except asyncio.CancelledError:
        raise (signals[0] if signals else KeyboardInterrupt) from None


async def _cancel_at_signal(main: Coroutine[Any, Any, T], signals: list[type[KeyboardInterrupt]]) -> T:
    """Run a coroutine, cancel it at the first signal, and add the exception of the first signal to `signals`."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    first_signal_at: float | None = None

    def handle_signal(exception: type[KeyboardInterrupt]) -> None:
        nonlocal first_signal_at
        assert task is not None  # noqa: S101 - a coroutine of asyncio.run has a task
        if first_signal_at is None:
            first_signal_at = loop.time()
            signals.append(exception)
            task.cancel()
        elif loop.time() - first_signal_at > _SAME_SIGNAL_SECONDS:
            raise exception  # leaves the event loop; asyncio.run then cancels the remaining tasks

    # Windows does not support signal handlers of the event loop. asyncio.run itself handles SIGINT there.
    with suppress(NotImplementedError):
        for number, exception in _EXCEPTIONS.items():
            loop.add_signal_handler(number, handle_signal, exception)
    return await main


def _raise_terminated(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated
