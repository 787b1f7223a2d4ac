"""The output of a command: results to stdout or a private file, status lines and progress to stderr."""

import asyncio
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from typing import Any, BinaryIO

import click

from pyannote_voiceprint_async.enrollment.ledger.output_file import OutputFile
from pyannote_voiceprint_async.redaction import printable

from .exit_codes import Failure
from .progress import ProgressDisplay, create_progress_display
from .results_file import open_results_file, os_error_reason
from .terminal import binary_stdout

__all__ = ["Output", "json_line", "open_output", "print_status"]


def json_line(record: Mapping[str, Any]) -> str:
    """Return a record as one line of JSON, in which only control characters are escaped."""
    return printable(json.dumps(record, ensure_ascii=False))


def print_status(line: str) -> None:
    """Write a line to stderr, in a command without an event loop."""
    click.echo(printable(line), err=True)


class Output:
    """The results and status lines of a command that runs in an event loop.

    A thread writes the lines one after another: a slow reader (`| less`) must not block the event loop, because
    requests in flight would time out, and an accepted submission is billed.

    Args:
        results: the stream for the results.
        progress: the display of the progress, which is hidden while a line is written.
        encoding: the encoding of the results.
    """

    def __init__(self, results: BinaryIO, progress: ProgressDisplay, encoding: str = "utf-8") -> None:
        self.progress = progress
        self._results = results
        self._encoding = encoding
        self._shares_terminal = results.isatty()
        self._thread = ThreadPoolExecutor(1, "output")

    async def write_result(self, line: str) -> None:
        """Write a line of results. After the return, killing the command cannot lose it.

        Raises:
            Failure: the line cannot be written.
            BrokenPipeError: the reader of the results has ended.
        """
        await self._run(self._write, line)

    async def write_status(self, line: str) -> None:
        """Write a line to stderr, in order with the results; return when it is written."""
        await self._run(self.print_status, line)

    def print_status(self, line: str) -> None:
        """Write a line to stderr at once."""
        # A closed stderr must not stop a run that is billed.
        with suppress(OSError), self.progress.hidden():
            sys.stderr.write(f"{printable(line)}\n")
            sys.stderr.flush()

    def close(self) -> None:
        """Write all pending lines, and remove the progress line."""
        self._thread.shutdown()
        self.progress.close()

    def _write(self, line: str) -> None:
        try:
            with self.progress.hidden() if self._shares_terminal else nullcontext():
                rest = memoryview(f"{printable(line)}\n".encode(self._encoding, "backslashreplace"))
                while rest:
                    rest = rest[self._results.write(rest) :]
                self._results.flush()
        except BrokenPipeError:
            raise
        except OSError as exc:
            raise Failure(
                f"The results cannot be written ({os_error_reason(exc)}). Free some space, and fetch the missing "
                "results with `pyannote-voiceprint job ID`."
            ) from None

    async def _run(self, write: Callable[[str], None], line: str) -> None:
        # Shielded: a line is written exactly once, also when the caller is cancelled meanwhile.
        await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, write, line))


@contextmanager
def open_output(out: OutputFile | None) -> Iterator[Output]:
    """Yield the output of a command, and close it.

    Args:
        out: the file for the results; None is stdout.

    Raises:
        WrongUsage: the file cannot be opened.
    """
    with ExitStack() as stack:
        if out is None:
            output = Output(binary_stdout(), create_progress_display(), sys.stdout.encoding)
        else:
            output = Output(stack.enter_context(open_results_file(out)), create_progress_display())
        stack.callback(output.close)
        yield output
