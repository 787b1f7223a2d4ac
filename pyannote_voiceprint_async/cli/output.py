"""The output of a command: results to stdout or a private file, status lines and progress to stderr."""

import asyncio
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from functools import partial
from typing import Any, BinaryIO

import click

from pyannote_voiceprint_async.enrollment.ledger.output_file import OutputFile
from pyannote_voiceprint_async.local_files import reason_of
from pyannote_voiceprint_async.redaction import printable

from .exit_codes import Failure
from .log_format import is_json_log, log_object
from .progress import ProgressDisplay, create_progress_display
from .records import RecordText, format_record, json_line
from .results_file import open_results_file
from .terminal import binary_stdout
from .text_layout import terminal_width, wrap

__all__ = ["Output", "json_line", "open_output", "print_record", "print_status"]


def print_status(line: str) -> None:
    """Write a line to stderr, in a command without an event loop. A terminal gets it wrapped at its width."""
    click.echo(log_object("message", line) if is_json_log() else _status_text(line), err=True)


def print_record(record: Mapping[str, Any], text: RecordText, *, as_json: bool = False) -> None:
    """Write a record to stdout, in a command without an event loop: as text on a terminal, else as JSON."""
    for line in format_record(record, text, terminal_width=terminal_width(sys.stdout), as_json=as_json):
        click.echo(line)


class Output:
    """The results and status lines of a command that runs in an event loop.

    A thread writes the lines one after another: a slow reader (`| less`) must not block the event loop, because
    requests in flight would time out, and an accepted submission is billed.

    Args:
        results: the stream for the results.
        progress: the display of the progress, which is hidden while a line is written.
        encoding: the encoding of the results.
        as_json: write records as JSON on a terminal too.
    """

    def __init__(
        self, results: BinaryIO, progress: ProgressDisplay, encoding: str = "utf-8", *, as_json: bool = False
    ) -> None:
        self.progress = progress
        self.is_json_log = is_json_log()
        """Whether stderr gets JSON objects instead of text."""
        self._results = results
        self._encoding = encoding
        self._as_json = as_json
        self._shares_terminal = results.isatty()
        self._thread = ThreadPoolExecutor(1, "output")

    @property
    def is_terminal(self) -> bool:
        """Whether the results are written to a terminal."""
        return self._shares_terminal

    @property
    def shows_text(self) -> bool:
        """Whether records are written as text, for people."""
        return self._shares_terminal and not self._as_json

    async def write_record(self, record: Mapping[str, Any], text: RecordText) -> None:
        """Write a record as text on a terminal, else as JSON. For the rest see `write_result`."""
        width = terminal_width(self._results)
        await self._write_lines(format_record(record, text, terminal_width=width, as_json=self._as_json))

    async def write_result(self, line: str) -> None:
        """Write a line of text, wrapped on a terminal. After the return, killing the command cannot lose it.

        Raises:
            Failure: the line cannot be written.
            BrokenPipeError: the reader of the results has ended.
        """
        width = terminal_width(self._results)
        await self._write_lines([printable(line)] if width is None else wrap(line, width))

    async def write_status(
        self, line: str, *, event: str = "message", level: str = "info", fields: Mapping[str, Any] | None = None
    ) -> None:
        """Write a line to stderr, in order with the results; return when it is written. See `print_status`."""
        await self._run(partial(self.print_status, event=event, level=level, fields=fields), line)

    async def write_status_record(self, record: Mapping[str, Any], text: RecordText) -> None:
        """Write a record to stderr: as text on a terminal, else as JSON."""
        if self.is_json_log:
            await self.write_status("", event="record", fields=record)
            return
        lines = format_record(record, text, terminal_width=terminal_width(sys.stderr))
        await self._run(self._write_status, "\n".join(lines))

    def print_status(
        self, line: str, *, event: str = "message", level: str = "info", fields: Mapping[str, Any] | None = None
    ) -> None:
        """Write a line to stderr at once. A terminal gets it wrapped at its width.

        Args:
            line: the text for people.
            event: the name of the event, for `--log-format json`, as the arguments below.
            level: `debug`, `info`, `warning` or `error`.
            fields: plain JSON types, without secrets.
        """
        self._write_status(
            log_object(event, line, level=level, fields=fields) if self.is_json_log else _status_text(line)
        )

    def finish_writes(self) -> None:
        """Wait until all pending lines are written: a cancelled command has left some of them."""
        self._thread.submit(lambda: None).result()

    def close(self) -> None:
        """Write all pending lines, and remove the progress line."""
        self._thread.shutdown()
        self.progress.close()

    def _write_status(self, text: str) -> None:
        # A closed stderr must not stop a run that is billed.
        with suppress(OSError), self.progress.hidden():
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()

    async def _write_lines(self, lines: list[str]) -> None:
        # One write: the lines of two records must not alternate.
        if lines:
            await self._run(self._write, "\n".join(lines))

    def _write(self, text: str) -> None:
        try:
            with self.progress.hidden() if self._shares_terminal else nullcontext():
                rest = memoryview(f"{text}\n".encode(self._encoding, "backslashreplace"))
                while rest:
                    rest = rest[self._results.write(rest) :]
                self._results.flush()
        except BrokenPipeError:
            raise
        except OSError as exc:
            raise Failure(
                f"The results cannot be written ({reason_of(exc)}). Free some space, and fetch the missing "
                "results with `pyannote-voiceprint job ID`."
            ) from None

    async def _run(self, write: Callable[[str], None], line: str) -> None:
        # Shielded: a line is written exactly once, also when the caller is cancelled meanwhile.
        await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, write, line))


@contextmanager
def open_output(out: OutputFile | None, *, as_json: bool = False) -> Iterator[Output]:
    """Yield the output of a command, and close it.

    Args:
        out: the file for the results; None is stdout.
        as_json: write records as JSON on a terminal too.

    Raises:
        WrongUsage: the file cannot be opened.
    """
    with ExitStack() as stack:
        if out is None:
            output = Output(binary_stdout(), create_progress_display(), sys.stdout.encoding, as_json=as_json)
        else:
            output = Output(stack.enter_context(open_results_file(out)), create_progress_display(), as_json=as_json)
        stack.callback(output.close)
        yield output


def _status_text(line: str) -> str:
    """Return the text of a status line: on a terminal wrapped, elsewhere one line."""
    width = terminal_width(sys.stderr)
    return printable(line) if width is None else "\n".join(wrap(printable(line), width))
