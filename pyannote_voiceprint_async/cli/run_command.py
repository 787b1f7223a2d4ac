"""Run the body of a command with its output, log lines, client and signal handlers."""

import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.enrollment.ledger.output_file import OutputFile

from .clients import open_client
from .exit_codes import WrongUsage
from .formatting import format_count
from .interrupt import EXPLAINED, RUN_AGAIN
from .options import CommonOptions
from .output import Output, open_output
from .signals import run_until_signal
from .terminal import is_stdout_closed

__all__ = ["reject_closed_stdout", "run", "run_without_client"]

T = TypeVar("T")

# By the number of `-v`.
_LOG_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)


def _explain_reads(client: AsyncVoiceprintClient | None) -> str:
    """Return how to continue a command that creates no job."""
    in_flight = 0 if client is None else client.stats.in_flight
    return f"{RUN_AGAIN} In flight: {format_count(in_flight, 'request')}." if in_flight else RUN_AGAIN


def run(
    common: CommonOptions,
    main: Callable[[AsyncVoiceprintClient, Output], Awaitable[T]],
    out: OutputFile | None = None,
    *,
    as_json: bool = False,
    explain: Callable[[AsyncVoiceprintClient | None], str] = _explain_reads,
) -> T:
    """Run the body of a command that needs a client, and return its result.

    Args:
        common: the common options.
        main: the body, called with the client and the output.
        out: the file for the results; None is stdout.
        as_json: write records as JSON on a terminal too.
        explain: returns what an interruption left, and how to continue; called with the client, if it is open yet.

    Raises:
        WrongUsage: stdout is closed, or `out` cannot be opened.
        KeyboardInterrupt: SIGINT or SIGTERM arrived. The first signal lets `main` clean up; a second ends it.
    """
    if out is None:
        reject_closed_stdout()
    opened: AsyncVoiceprintClient | None = None

    async def with_client(output: Output) -> T:
        nonlocal opened
        async with open_client(common, output) as client:
            opened = client
            return await main(client, output)

    return run_without_client(common, with_client, out, as_json=as_json, explain=lambda: explain(opened))


def reject_closed_stdout() -> None:
    """Refuse to start a command whose results nobody would get.

    Raises:
        WrongUsage: stdout is closed.
    """
    if is_stdout_closed():
        raise WrongUsage(
            "Nothing was sent: stdout is closed, and the results would be lost. Redirect stdout to a file."
        )


def run_without_client(  # noqa: PLR0913 - what a command may decide
    common: CommonOptions,
    main: Callable[[Output], Coroutine[Any, Any, T]],
    out: OutputFile | None = None,
    *,
    as_json: bool = False,
    explain: Callable[[], str | None] = lambda: RUN_AGAIN,
    announce: Callable[[], str | None] = lambda: None,
) -> T:
    """Run the body of a command that opens a client itself or needs none, and return its result.

    Args:
        common: the common options.
        main: the body, called with the output.
        out: the file for the results; None is stdout.
        as_json: write records as JSON on a terminal too.
        explain: returns what an interruption left, and how to continue; None if the caller prints it.
        announce: returns why the command does not end at the first signal; None if it ends at once.

    Raises:
        WrongUsage: `out` cannot be opened.
        KeyboardInterrupt: SIGINT or SIGTERM arrived, as for `run`.
    """
    with open_output(out, as_json=as_json) as output, _log_to(output, common.verbose):

        @cache  # it prints once: at the second signal, or else at the end
        def print_explanation() -> None:
            output.progress.close()
            if (explanation := explain()) is not None:
                output.print_status(explanation)

        def print_announcement() -> None:
            if (announcement := announce()) is not None:
                output.print_status(announcement)

        try:
            return run_until_signal(main(output), print_explanation, print_announcement)
        except KeyboardInterrupt as interrupt:
            output.finish_writes()
            print_explanation()
            raise type(interrupt)(EXPLAINED) from None


@contextmanager
def _log_to(output: Output, verbose: int) -> Iterator[None]:
    """Print the log lines of the package as status lines."""
    logger = logging.getLogger("pyannote_voiceprint_async")
    level_before = logger.level
    handler = _StatusHandler(output)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(_LOG_LEVELS[min(verbose, len(_LOG_LEVELS) - 1)])
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level_before)


class _StatusHandler(logging.Handler):
    """A log handler that prints above the progress line."""

    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        fields = {"logger": record.name}
        if self._output.is_json_log:
            self._output.print_status(record.getMessage(), event="log", level=record.levelname.lower(), fields=fields)
        else:
            self._output.print_status(self.format(record))
