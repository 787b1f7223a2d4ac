"""`pyannote-voiceprint check`: does the API know the key?"""

import click

from pyannote_voiceprint_async.client import AsyncVoiceprintClient

from .options import Common, common_options
from .output import Output
from .session import run

__all__ = ["check"]


@click.command()
@common_options
def check(common: Common) -> None:
    """Ask the API whether it knows the key."""
    run(common, _check)


async def _check(client: AsyncVoiceprintClient, output: Output) -> None:
    said = await client.check_key()
    await output.write(": ".join(words for words in (said.status, said.message) if words))
