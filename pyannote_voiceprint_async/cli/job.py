"""`pyannote-voiceprint job`: show one job, with its voiceprint."""

import sys
from functools import partial

import click

from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.errors import JobCanceledError, JobFailedError
from pyannote_voiceprint_async.models import Job, JobStatus

from .exit_codes import ExitCode
from .json_records import job_record
from .options import CommonOptions, common_options, timeout_option
from .output import Output, json_line
from .run_command import run

__all__ = ["job"]


@click.command()
@click.argument("job_id", metavar="ID")
@click.option("--wait", is_flag=True, help="Wait until the job is done.")
@timeout_option("Longest time that --wait waits.")
@common_options
def job(common: CommonOptions, job_id: str, *, wait: bool, timeout: float) -> None:
    """Show a job, with its voiceprint if there is one.

    Print one JSON object: job_id, status, created_at, updated_at, voiceprint, warning, error. The exit code is 1 if
    the job failed or was canceled. The API deletes outputs 24 hours after completion.
    """
    sys.exit(run(common, partial(_job, job_id=job_id, timeout=timeout if wait else None)))


async def _job(
    client: AsyncVoiceprintClient,
    output: Output,
    *,
    job_id: str,
    timeout: float | None,  # noqa: ASYNC109 - of the wait
) -> ExitCode:
    done = await (client.get_job(job_id) if timeout is None else _wait(client, job_id, timeout))
    await output.write_result(json_line(job_record(done)))
    return ExitCode.SOME_FAILED if done.status in {JobStatus.FAILED, JobStatus.CANCELED} else ExitCode.SUCCESS


async def _wait(client: AsyncVoiceprintClient, job_id: str, timeout: float) -> Job:  # noqa: ASYNC109 - of the wait
    try:
        return await client.wait(job_id, timeout=timeout)
    except (JobFailedError, JobCanceledError):
        # The error contains only the reason; the printed object needs the whole job.
        return await client.get_job(job_id)
