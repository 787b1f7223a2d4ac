"""All commands, as one group."""

from importlib import import_module
from typing import Any

import click

from pyannote_voiceprint_async.version import __version__

from .exit_codes import translated

__all__ = ["app", "load"]

# Each is defined in the module of its name, under its name. What is said of it here is the first line of its own help;
# a test holds them together.
_COMMANDS = {
    "enroll": "Make voiceprints of many speakers.",
    "export": "Write the voiceprints of a ledger into a private file.",
    "ledger": "Look at a ledger, and look after it.",
    "inspect": "Say what audio files are, and what is wrong with them.",
    "manifest": "Make a list of speakers, for `enroll`.",
    "voiceprint": "Make voiceprints of recordings.",
    "submit": "Submit recordings, and do not wait for them.",
    "job": "Show a job, with its voiceprint if it has one.",
    "jobs": "List all jobs of the team, of every kind, newest first.",
    "upload": "Upload a file, and print its media:// URL.",
    "check": "Ask the API whether it knows the key.",
    "sandbox": "Run pyannoteAI's voiceprint API on this machine.",
}


def load(name: str) -> click.Command:
    """Import a command. It brings the client with it, and aiohttp: `--help` must not wait for that."""
    command: click.Command = getattr(import_module(f".{name}", __package__), name)
    return command


class _Group(click.Group):
    """Has of each command what `--help` says of it, and imports the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's own would sort them
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        return name, load(name) if name and command else None, rest

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        with translated():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with translated():
            return super().invoke(ctx)


@click.group(
    cls=_Group,
    commands=[click.Command(name, help=line) for name, line in _COMMANDS.items()],
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=(
        "The key is read from PYANNOTEAI_API_KEY. Results go to stdout, all else to stderr. Exit codes: 0 all well; "
        "1 some failed or are left; 2 wrong usage or configuration; 3 stopped by the account (401, 402, 403); "
        "130 interrupted."
    ),
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def app() -> None:
    """Voiceprints by pyannoteAI, many at a time."""
