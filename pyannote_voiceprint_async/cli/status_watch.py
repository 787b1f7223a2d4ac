"""`ledger status --watch`: follow a run from another terminal."""

import os
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from .output import print_record
from .status_view import StatusView
from .terminal import unfiltered

__all__ = ["watch_status"]

# Seconds between two reads, at least. A run cannot commit during a read: reads take at most a tenth of the time.
_INTERVAL, _READ_SHARE = 2.0, 10.0
# Without cursor movements each read adds lines.
_PLAIN_INTERVAL = 25.0


class _Screen(Protocol):
    def show(self, view: StatusView) -> None:
        """Show a status."""


class _Lines:
    """Prints each status below the one before: JSON in a pipe, text on a terminal that cannot move its cursor."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def show(self, view: StatusView) -> None:
        print_record(view.record, view.lines, as_json=self._as_json)


class _LiveScreen:
    """Draws each status over the one before. The last one stays."""

    def __init__(self) -> None:
        from rich.console import Console  # noqa: PLC0415 - it is slow to import
        from rich.live import Live  # noqa: PLC0415

        self._console = Console(file=unfiltered(sys.stdout), highlight=False)
        self.live = Live(console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)

    def show(self, view: StatusView) -> None:
        from rich.text import Text  # noqa: PLC0415

        self.live.update(Text("\n".join(view.lines(self._console.width))), refresh=True)


def watch_status(
    read: Callable[[], StatusView], *, as_json: bool = False, sleep: Callable[[float], object] = time.sleep
) -> None:
    """Show the status again and again, until the run is not alive any more.

    Args:
        read: reads the status.
        as_json: print a JSON object for each read on a terminal too.
        sleep: waits for a number of seconds.

    Raises:
        KeyboardInterrupt: a person has seen enough.
    """
    is_terminal = sys.stdout.isatty()
    if is_terminal and not as_json and os.environ.get("TERM") != "dumb":
        screen = _LiveScreen()
        _follow(read, screen, screen.live, _INTERVAL, sleep)
    else:
        is_text = is_terminal and not as_json
        _follow(read, _Lines(as_json=as_json), nullcontext(), _PLAIN_INTERVAL if is_text else _INTERVAL, sleep)


def _follow(
    read: Callable[[], StatusView],
    screen: _Screen,
    drawing: AbstractContextManager[object],
    interval: float,
    sleep: Callable[[float], object],
) -> None:
    with drawing:
        while True:
            started_at = time.monotonic()
            view = read()
            took = time.monotonic() - started_at
            screen.show(view)
            if not view.status.is_alive:
                return
            sleep(max(interval, took * _READ_SHARE))
