"""The options of a command whose ledger continues earlier runs: what to do with rows that have no result."""

from collections.abc import Callable
from typing import Any

import click

from .option_groups import Command

__all__ = ["CommandWithRetries", "new_key_option", "on_unknown_option", "retry_options"]

_Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class CommandWithRetries(Command):
    """A command whose option --retry-failed has an optional value, which must follow a `=`.

    Click would otherwise parse the next argument, such as the list, as the value.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments, with an empty value for `--retry-failed` where it has none."""
        end = args.index("--") if "--" in args else len(args)
        options = ["--retry-failed=" if argument == "--retry-failed" else argument for argument in args[:end]]
        return super().parse_args(ctx, options + args[end:])


def retry_options(noun: str) -> _Decorator:
    """Return the decorator that adds `--retry-failed` and `--retry-expired`.

    Args:
        noun: what is submitted, such as "row".
    """
    failed = click.option(
        "--retry-failed",
        metavar="[=TEXT]",
        help=f"Retry failed {noun}s; with TEXT, only those whose error contains TEXT.",
    )
    expired = click.option(
        "--retry-expired",
        is_flag=True,
        help=f"Resubmit {noun}s whose result expired before it was fetched (billed again).",
    )
    return lambda command: failed(expired(command))


def on_unknown_option(noun: str, *, adopt: str | None = None) -> _Decorator:
    """Return the decorator that adds `--on-unknown`.

    Args:
        noun: what is submitted, such as "row".
        adopt: the help text of the choice `adopt`; None leaves the choice out.
    """
    return click.option(
        "--on-unknown",
        type=click.Choice(["hold", "resubmit", *(["adopt"] if adopt else [])]),
        default="hold",
        show_default=True,
        help=f"What to do with {noun}s of unknown outcome: their submission may have been accepted. hold: leave the "
        f"{noun} as it is, and report it. resubmit: submit the {noun} once more in this run (it may be billed twice)."
        f"{f' {adopt}' if adopt else ''}",
    )


new_key_option = click.option(
    "--new-key", is_flag=True, help="Continue a ledger that was made with another key of this team."
)
