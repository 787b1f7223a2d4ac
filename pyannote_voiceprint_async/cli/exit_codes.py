"""The exit codes of the command line, and the errors that end a command with one of them.

| code | meaning |
| --- | --- |
| 0 | success |
| 1 | some items failed or are not done, or stdout cannot be written |
| 2 | nothing was sent: wrong usage, configuration, list of speakers or ledger, or a question was answered with no |
| 3 | the API refused the account: 401, 402, 403 |
| 130 | interrupted by SIGINT (Ctrl-C) |
| 143 | ended by SIGTERM (`kill`, systemd, Docker) |
"""

from enum import IntEnum

import click

__all__ = ["AccountFailure", "ExitCode", "Failure", "Terminated", "WrongUsage"]


class ExitCode(IntEnum):
    """The codes of the table above."""

    SUCCESS = 0
    SOME_FAILED = 1
    WRONG_USAGE = 2
    ACCOUNT = 3
    INTERRUPTED = 130
    TERMINATED = 143


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived. Commands clean up as at SIGINT, and exit with another code."""


class Failure(click.ClickException):
    """An error that ends the command; its message says what happened and what to do."""

    exit_code = ExitCode.SOME_FAILED


class WrongUsage(Failure):
    """The arguments, a file or the configuration are wrong. Nothing was sent."""

    exit_code = ExitCode.WRONG_USAGE


class AccountFailure(Failure):
    """The API rejected the key or the account, so that every further request would fail."""

    exit_code = ExitCode.ACCOUNT
