"""Questions to a person at a terminal. Without a terminal nothing is asked, so that scripts and cron jobs go on."""

import asyncio
import os
import sys

from .exit_codes import WrongUsage
from .text_layout import terminal_width, wrap

__all__ = ["ask", "confirm_change", "is_interactive"]

_YES = frozenset({"y", "yes"})
_LONGEST_ANSWER = 1024


def is_interactive() -> bool:
    """Return whether a person can read a question and answer it."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


async def ask(question: str) -> bool:
    """Ask a question in a running event loop, and return whether the answer is yes."""
    _print_question(question)
    try:
        return _is_yes(await _read_line())
    except asyncio.CancelledError:
        sys.stderr.write("\n")  # the next line must not follow the question
        raise


def confirm_change(question: str, *, yes: bool) -> None:
    """Ask before a change that cannot be undone, in a command without an event loop.

    Args:
        question: what is about to happen, as a question.
        yes: the value of `--yes`: do not ask.

    Raises:
        WrongUsage: the answer is not yes.
    """
    if yes or not is_interactive():
        return
    _print_question(question)
    if not _is_yes(sys.stdin.readline()):
        raise WrongUsage("Nothing was changed.")


def _print_question(question: str) -> None:
    width = terminal_width(sys.stderr) or sys.maxsize
    sys.stderr.write("\n".join(wrap(f"{question} [y/N]", width)) + " ")
    sys.stderr.flush()


def _is_yes(answer: str) -> bool:
    return answer.strip().lower() in _YES


async def _read_line() -> str:
    """Read a line of the terminal on the event loop: Ctrl-C could not end a thread that reads."""
    loop, terminal = asyncio.get_running_loop(), sys.stdin.fileno()
    line: asyncio.Future[bytes] = loop.create_future()

    def read() -> None:
        if not line.done():
            line.set_result(os.read(terminal, _LONGEST_ANSWER))

    try:
        loop.add_reader(terminal, read)
    except NotImplementedError:  # Windows
        return await asyncio.to_thread(sys.stdin.readline)
    try:
        return (await line).decode(errors="replace")
    finally:
        loop.remove_reader(terminal)
