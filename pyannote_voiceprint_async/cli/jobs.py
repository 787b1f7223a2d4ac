"""`pyannote-voiceprint jobs`: list all jobs of the team."""

from functools import partial

import click

from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.models import JobStatus

from .job_text import JobTable
from .json_records import job_summary_record
from .option_groups import Command
from .options import CommonOptions, common_options, json_option
from .output import Output
from .run_command import run

__all__ = ["jobs"]


@click.command(cls=Command, examples=["jobs --status failed"])
@click.option(
    "--status",
    type=click.Choice([str(status) for status in JobStatus]),
    metavar="STATUS",
    help=f"List only jobs with this status: {', '.join(JobStatus)}.",
)
@json_option
@common_options
def jobs(common: CommonOptions, status: str | None, *, as_json: bool) -> None:
    """List all jobs of the team, of every kind, newest first.

    Print a table on a terminal, with local times; else one line of JSON for each job: job_id, status, created_at.
    """
    run(common, partial(_jobs, status=status), as_json=as_json)


async def _jobs(client: AsyncVoiceprintClient, output: Output, *, status: str | None) -> None:
    table = JobTable()
    async for job in client.list_jobs(status=status):
        await output.write_record(job_summary_record(job), partial(table.lines, job))
    if output.shows_text and table.is_empty:
        await output.write_status("No jobs.")
