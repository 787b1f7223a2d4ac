"""`pyannote-voiceprint jobs`: list all jobs of the team."""

from functools import partial

import click

from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.models import JobStatus

from .json_records import job_summary_record
from .options import CommonOptions, common_options
from .output import Output, json_line
from .run_command import run

__all__ = ["jobs"]


@click.command()
@click.option(
    "--status", type=click.Choice([str(status) for status in JobStatus]), help="List only jobs with this status."
)
@common_options
def jobs(common: CommonOptions, status: str | None) -> None:
    """List all jobs of the team, of every kind, newest first.

    Print one line of JSON for each job: job_id, status, created_at.
    """
    run(common, partial(_jobs, status=status))


async def _jobs(client: AsyncVoiceprintClient, output: Output, *, status: str | None) -> None:
    async for job in client.list_jobs(status=status):
        await output.write_result(json_line(job_summary_record(job)))
