"""The progress of a command: a live display if stderr is a terminal, else a line at regular intervals."""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

from pyannote_voiceprint_async.concurrency.clock import Clock, LoopClock
from pyannote_voiceprint_async.redaction import printable

from .log_format import format_time, is_json_log, log_object
from .progress_columns import GAP, ProgressView, fit
from .terminal import LossyText, unfiltered
from .text_layout import wrap

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

__all__ = [
    "LiveProgress",
    "PlainProgress",
    "ProgressDisplay",
    "create_progress_display",
    "render_progress",
]

# Seconds between two lines. The display is updated once a second, so that two lines are never 30 s apart.
_PLAIN_INTERVAL = 25.0
# A command that reads a long list must show within ten seconds that it works.
_FIRST_PLAIN_LINE = 5.0
_NARROWEST_BAR, _WIDEST_BAR = 6, 40
_SPINNER = 1 + GAP


class ProgressDisplay(Protocol):
    """What all kinds of display provide."""

    @property
    def is_live(self) -> bool:
        """Whether the display is part of a terminal's screen."""

    def show(self, view: ProgressView) -> None:
        """Show the current progress."""

    def hidden(self) -> AbstractContextManager[None]:
        """Hide the display while another line is written."""

    def close(self) -> None:
        """Remove the display from the screen."""


class PlainProgress:
    """A line with the time at least every 30 seconds, for log files.

    Args:
        write: called with the line.
        clock: the source of time.
        as_json: write a JSON object instead of text.
    """

    is_live = False

    def __init__(self, write: Callable[[str], object], clock: Clock | None = None, *, as_json: bool = False) -> None:
        self._write = write
        self._clock = clock or LoopClock()
        self._as_json = as_json
        self._next = self._clock.time() + _FIRST_PLAIN_LINE

    def show(self, view: ProgressView) -> None:
        """Write the progress, if the last line is old enough."""
        if self._clock.time() >= self._next:
            self._next = self._clock.time() + _PLAIN_INTERVAL
            self._write(f"{self._line(view, self._clock.wall())}\n")

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Do nothing: plain lines do not disturb other lines."""
        yield

    def close(self) -> None:
        """Do nothing: plain lines stay."""

    def _line(self, view: ProgressView, wall: float) -> str:
        if self._as_json:
            return log_object("progress", view.text, fields=view.fields, wall=wall)
        return f"{format_time(wall)} {printable(view.text)}"


class LiveProgress:
    """Lines at the bottom of the terminal, removed at the end."""

    is_live = True

    def __init__(self) -> None:
        # Imported here, because importing rich would slow down `--help`.
        from rich.console import Console  # noqa: PLC0415

        self._view: ProgressView | None = None
        self._live: Live | None = None
        # The escape sequences of rich must bypass the filter of stderr. A closed terminal must not end a run.
        self._console = Console(file=LossyText(unfiltered(sys.stderr)))  # type: ignore[arg-type]  # a text stream
        self._lock = threading.RLock()

    def show(self, view: ProgressView) -> None:
        """Show the current progress."""
        with self._lock:
            self._view = view
            self._start()

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Remove the lines, and draw them again below the lines that were written meanwhile."""
        with self._lock:
            self._stop()
            try:
                yield
            finally:
                if self._view is not None:
                    self._start()

    def close(self) -> None:
        """Remove the lines from the screen."""
        with self._lock:
            self._view = None
            self._stop()

    def _start(self) -> None:
        from rich.live import Live  # noqa: PLC0415

        if self._live is not None:
            return
        # Not the same object again: when a stopped `Live` starts, it erases as many lines as it had before.
        self._live = Live(
            console=self._console,
            get_renderable=self._render,
            refresh_per_second=4,
            transient=True,
            # `Output` hides the display around its lines. rich would wrap them, and redirect a piped stdout to stderr.
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _render(self) -> "RenderableType":
        view = self._view
        return "" if view is None else render_progress(view, self._console.width)


def render_progress(view: ProgressView, width: int) -> "RenderableType":
    """Return the live display: a bar with as many columns as fit into one line, and the note below."""
    from rich.console import Group  # noqa: PLC0415
    from rich.progress_bar import ProgressBar  # noqa: PLC0415
    from rich.spinner import Spinner  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    columns = fit(view.columns, width - _SPINNER - _NARROWEST_BAR)
    rest = width - _SPINNER - sum(len(column.text) + GAP for column in columns)
    line = Table.grid(padding=(0, GAP, 0, 0), pad_edge=False)
    cells: list[RenderableType] = [Spinner("dots")]
    if view.total and rest >= _NARROWEST_BAR:
        bar = ProgressBar(
            total=view.total,
            completed=view.done,
            width=min(rest, _WIDEST_BAR),
            style="dim",
            complete_style="green",
            finished_style="green",
        )
        cells.append(bar)
    cells += [Text(printable(column.text), style=column.style) for column in columns]
    for _ in cells:
        line.add_column(no_wrap=True)
    line.add_row(*cells)
    return Group(line, Text("\n".join(wrap(view.note, width)), style="magenta")) if view.note else line


def create_progress_display() -> ProgressDisplay:
    """Return the live display if stderr is a terminal that can draw it, else the plain one."""
    is_unicode = (sys.stderr.encoding or "").lower().startswith("utf")
    as_json = is_json_log()
    if not as_json and sys.stderr.isatty() and is_unicode and os.environ.get("TERM") != "dumb":
        return LiveProgress()
    return PlainProgress(sys.stderr.write, as_json=as_json)
