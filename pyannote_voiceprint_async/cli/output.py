"""Where everything goes that a command says: results to stdout or a private file, all else to stderr."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, BinaryIO

import click

from pyannote_voiceprint_async.enrollment.ledger.output_file import OutputFile
from pyannote_voiceprint_async.errors import ConfigurationError
from pyannote_voiceprint_async.redaction import printable

from .exit_codes import Failure, WrongUsage
from .progress import Progress, find_progress
from .terminal import binary_stdout

__all__ = ["Output", "json_line", "output_to", "printable", "say"]

_PRIVATE = 0o600


def json_line(record: Mapping[str, Any]) -> str:
    """Write a record as one line of JSON, readable in any script."""
    return printable(json.dumps(record, ensure_ascii=False))


class Output:
    """Lines for programs and for people.

    Lines are written by a thread, one after another: a reader that is slow (`| less`) must not stop the event
    loop, because requests that are in flight would then time out, and a submission is a bill.

    Args:
        results: where results go.
        progress: the line that shows how far it is.
        encoding: that of the results.
    """

    def __init__(self, results: BinaryIO, progress: Progress, encoding: str = "utf-8") -> None:
        self.progress = progress
        self._results = results
        self._encoding = encoding
        self._shares_terminal = results.isatty()
        self._thread = ThreadPoolExecutor(1, "output")

    async def write(self, line: str) -> None:
        """Write a line of results. When this comes back, killing the command cannot undo it.

        Raises:
            Failure: it cannot be written.
            BrokenPipeError: nobody reads it any more.
        """
        await self._run(self._write, line)

    async def announce(self, line: str) -> None:
        """Write a line to stderr, and come back when it is there."""
        await self._run(self.say, line)

    def say(self, line: str) -> None:
        """Write a line to stderr."""
        # A stderr that takes nothing must not stop what is paid for.
        with suppress(OSError), self.progress.hidden():
            sys.stderr.write(f"{printable(line)}\n")
            sys.stderr.flush()

    def close(self) -> None:
        """Write what was handed over, and take the progress away."""
        self._thread.shutdown()
        self.progress.close()

    def _write(self, line: str) -> None:
        try:
            with self._room():
                rest = memoryview(f"{printable(line)}\n".encode(self._encoding, "backslashreplace"))
                while rest:
                    rest = rest[self._results.write(rest) :]
                self._results.flush()
        except BrokenPipeError:
            raise
        except OSError as exc:
            raise Failure(
                f"The results cannot be written ({_why(exc)}). Make room, and fetch what is missing with "
                "`pyannote-voiceprint job ID`."
            ) from None

    def _room(self) -> AbstractContextManager[None]:
        return self.progress.hidden() if self._shares_terminal else nullcontext()

    async def _run(self, write: Callable[[str], None], line: str) -> None:
        # A caller that is cancelled leaves its line behind: what was handed over is written, once.
        await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, write, line))


@contextmanager
def output_to(out: OutputFile | None) -> Iterator[Output]:
    """Open the output: stdout, or a file that only its owner may read, at its end.

    Raises:
        WrongUsage: the file cannot be opened.
    """
    with ExitStack() as stack:
        if out is None:
            output = Output(binary_stdout(), find_progress(), sys.stdout.encoding)
        else:
            output = Output(stack.enter_context(_open_private(out)), find_progress())
        stack.callback(output.close)
        yield output


def say(line: str) -> None:
    """Write a line to stderr, from a command without an event loop."""
    click.echo(printable(line), err=True)


def _open_private(out: OutputFile) -> BinaryIO:
    try:
        out.check()
    except ConfigurationError as error:
        raise WrongUsage(f"Nothing was sent: {error}") from None
    try:
        if out.is_stream:
            return out.open_stream()
        # At its end: what stands there may have been paid for. A link that took the name meanwhile is not followed.
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(out.path, flags, _PRIVATE)
    except OSError as exc:
        raise _not_opened(out.path, exc) from None
    # Without a buffer: one that could not be written would be tried again, and fail again, by closing the file.
    file = os.fdopen(descriptor, "wb", buffering=0)
    try:
        _continue_results(out, descriptor)
        os.fchmod(descriptor, _PRIVATE)
    except OSError as exc:
        file.close()
        raise _not_opened(out.path, exc) from None
    return file


def _continue_results(out: OutputFile, descriptor: int) -> None:
    """Make sure that a file ends with a whole line of results, or is empty."""
    if out.replaces:
        os.ftruncate(descriptor, 0)
    size = os.fstat(descriptor).st_size
    # A killed run may have left half a line: the next result must not be lost in it.
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        os.write(descriptor, b"\n")


def _not_opened(path: Path, exc: OSError) -> WrongUsage:
    return WrongUsage(
        f"Nothing was sent: {path} cannot be opened for its owner alone ({_why(exc)}). Give another file."
    )


def _why(exc: OSError) -> str:
    return (exc.strerror or type(exc).__name__).lower()
