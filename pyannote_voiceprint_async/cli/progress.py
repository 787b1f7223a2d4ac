"""The progress of a command: a live line if stderr is a terminal, else a plain line every ten seconds."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from pyannote_voiceprint_async.redaction import printable

from .terminal import LossyText, unfiltered

__all__ = ["LiveProgress", "PlainProgress", "ProgressDisplay", "create_progress_display"]

_PLAIN_INTERVAL = 10.0
# A command that reads a long list must show within ten seconds that it works.
_FIRST_PLAIN_LINE = 5.0


class ProgressDisplay(Protocol):
    """What both kinds of display provide."""

    def show(self, done: int, total: int, text: str) -> None:
        """Show the current progress."""

    def hidden(self) -> AbstractContextManager[None]:
        """Hide the display while another line is written."""

    def close(self) -> None:
        """Remove the display from the screen."""


class PlainProgress:
    """A line at most every ten seconds, for log files.

    Args:
        write: called with the line.
        now: a monotonic clock, in seconds.
    """

    def __init__(self, write: Callable[[str], object], now: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._now = now
        self._next = now() + _FIRST_PLAIN_LINE

    def show(self, _done: int, _total: int, text: str) -> None:
        """Write the progress, unless ten seconds have not passed since the last line."""
        if self._now() >= self._next:
            self._next = self._now() + _PLAIN_INTERVAL
            self._write(f"{printable(text)}\n")

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Do nothing: plain lines do not disturb other lines."""
        yield

    def close(self) -> None:
        """Do nothing: plain lines stay."""


class LiveProgress:
    """One line at the bottom of the terminal, removed at the end."""

    def __init__(self) -> None:
        # Imported here, because importing rich would slow down `--help`.
        from rich import progress  # noqa: PLC0415
        from rich.console import Console  # noqa: PLC0415
        from rich.table import Column  # noqa: PLC0415

        self._bar = progress.Progress(
            progress.SpinnerColumn(),
            progress.BarColumn(bar_width=20),
            progress.TextColumn(
                "{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")
            ),
            progress.TimeElapsedColumn(),
            # The escape sequences of rich must bypass the filter of stderr. A closed terminal must not end a run.
            console=Console(file=LossyText(unfiltered(sys.stderr))),  # type: ignore[arg-type]  # a text stream
            transient=True,
            # `Output` hides the display around its lines. rich would wrap them, and redirect a piped stdout to stderr.
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._bar.add_task("", total=None, visible=False)
        self._lock = threading.RLock()
        self._shown = False

    def show(self, done: int, total: int, text: str) -> None:
        """Show the current progress."""
        with self._lock:
            self._bar.update(self._task, completed=done, total=total, description=printable(text), visible=True)
            self._shown = True
            self._bar.start()

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Remove the line, and draw it again below the lines that were written meanwhile."""
        with self._lock:
            self._bar.stop()
            try:
                yield
            finally:
                if self._shown:
                    self._bar.start()

    def close(self) -> None:
        """Remove the line from the screen."""
        with self._lock:
            self._shown = False
            self._bar.stop()


def create_progress_display() -> ProgressDisplay:
    """Return the live display if stderr is a terminal that can draw it, else the plain one."""
    is_unicode = (sys.stderr.encoding or "").lower().startswith("utf")
    if sys.stderr.isatty() and is_unicode and os.environ.get("TERM") != "dumb":
        return LiveProgress()
    return PlainProgress(sys.stderr.write)
