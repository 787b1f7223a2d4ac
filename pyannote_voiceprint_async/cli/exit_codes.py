"""What the shell is told, and how an error becomes one sentence and a code.

| code | meaning |
| --- | --- |
| 0 | all well |
| 1 | some failed or are left, or the reader of stdout has gone or takes nothing |
| 2 | wrong usage, configuration, list of speakers or ledger: nothing was sent |
| 3 | stopped by the account: 401, 402, 403 |
| 130 | interrupted: SIGINT, SIGTERM |
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import IntEnum
from pathlib import Path
from typing import TextIO

import click

from pyannote_voiceprint_async.errors import (
    AccountError,
    ConfigurationError,
    EnrollmentError,
    InvalidRequestError,
    ManifestError,
    VoiceprintError,
)
from pyannote_voiceprint_async.redaction import printable

from .terminal import StdoutError, safe_lines, unfiltered

__all__ = ["ExitCode", "Failure", "WrongUsage", "to_failure", "translated"]


class ExitCode(IntEnum):
    """The codes of the table above."""

    WELL = 0
    SOME_FAILED = 1
    WRONG_USAGE = 2
    ACCOUNT = 3
    INTERRUPTED = 130


class Failure(click.ClickException):
    """Ends the command with a sentence that says what happened and what to do."""

    exit_code = ExitCode.SOME_FAILED


class WrongUsage(Failure):
    """It was asked for in a way that cannot work; nothing was sent."""

    exit_code = ExitCode.WRONG_USAGE


class StoppedByAccount(Failure):
    """Nothing works until somebody looks after the account."""

    exit_code = ExitCode.ACCOUNT


def to_failure(error: VoiceprintError) -> Failure:
    """Give what an error of the package ends a command with."""
    sentence = _sentence(error)
    if isinstance(error, AccountError):
        return StoppedByAccount(sentence)
    # Without a status no server said so: our own checks did, before anything was sent.
    ours = isinstance(error, InvalidRequestError) and error.status is None
    # Of a ledger that fails in the middle of a run, `enroll` itself says so.
    is_usage = ours or isinstance(error, ConfigurationError | EnrollmentError)
    return (WrongUsage if is_usage else Failure)(sentence)


def _sentence(error: VoiceprintError) -> str:
    """Return an error's message, with line breaks only between the problems that it lists."""
    message = str(error)
    for problem in error.problems if isinstance(error, ManifestError) else ():
        message = message.replace(str(problem), printable(str(problem)))
    return safe_lines(message)


@contextmanager
def translated() -> Iterator[None]:
    """Turn every expected error into its sentence and its code. What is not expected keeps its traceback."""
    try:
        yield
    except VoiceprintError as error:
        raise to_failure(error) from None
    except click.ClickException as error:
        # Click quotes arguments and values of variables as they came.
        message = safe_lines(error.format_message())
        if message == error.format_message():
            raise
        raise _with_message(error, message) from None
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        sys.exit(ExitCode.SOME_FAILED)
    except StdoutError as exc:
        raise Failure(
            f"The output cannot be written ({(exc.strerror or 'stdout is closed').lower()}). Send stdout elsewhere, "
            "and repeat the command."
        ) from None
    finally:
        for stream in (sys.stdout, sys.stderr):
            _settle(unfiltered(stream))


def _with_message(error: click.ClickException, message: str) -> click.ClickException:
    if isinstance(error, click.UsageError):
        return click.UsageError(message, error.ctx)
    return type(error)(message) if isinstance(error, Failure) else click.ClickException(message)


def _settle(stream: TextIO) -> None:
    """Let what cannot be written go nowhere: Python's own flush at exit would complain about it once more."""
    try:
        stream.flush()
    except OSError:
        with suppress(OSError), Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())
