"""SIGINT outside of the event loop: the process ends at once, with a sentence instead of a traceback.

This module imports nothing slow: the entry point installs the handler first, so that no instant of the imports, of the
arguments or of the exit can raise a KeyboardInterrupt.
"""

import os
import signal
from types import FrameType
from typing import NoReturn

__all__ = ["EXPLAINED", "NOTHING_SENT", "RUN_AGAIN", "ExitAtInterrupt"]

RUN_AGAIN = "Interrupted. Run the same command again to continue."
"""The message of an interrupted command that has no details to report."""

NOTHING_SENT = "Interrupted: nothing was sent. Run the same command again."
"""The message of a command that is interrupted before its first request."""

EXPLAINED = "explained"
"""The argument of a KeyboardInterrupt for which the command has already printed how to continue."""

_ENDED = "Interrupted at the end of the command: no request is in flight."
# ExitCode.INTERRUPTED, whose module imports click.
_EXIT_CODE = 130
_STDERR = 2


class ExitAtInterrupt:
    """A signal handler that writes a sentence to stderr and ends the process. Buffered output is lost."""

    def __init__(self) -> None:
        self._sentence = NOTHING_SENT
        # Bound here: at the exit of the interpreter, the names of modules are deleted.
        self._write, self._exit, self._isatty = os.write, os._exit, os.isatty

    def install(self) -> None:
        """Handle SIGINT, unless it is ignored (`nohup`, a job in the background of a script)."""
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, self)

    def mark_ended(self) -> None:
        """Record that no request is in flight any more."""
        self._sentence = _ENDED

    def exit(self, code: int) -> NoReturn:
        """End the process with this code, although threads, files and connections are open."""
        self._exit(code)

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        """Write the sentence, below the `^C` that a terminal shows, and exit."""
        try:
            self._write(_STDERR, f"{chr(10) if self._isatty(_STDERR) else ''}{self._sentence}\n".encode())
        finally:
            self._exit(_EXIT_CODE)
