"""How far it is: a live line where stderr is a terminal, now and then a plain line elsewhere."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from pyannote_voiceprint_async.redaction import printable

from .terminal import LossyText, unfiltered

__all__ = ["LiveProgress", "PlainProgress", "Progress", "find_progress"]

_PAUSE = 10.0


class Progress(Protocol):
    """What both kinds can do."""

    def show(self, done: int, total: int, text: str) -> None:
        """Say how far it is."""

    def hidden(self) -> AbstractContextManager[None]:
        """Make room for a line of something else."""

    def close(self) -> None:
        """Leave nothing on the screen."""


class PlainProgress:
    """A line at most every ten seconds, for log files.

    Args:
        write: takes the line.
        now: seconds of a clock that never goes back.
    """

    def __init__(self, write: Callable[[str], object], now: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._now = now
        self._last = now()

    def show(self, _done: int, _total: int, text: str) -> None:
        """Say how far it is, if it was not just said."""
        if self._now() - self._last >= _PAUSE:
            self._last = self._now()
            self._write(f"{printable(text)}\n")

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Nothing needs to be hidden."""
        yield

    def close(self) -> None:
        """Nothing is left."""


class LiveProgress:
    """One line at the bottom of the terminal, gone at the end."""

    def __init__(self) -> None:
        # Here and not above: `--help` shall not wait for rich.
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
            # Its escape sequences are ours: they pass by the filter. A terminal that has gone must not end a run.
            console=Console(file=LossyText(unfiltered(sys.stderr))),  # type: ignore[arg-type]  # a text stream
            transient=True,
            # Our own lines come through `hidden`. rich would wrap them, and would turn a piped stdout into stderr.
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._bar.add_task("", total=None, visible=False)
        self._lock = threading.RLock()
        self._shown = False

    def show(self, done: int, total: int, text: str) -> None:
        """Say how far it is."""
        with self._lock:
            self._bar.update(self._task, completed=done, total=total, description=printable(text), visible=True)
            self._shown = True
            self._bar.start()

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Take the line away, and put it back below what was written."""
        with self._lock:
            self._bar.stop()
            try:
                yield
            finally:
                if self._shown:
                    self._bar.start()

    def close(self) -> None:
        """Leave nothing on the screen."""
        with self._lock:
            self._shown = False
            self._bar.stop()


def find_progress() -> Progress:
    """Give the kind that fits stderr."""
    draws = (sys.stderr.encoding or "").lower().startswith("utf")
    if sys.stderr.isatty() and draws and os.environ.get("TERM") != "dumb":
        return LiveProgress()
    return PlainProgress(sys.stderr.write)
