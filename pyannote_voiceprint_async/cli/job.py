"""`pyannote-voiceprint job`: show one job, with its voiceprint."""

import sys
from functools import partial
from pathlib import Path

import click

from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.enrollment.ledger.output_file import OutputFile
from pyannote_voiceprint_async.errors import JobCanceledError, JobFailedError
from pyannote_voiceprint_async.models import Job, JobStatus

from .exit_codes import ExitCode
from .job_text import job_lines
from .json_records import job_record
from .option_groups import Command
from .options import FILE_PATH, CommonOptions, common_options, force_option, json_option, timeout_option
from .output import Output
from .run_command import run

__all__ = ["job"]


@click.command(cls=Command, examples=["job ID --wait --out results.jsonl"])
@click.argument("job_id", metavar="ID")
@click.option("--wait", is_flag=True, help="Wait until the job is done.")
@timeout_option("Longest time that --wait waits.")
@click.option(
    "--out",
    type=FILE_PATH,
    metavar="FILE.jsonl",
    help="Append the job to a file that only you may read, instead of stdout.",
)
@force_option
@json_option
@common_options
def job(  # noqa: PLR0913 - the options of the command
    common: CommonOptions,
    job_id: str,
    *,
    wait: bool,
    timeout: float,
    out: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Show a job, with its voiceprint if there is one.

    Print the job as text on a terminal, where the value of the voiceprint is not shown; else as a line of JSON: job_id,
    status, created_at, updated_at, voiceprint, warning, error. The exit code is 1 if the job failed or was canceled.
    The API deletes outputs 24 hours after completion.
    """
    main = partial(_job, job_id=job_id, timeout=timeout if wait else None)
    sys.exit(run(common, main, None if out is None else OutputFile(out, "jobs", force), as_json=as_json))


async def _job(
    client: AsyncVoiceprintClient,
    output: Output,
    *,
    job_id: str,
    timeout: float | None,  # noqa: ASYNC109 - of the wait
) -> ExitCode:
    done = await (client.get_job(job_id) if timeout is None else _wait(client, job_id, timeout))
    await output.write_record(job_record(done), partial(job_lines, done))
    return ExitCode.SOME_FAILED if done.status in {JobStatus.FAILED, JobStatus.CANCELED} else ExitCode.SUCCESS


async def _wait(client: AsyncVoiceprintClient, job_id: str, timeout: float) -> Job:  # noqa: ASYNC109 - of the wait
    try:
        return await client.wait(job_id, timeout=timeout)
    except (JobFailedError, JobCanceledError):
        # The error contains only the reason; the printed object needs the whole job.
        return await client.get_job(job_id)
