"""Where everything goes that a command says: results to stdout or a private file, all else to stderr."""

import asyncio
import json
import os
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, BinaryIO

from .exit_codes import Failure, WrongUsage
from .progress import Progress, find_progress

__all__ = ["Output", "json_line", "output_to", "printable"]

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
    """

    def __init__(self, results: BinaryIO, progress: Progress) -> None:
        self.progress = progress
        self._results = results
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
                rest = memoryview(f"{line}\n".encode())
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
def output_to(path: Path | None) -> Iterator[Output]:
    """Open the output: stdout, or a file that only its owner may read, at its end.

    Raises:
        WrongUsage: the file cannot be opened.
    """
    with ExitStack() as stack:
        results = sys.stdout.buffer if path is None else stack.enter_context(_open_private(path))
        output = Output(results, find_progress())
        stack.callback(output.close)
        yield output


def printable(line: str) -> str:
    """Escape what does not print, the way JSON does: no file name can break a line or steer a terminal."""
    if line.isprintable():
        return line
    return "".join(character if character.isprintable() else json.dumps(character)[1:-1] for character in line)


def _open_private(path: Path) -> BinaryIO:
    # At its end: what stands there may have been paid for.
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, _PRIVATE)
    except OSError as exc:
        raise _not_opened(path, exc) from None
    # Without a buffer: one that could not be written would be tried again, and fail again, by closing the file.
    file = os.fdopen(descriptor, "wb", buffering=0)
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            _continue_results(path, descriptor)
            os.fchmod(descriptor, _PRIVATE)
    except OSError as exc:
        file.close()
        raise _not_opened(path, exc) from None
    except WrongUsage:
        file.close()
        raise
    return file


def _continue_results(path: Path, descriptor: int) -> None:
    """Make sure that a file ends with a whole line of results, or is empty."""
    size = os.fstat(descriptor).st_size
    if not size:
        return
    if os.pread(descriptor, 1, 0) != b"{":
        raise WrongUsage(f"Nothing was sent: {path} holds something else than results. Give another --out.")
    if os.pread(descriptor, 1, size - 1) != b"\n":
        # A killed run may have left half a line: the next result must not be lost in it.
        os.write(descriptor, b"\n")


def _not_opened(path: Path, exc: OSError) -> WrongUsage:
    return WrongUsage(
        f"Nothing was sent: {path} cannot be opened for its owner alone ({_why(exc)}). Give another --out."
    )


def _why(exc: OSError) -> str:
    return (exc.strerror or type(exc).__name__).lower()
