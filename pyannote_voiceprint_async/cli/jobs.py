"""`pyannote-voiceprint jobs`: all jobs of the team."""

from functools import partial

import click

from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.models import JobStatus

from .options import Common, common_options
from .output import Output, json_line
from .records import summary_record
from .session import run

__all__ = ["jobs"]


@click.command()
@click.option("--status", type=click.Choice([str(status) for status in JobStatus]), help="Only those that stand there.")
@common_options
def jobs(common: Common, status: str | None) -> None:
    """List all jobs of the team, of every kind, newest first.

    Each job gives one line of JSON: job_id, status, created_at.
    """
    run(common, partial(_jobs, status=status))


async def _jobs(client: AsyncVoiceprintClient, output: Output, *, status: str | None) -> None:
    async for job in client.list_jobs(status=status):
        await output.write(json_line(summary_record(job)))
