"""SIGINT and SIGTERM: the first signal lets a command finish cleanly, the second ends it at once."""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn, TypeVar

from .exit_codes import ExitCode, Terminated
from .interrupt import ExitAtInterrupt

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
    """Raise KeyboardInterrupt at SIGINT and `Terminated` at SIGTERM, so that the block can clean up."""
    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler),
        signal.SIGTERM: signal.signal(signal.SIGTERM, _raise_terminated),
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_until_signal(
    main: Coroutine[Any, Any, T],
    explain: Callable[[], object] = lambda: None,
    announce: Callable[[], object] = lambda: None,
) -> T:
    """Run a coroutine in a new event loop, and return its result.

    Args:
        main: the coroutine.
        explain: called at a second signal, to print what is still in flight.
        announce: called at the first signal, to print why the command does not end at once.

    Raises:
        KeyboardInterrupt: SIGINT arrived, or SIGTERM (`Terminated`). The first signal cancels `main`, which may clean
            up; a second signal ends it at once: in the process of the entry point, it ends the process.
    """
    before = signal.getsignal(signal.SIGINT)
    signals: list[type[KeyboardInterrupt]] = []
    try:
        return asyncio.run(_cancel_at_signal(main, signals, explain, announce, before))
    except asyncio.CancelledError:
        raise (signals[0] if signals else KeyboardInterrupt) from None
    finally:
        # The event loop has reset the handlers of its signals.
        signal.signal(signal.SIGINT, before)
        if isinstance(before, ExitAtInterrupt):
            before.mark_ended()


async def _cancel_at_signal(
    main: Coroutine[Any, Any, T],
    signals: list[type[KeyboardInterrupt]],
    explain: Callable[[], object],
    announce: Callable[[], object],
    before: object,
) -> T:
    """Run a coroutine, cancel it at the first signal, and add the exception of the first signal to `signals`."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    first_signal_at: float | None = None

    def handle_signal(exception: type[KeyboardInterrupt]) -> None:
        nonlocal first_signal_at
        assert task is not None  # noqa: S101 - a coroutine of asyncio.run has a task
        if first_signal_at is None:
            first_signal_at = loop.time()
            signals.append(exception)
            announce()
            task.cancel()
        elif loop.time() - first_signal_at > _SAME_SIGNAL_SECONDS:
            explain()
            if isinstance(before, ExitAtInterrupt):
                # Closing the client would wait for the submissions in flight.
                before.exit(ExitCode.TERMINATED if exception is Terminated else ExitCode.INTERRUPTED)
            raise exception  # leaves the event loop; asyncio.run then cancels the remaining tasks

    # Windows does not support signal handlers of the event loop. asyncio.run itself handles SIGINT there.
    with suppress(NotImplementedError):
        for number, exception in _EXCEPTIONS.items():
            loop.add_signal_handler(number, handle_signal, exception)
    return await main


def _raise_terminated(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated
