"""`pyannote-voiceprint check`: check the API key."""

import click

from pyannote_voiceprint_async.client import AsyncVoiceprintClient

from .options import CommonOptions, common_options
from .output import Output
from .run_command import run

__all__ = ["check"]


@click.command()
@common_options
def check(common: CommonOptions) -> None:
    """Check whether the API accepts the key."""
    run(common, _check)


async def _check(client: AsyncVoiceprintClient, output: Output) -> None:
    key_status = await client.check_key()
    await output.write_result(": ".join(text for text in (key_status.status, key_status.message) if text))
