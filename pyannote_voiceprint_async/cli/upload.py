"""`pyannote-voiceprint upload`: upload a local file."""

from functools import partial
from pathlib import Path

import click

from pyannote_voiceprint_async.client import AsyncVoiceprintClient

from .option_groups import Command
from .options import CommonOptions, common_options
from .output import Output
from .progress_columns import text_view
from .run_command import run
from .sources import file_problem, reject_problems

__all__ = ["upload"]


@click.command(cls=Command, examples=["upload ada.wav"])
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@common_options
def upload(common: CommonOptions, file: Path) -> None:
    """Upload a file and print its media:// URL.

    Pass the URL to `submit`. The API deletes the upload after 24 to 48 hours.
    """
    problem = file_problem(file)
    reject_problems([f"{file}: {problem}"] if problem else [])
    run(common, partial(_upload, file=file))


async def _upload(client: AsyncVoiceprintClient, output: Output, *, file: Path) -> None:
    def show(sent: int, total: int) -> None:
        output.progress.show(text_view(sent, total, f"{sent / 2**20:.1f} of {total / 2**20:.1f} MiB uploaded"))

    await output.write_result(await client.upload(file, on_progress=show))
