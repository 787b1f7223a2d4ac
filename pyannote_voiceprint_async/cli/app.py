"""The group of all commands."""

from importlib import import_module
from typing import Any

import click

from pyannote_voiceprint_async.version import __version__

from .error_translation import translated_errors
from .log_format import is_json_log, log_object
from .option_groups import CommandList

__all__ = ["app", "load"]

# Each command is a function in the module of the same name. The text repeats the first line of the command's own help,
# because importing the command would slow down `--help`. A test compares the two.
_COMMANDS = {
    "enroll": "Enroll a list of speakers: make a voiceprint of each.",
    "export": "Write the voiceprints of a ledger into a private file.",
    "ledger": "Inspect and maintain a ledger.",
    "inspect": "Report the properties and findings of audio files.",
    "manifest": "Make a list of speakers for `enroll`.",
    "identify": "Find out who speaks when in recordings.",
    "voiceprint": "Make voiceprints of recordings.",
    "submit": "Submit recordings without waiting for the results.",
    "job": "Show a job, with its voiceprint if there is one.",
    "jobs": "List all jobs of the team, of every kind, newest first.",
    "upload": "Upload a file and print its media:// URL.",
    "shared": "Inspect the state that several processes share.",
    "check": "Check whether the API accepts the key.",
    "sandbox": "Run pyannoteAI's voiceprint and identification API on this machine.",
}


def load(name: str) -> click.Command:
    """Import and return a command. This also imports the client and aiohttp, which `--help` does not need."""
    command: click.Command = getattr(import_module(f".{name}", __package__), name)
    return command


class _Group(CommandList):
    """Commands that are imported only when they are called; `--help` uses the texts of `_COMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click would sort them
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        return name, load(name) if name and command else None, rest

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # `help ledger status` is `ledger status --help`.
        return super().parse_args(ctx, [*args[1:], "--help"] if args[:1] == ["help"] else args)

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        with translated_errors():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with translated_errors():
                return super().invoke(ctx)
        except click.ClickException as error:
            if not is_json_log():
                raise
            click.echo(log_object("error", error.format_message(), level="error"), err=True)
            ctx.exit(error.exit_code)


@click.group(
    cls=_Group,
    commands=[click.Command(name, help=line) for name, line in _COMMANDS.items()],
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=(
        "To show the options of a command, with an example: pyannote-voiceprint help COMMAND. The API key is read from "
        "PYANNOTEAI_API_KEY. Results are written to stdout, messages to stderr. Exit codes: 0 success; 1 some items "
        "failed or are not done; 2 wrong usage or configuration; 3 the account was refused (401, 402, 403); 130 "
        "interrupted (SIGINT); 143 terminated (SIGTERM)."
    ),
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def app() -> None:
    """Make speaker voiceprints with pyannoteAI."""
