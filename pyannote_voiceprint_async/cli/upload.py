"""`pyannote-voiceprint upload`: a local file to a `media://` URL."""

from functools import partial
from pathlib import Path

import click

from pyannote_voiceprint_async.client import AsyncVoiceprintClient

from .options import Common, common_options
from .output import Output
from .session import run
from .sources import check_all, file_problem

__all__ = ["upload"]


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@common_options
def upload(common: Common, file: Path) -> None:
    """Upload a file, and print its media:// URL.

    `submit` takes it. The API deletes it after 24 to 48 hours.
    """
    problem = file_problem(file)
    check_all([f"{file}: {problem}"] if problem else [])
    run(common, partial(_upload, file=file))


async def _upload(client: AsyncVoiceprintClient, output: Output, *, file: Path) -> None:
    def show(sent: int, total: int) -> None:
        output.progress.show(sent, total, f"{sent / 2**20:.1f} of {total / 2**20:.1f} MiB uploaded")

    await output.write(await client.upload(file, on_progress=show))
