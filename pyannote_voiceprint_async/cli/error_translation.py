"""Translate every expected error into one message and an exit code."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

import click

from .exit_codes import ExitCode, Failure, Terminated
from .interrupt import EXPLAINED, RUN_AGAIN
from .terminal import StdoutError, safe_lines, unfiltered
from .text_layout import terminal_width, wrap

__all__ = ["translated_errors"]

# What click writes before a message.
_PREFIX = "Error: "


@contextmanager
def translated_errors() -> Iterator[None]:
    """End the command with a message and an exit code at every expected error; others keep their traceback."""
    try:
        with _translated_package_errors():
            yield
    except click.ClickException as error:
        if _is_help(error):
            raise
        # Click quotes arguments and environment variables unescaped.
        message = _wrapped(safe_lines(error.format_message()))
        if message == error.format_message():
            raise
        raise _with_message(error, message) from None
    except KeyboardInterrupt as interrupt:
        if EXPLAINED not in interrupt.args:
            click.echo(RUN_AGAIN, err=True)
        sys.exit(ExitCode.TERMINATED if isinstance(interrupt, Terminated) else ExitCode.INTERRUPTED)
    except BrokenPipeError:
        sys.exit(ExitCode.SOME_FAILED)
    except StdoutError as exc:
        raise Failure(
            f"The output cannot be written ({(exc.strerror or 'stdout is closed').lower()}). Redirect stdout to "
            "another file, and repeat the command."
        ) from None
    finally:
        for stream in (sys.stdout, sys.stderr):
            _flush_or_discard(unfiltered(stream))


@contextmanager
def _translated_package_errors() -> Iterator[None]:
    """Replace an error of the package by the failure that ends the command."""
    try:
        yield
    except (click.ClickException, click.exceptions.Exit):
        raise
    except Exception as error:
        # Imported here: attrs, which the errors use, would slow down `--help` by a fifth.
        from .package_errors import to_failure  # noqa: PLC0415

        failure = to_failure(error)
        if failure is None:
            raise
        raise failure from None


def _is_help(error: click.ClickException) -> bool:
    """Return whether a group was called without a command: the message is its help, with click's line breaks."""
    # Releases of click before 8.2 have no class for this error.
    return isinstance(error, click.UsageError) and error.ctx is not None and error.message == error.ctx.get_help()


def _wrapped(message: str) -> str:
    """Return a message, on a terminal with its lines wrapped. Click writes `Error: ` before the first line."""
    width = terminal_width(sys.stderr)
    if width is None:
        return message
    lines = [part for line in f"{_PREFIX}{message}".split("\n") for part in wrap(line, width)]
    return "\n".join(lines).removeprefix(_PREFIX)


def _with_message(error: click.ClickException, message: str) -> click.ClickException:
    if isinstance(error, click.UsageError):
        return click.UsageError(message, error.ctx)
    return type(error)(message) if isinstance(error, Failure) else click.ClickException(message)


def _flush_or_discard(stream: TextIO) -> None:
    """Flush a stream; redirect it to the null device if that fails, or Python's flush at exit would fail again."""
    try:
        stream.flush()
    except OSError:
        with suppress(OSError), Path(os.devnull).open("wb") as null_device:
            os.dup2(null_device.fileno(), stream.fileno())
