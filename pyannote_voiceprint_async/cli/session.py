"""What every command stands in: its output, its log, its client, and an end by signals."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.settings import RateLimits

from .options import Common
from .output import Output, output_to

__all__ = ["run"]

T = TypeVar("T")

_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)


def run(common: Common, main: Callable[[AsyncVoiceprintClient, Output], Awaitable[T]], out: Path | None = None) -> T:
    """Run the body of a command.

    Args:
        common: the common options.
        main: the body; takes the client and the output.
        out: a file for the results, instead of stdout.

    Raises:
        KeyboardInterrupt: SIGINT or SIGTERM came. The first one lets `main` clean up; a second ends it.
    """

    async def connected() -> T:
        async with _client(common, output) as client:
            return await main(client, output)

    with output_to(out) as output, _logging_to(output, common.verbose):
        return _until_signal(connected())


def _until_signal(main: Coroutine[Any, Any, T]) -> T:
    async def ends_by_sigterm() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()

        def end() -> None:
            loop.remove_signal_handler(signal.SIGTERM)
            assert task is not None  # noqa: S101 - a coroutine of asyncio.run has a task
            task.cancel()

        # Windows has no such handlers, and no SIGTERM worth the name. SIGINT is asyncio.run's own.
        with suppress(NotImplementedError):
            loop.add_signal_handler(signal.SIGTERM, end)
        return await main

    try:
        return asyncio.run(ends_by_sigterm())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


@asynccontextmanager
async def _client(common: Common, output: Output) -> AsyncIterator[AsyncVoiceprintClient]:
    limits = RateLimits(submissions=common.rate_limit)
    if not common.sandbox:
        async with AsyncVoiceprintClient(
            base_url=common.base_url, max_concurrency=common.max_concurrency, rate_limits=limits
        ) as client:
            yield client
        return
    from pyannote_voiceprint_async.sandbox import Sandbox  # noqa: PLC0415 - a server that is rarely wanted

    output.say("Sandbox: nothing is sent to pyannoteAI, and the voiceprints are made up.")
    async with (
        Sandbox() as sandbox,
        AsyncVoiceprintClient(
            sandbox.api_key, base_url=sandbox.url, max_concurrency=common.max_concurrency, rate_limits=limits
        ) as client,
    ):
        yield client


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
