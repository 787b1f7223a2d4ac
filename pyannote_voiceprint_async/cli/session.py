"""What every command stands in: its output, its log, its client, and an end by signals."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.enrollment.ledger.output_file import OutputFile
from pyannote_voiceprint_async.settings import RateLimits

from .exit_codes import WrongUsage
from .options import Common
from .output import Output, output_to
from .terminal import is_stdout_closed

__all__ = ["connected", "ended_by_signals", "new_client", "run", "run_alone"]

T = TypeVar("T")

# `timeout`, and a terminal with a wrapper, tell a process and its group: it comes twice, and is meant once.
_ONE_SIGNAL = 0.5

_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)


def run(
    common: Common, main: Callable[[AsyncVoiceprintClient, Output], Awaitable[T]], out: OutputFile | None = None
) -> T:
    """Run the body of a command.

    Args:
        common: the common options.
        main: the body; takes the client and the output.
        out: a file for the results, instead of stdout.

    Raises:
        WrongUsage: the results have nowhere to go.
        KeyboardInterrupt: SIGINT or SIGTERM came. The first one lets `main` clean up; a second ends it.
    """
    if out is None and is_stdout_closed():
        raise WrongUsage("Nothing was sent: stdout is closed, and the results would be lost. Send it to a file.")

    async def with_client(output: Output) -> T:
        async with connected(common, output) as client:
            return await main(client, output)

    return run_alone(common, with_client, out)


def run_alone(common: Common, main: Callable[[Output], Coroutine[Any, Any, T]], out: OutputFile | None = None) -> T:
    """Run the body of a command that makes its client itself, or needs none.

    Args:
        common: the common options.
        main: the body; takes the output.
        out: a file for the results, instead of stdout.

    Raises:
        KeyboardInterrupt: as for `run`.
    """
    with output_to(out) as output, _logging_to(output, common.verbose):
        return _until_signal(main(output))


def new_client(common: Common, api_key: str | None = None, base_url: str | None = None) -> AsyncVoiceprintClient:
    """Make the client that the common options ask for.

    Raises:
        ConfigurationError: there is no key, or an option cannot work.
    """
    return AsyncVoiceprintClient(
        api_key,
        base_url=common.base_url if base_url is None else base_url,
        max_concurrency=common.max_concurrency,
        rate_limits=RateLimits(submissions=common.rate_limit),
    )


@asynccontextmanager
async def connected(common: Common, output: Output, store: Path | None = None) -> AsyncIterator[AsyncVoiceprintClient]:
    """Have a client, and the embedded sandbox behind it if that is asked for.

    Args:
        common: the common options.
        output: where it is said that nothing is real.
        store: where the sandbox keeps its jobs for the next command.

    Raises:
        WrongUsage: the sandbox cannot start.
    """
    if not common.sandbox:
        async with new_client(common) as client:
            yield client
        return
    from pyannote_voiceprint_async.sandbox import Sandbox  # noqa: PLC0415 - a server that is rarely wanted

    output.say("Sandbox: nothing is sent to pyannoteAI, and the voiceprints are made up.")
    async with AsyncExitStack() as stack:
        try:
            sandbox = await stack.enter_async_context(Sandbox(store=store))
        except (ValueError, OSError) as exc:
            raise WrongUsage(f"The sandbox cannot start: {exc}") from None
        yield await stack.enter_async_context(new_client(common, sandbox.api_key, sandbox.url))


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let SIGTERM end what is done here as Ctrl-C does, so that it cleans up after itself."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _until_signal(main: Coroutine[Any, Any, T]) -> T:
    async def ends_by_signals() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()

        asked_at: float | None = None

        def end() -> None:
            nonlocal asked_at
            assert task is not None  # noqa: S101 - a coroutine of asyncio.run has a task
            if asked_at is None:
                asked_at = loop.time()
                task.cancel()
            elif loop.time() - asked_at > _ONE_SIGNAL:
                raise KeyboardInterrupt  # out of the loop: asyncio.run cancels all that is left

        # Windows has no such handlers, and no SIGTERM worth the name. SIGINT is then asyncio.run's own.
        with suppress(NotImplementedError):
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, end)
        return await main

    try:
        return asyncio.run(ends_by_signals())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


@contextmanager
def _logging_to(output: Output, verbose: int) -> Iterator[None]:
    log = logging.getLogger("pyannote_voiceprint_async")
    before = log.level
    handler = _Handler(output)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(_LEVELS[min(verbose, len(_LEVELS) - 1)])
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before)


class _Handler(logging.Handler):
    """Log lines among the others, above the progress line."""

    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        self._output.say(self.format(record))
