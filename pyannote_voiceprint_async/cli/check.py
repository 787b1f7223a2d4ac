"""`pyannote-voiceprint check`: check the API key."""

from functools import partial

import click

from pyannote_voiceprint_async.client import AsyncVoiceprintClient

from .option_groups import Command
from .options import CommonOptions, common_options, json_option
from .output import Output
from .run_command import run
from .text_layout import wrap

__all__ = ["check"]


@click.command(cls=Command, examples=["check"])
@json_option
@common_options
def check(common: CommonOptions, *, as_json: bool) -> None:
    """Check whether the API accepts the key.

    Print status and message of the API: as text on a terminal, else as a line of JSON.
    """
    run(common, _check, as_json=as_json)


async def _check(client: AsyncVoiceprintClient, output: Output) -> None:
    key_status = await client.check_key()
    record = {"status": key_status.status, "message": key_status.message}
    await output.write_record(record, partial(wrap, ": ".join(filter(None, record.values()))))
