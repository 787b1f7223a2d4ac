"""All commands, as one group."""

from typing import Any

import click

from .check import check
from .enroll import enroll
from .exit_codes import translated
from .export import export
from .inspect import inspect
from .job import job
from .jobs import jobs
from .ledger import ledger
from .manifest import manifest
from .sandbox import sandbox
from .submit import submit
from .upload import upload
from .voiceprint import voiceprint

__all__ = ["app"]


class _Group(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's own would sort them
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        with translated():
            return super().invoke(ctx)


@click.group(
    cls=_Group,
    commands=[enroll, export, ledger, inspect, manifest, voiceprint, submit, job, jobs, upload, check, sandbox],
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=(
        "The key is read from PYANNOTEAI_API_KEY. Results go to stdout, all else to stderr. Exit codes: 0 all well; "
        "1 some failed or are left; 2 wrong usage or configuration; 3 stopped by the account (401, 402, 403); "
        "130 interrupted."
    ),
)
@click.version_option(package_name="pyannote-voiceprint-async", message="%(prog)s %(version)s")
def app() -> None:
    """Voiceprints by pyannoteAI, many at a time."""
