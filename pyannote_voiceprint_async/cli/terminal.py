"""stdout and stderr of the process, behind filters: no text steers the terminal, no stream ends it with a traceback."""

import errno
import io
import os
import sys
from contextlib import suppress
from types import TracebackType
from typing import BinaryIO, TextIO

from pyannote_voiceprint_async.redaction import printable, printable_lines

__all__ = [
    "LossyText",
    "StdoutError",
    "binary_stdout",
    "filter_streams",
    "is_stdout_closed",
    "safe_lines",
    "unfiltered",
]

_STANDARD_DESCRIPTORS = 3


class StdoutError(OSError):
    """stdout takes no data: it is closed, or its disk is full."""


class LossyText(io.TextIOBase):
    """A text stream whose writes never fail: a terminal that has gone must not stop requests that are being paid for.

    Args:
        stream: the stream behind.
    """

    def __init__(self, stream: TextIO) -> None:
        self.unfiltered = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]  # typeshed declares an attribute
        """The encoding of the stream behind the filter."""
        return self.unfiltered.encoding

    def isatty(self) -> bool:
        """Whether a person reads the stream."""
        return self.unfiltered.isatty()

    def fileno(self) -> int:
        """Return the descriptor behind the filter."""
        return self.unfiltered.fileno()

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str) -> int:
        """Write text, if that is possible."""
        with suppress(OSError, ValueError):  # ValueError: the stream was closed
            self.unfiltered.write(text)
        return len(text)

    def flush(self) -> None:
        """Write what is buffered."""
        with suppress(OSError, ValueError):
            self.unfiltered.flush()


class StderrText(LossyText):
    """stderr: control characters are escaped."""

    def write(self, text: str) -> int:
        """Write text; only its line breaks survive of what does not print."""
        return super().write(printable_lines(text))


class StdoutText(LossyText):
    """stdout: data passes unchanged into files and pipes; on a terminal, control characters are escaped."""

    def write(self, text: str) -> int:
        """Write data.

        Raises:
            BrokenPipeError: the reader has gone.
            StdoutError: the data cannot be written.
        """
        try:
            self.unfiltered.write(printable_lines(text) if self.isatty() else text)
        except BrokenPipeError:
            raise
        except OSError as exc:
            raise StdoutError(exc.errno, exc.strerror) from None
        return len(text)

    def flush(self) -> None:
        """Write what is buffered.

        Raises:
            BrokenPipeError: the reader has gone.
            StdoutError: the data cannot be written.
        """
        try:
            self.unfiltered.flush()
        except BrokenPipeError:
            raise
        except OSError as exc:
            raise StdoutError(exc.errno, exc.strerror) from None


def filter_streams() -> None:
    """Put the filters before stdout and stderr, for the rest of the process.

    Files and pipes get UTF-8 whatever the locale: `enroll` and every JSON reader expect it. A terminal keeps its
    encoding; what it cannot show is escaped.
    """
    _occupy_closed_descriptors()
    stdout, stderr = (
        stream or os.fdopen(descriptor, "w", encoding="utf-8", closefd=False)
        for descriptor, stream in ((1, sys.stdout), (2, sys.stderr))
    )
    for stream in (stdout, stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if isinstance(stdout, io.TextIOWrapper) and not stdout.isatty():
        stdout.reconfigure(encoding="utf-8")
    sys.stdout, sys.stderr = StdoutText(stdout), StderrText(stderr)
    sys.excepthook = _report_defect


def safe_lines(text: str) -> str:
    """Escape what does not print in a message; of its line breaks, those of an indented list remain."""
    return "\n  ".join(map(printable, text.split("\n  ")))


def unfiltered(stream: TextIO) -> TextIO:
    """Return the stream behind a filter, or the stream itself."""
    return stream.unfiltered if isinstance(stream, LossyText) else stream


def binary_stdout() -> BinaryIO:
    """Return stdout for bytes."""
    return unfiltered(sys.stdout).buffer


def is_stdout_closed() -> bool:
    """Whether nothing can be written to stdout, ever."""
    try:
        os.write(sys.stdout.fileno(), b"")
    except OSError as exc:  # a stream of a test has no descriptor, which is another error
        return exc.errno == errno.EBADF
    return False


def _occupy_closed_descriptors() -> None:
    """Fill the places of closed standard streams: a file opened there would receive what is written to the stream.

    Read-only, so that writing still fails.
    """
    while (descriptor := os.open(os.devnull, os.O_RDONLY)) < _STANDARD_DESCRIPTORS:
        pass
    os.close(descriptor)


def _report_defect(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    # Python 3.13 colors its own tracebacks, which the filter would escape.
    import traceback  # noqa: PLC0415 - `--help` must not wait for it

    sys.stderr.write("".join(traceback.format_exception(kind, error, trace)))
