"""Filters for stdout and stderr: no text controls the terminal, and no failing stream causes a traceback."""

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
    """stdout cannot be written: it is closed, or its disk is full."""


class LossyText(io.TextIOBase):
    """A text stream that ignores failed writes, because a closed terminal must not stop billed requests.

    Args:
        stream: the stream to write to.
    """

    def __init__(self, stream: TextIO) -> None:
        self.unfiltered = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]  # typeshed declares an attribute
        """The encoding of the unfiltered stream."""
        return self.unfiltered.encoding

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        return self.unfiltered.isatty()

    def fileno(self) -> int:
        """Return the descriptor of the unfiltered stream."""
        return self.unfiltered.fileno()

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str) -> int:
        """Write text, and ignore errors."""
        with suppress(OSError, ValueError):  # ValueError: the stream was closed
            self.unfiltered.write(text)
        return len(text)

    def flush(self) -> None:
        """Write buffered text, and ignore errors."""
        with suppress(OSError, ValueError):
            self.unfiltered.flush()


class StderrText(LossyText):
    """stderr, with all control characters escaped but line breaks."""

    def write(self, text: str) -> int:
        """Write text with control characters escaped, and ignore errors."""
        return super().write(printable_lines(text))


class StdoutText(LossyText):
    """stdout, with control characters escaped on a terminal and unchanged data in files and pipes."""

    def write(self, text: str) -> int:
        """Write text.

        Raises:
            BrokenPipeError: the reader has ended.
            StdoutError: the text cannot be written.
        """
        try:
            self.unfiltered.write(printable_lines(text) if self.isatty() else text)
        except BrokenPipeError:
            raise
        except OSError as exc:
            raise StdoutError(exc.errno, exc.strerror) from None
        return len(text)

    def flush(self) -> None:
        """Write buffered text.

        Raises:
            BrokenPipeError: the reader has ended.
            StdoutError: the text cannot be written.
        """
        try:
            self.unfiltered.flush()
        except BrokenPipeError:
            raise
        except OSError as exc:
            raise StdoutError(exc.errno, exc.strerror) from None


def filter_streams() -> None:
    """Replace stdout and stderr by filters for the rest of the process.

    Files and pipes are UTF-8 in every locale, because `enroll` and JSON readers expect it. A terminal keeps its
    encoding; characters outside that encoding are escaped.
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
    sys.excepthook = _print_traceback


def safe_lines(text: str) -> str:
    """Escape the control characters of a message, except the line breaks of an indented list."""
    return "\n  ".join(map(printable, text.split("\n  ")))


def unfiltered(stream: TextIO) -> TextIO:
    """Return the stream that a filter writes to, or the stream itself if it is not filtered."""
    return stream.unfiltered if isinstance(stream, LossyText) else stream


def binary_stdout() -> BinaryIO:
    """Return the unfiltered binary stdout."""
    return unfiltered(sys.stdout).buffer


def is_stdout_closed() -> bool:
    """Return whether stdout was closed before the process started."""
    try:
        os.write(sys.stdout.fileno(), b"")
    except OSError as exc:  # the streams of tests have no descriptor, which is a different error
        return exc.errno == errno.EBADF
    return False


def _occupy_closed_descriptors() -> None:
    """Open the null device for closed standard streams, whose descriptors another file would otherwise get.

    It is opened read-only, so that writes still fail.
    """
    while (descriptor := os.open(os.devnull, os.O_RDONLY)) < _STANDARD_DESCRIPTORS:
        pass
    os.close(descriptor)


def _print_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    # Python 3.13 colors tracebacks with control characters, which the filter would escape.
    import traceback  # noqa: PLC0415 - the import would slow down `--help`

    sys.stderr.write("".join(traceback.format_exception(kind, error, trace)))
