"""`pyannote-voiceprint submit`: submit recordings without waiting for the results."""

import asyncio
import sys
from collections.abc import Sequence
from functools import partial

import click

from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.errors import AccountError, VoiceprintError
from pyannote_voiceprint_async.jobs.batch_results import Results
from pyannote_voiceprint_async.models import JobCreated, VoiceprintRequest
from pyannote_voiceprint_async.redaction import redact_url
from pyannote_voiceprint_async.results import Submission

from .exit_codes import ExitCode, Failure
from .formatting import possibly_accepted
from .interrupt import NOTHING_SENT
from .json_records import submission_record
from .option_groups import Command
from .options import CommonOptions, common_options, model_option
from .output import Output, json_line
from .progress_columns import text_view
from .run_command import run
from .sources import is_url, reject_problems, url_problem

__all__ = ["submit"]


@click.command(cls=Command, examples=["submit https://example.com/voices/ada.wav"])
@click.argument("urls", nargs=-1, required=True, metavar="URL…")
@model_option
@click.option(
    "--key",
    metavar="KEY",
    help="Submission key of one URL: commands with the same key and --shared submit at most once.",
)
@common_options
def submit(common: CommonOptions, urls: tuple[str, ...], model: str, key: str | None) -> None:
    """Submit recordings without waiting for the results.

    An accepted job is billed unless it fails or is canceled. Print one line of JSON for each URL: source (without its
    query), job_id, status, warning, error. Fetch the results with `pyannote-voiceprint job ID`. Repeated URLs are
    submitted once.
    """
    reject_problems([f"{redact_url(url)}: {problem}" for url in urls if (problem := _problem(url))])
    if key is not None and len(set(urls)) > 1:
        raise click.UsageError("--key belongs to one URL: submit the others with keys of their own.")
    requests = [VoiceprintRequest(url, model) for url in dict.fromkeys(urls)]
    sys.exit(run(common, partial(_submit, requests=requests, key=key), explain=_interruption))


async def _submit(
    client: AsyncVoiceprintClient, output: Output, *, requests: Sequence[VoiceprintRequest], key: str | None
) -> ExitCode:
    writer = _SubmissionWriter(output, requests)
    submissions, failed = client.submit_many(requests, key=None if key is None else lambda _: key), 0
    try:
        async with submissions:
            async for submission in submissions:
                failed += submission.error is not None
                await writer.write(submission.index, submission.job, submission.error)
    except AccountError as error:
        for index in list(writer.unwritten):
            await writer.write(index, None, error)
        raise
    except asyncio.CancelledError:
        for index, job in _accepted(submissions):
            await writer.write(index, job, None)
        raise
    except (OSError, Failure):
        for index, job in _accepted(submissions):
            output.print_status(writer.line(index, job, None))
        raise
    return ExitCode.SOME_FAILED if failed else ExitCode.SUCCESS


def _interruption(client: AsyncVoiceprintClient | None) -> str:
    if client is None:
        return NOTHING_SENT
    in_flight = client.stats.in_flight
    unknown = f" {possibly_accepted(in_flight)}." if in_flight else ""
    return f"Interrupted: accepted submissions are on stdout; the others were not sent.{unknown}"


class _SubmissionWriter:
    """Writes one line for each submission: to stdout, or to stderr if stdout fails, so that no job id is lost."""

    def __init__(self, output: Output, requests: Sequence[VoiceprintRequest]) -> None:
        self.unwritten = dict(enumerate(requests))
        self._output = output
        self._total = len(requests)

    def line(self, index: int, job: JobCreated | None, error: VoiceprintError | None) -> str:
        return json_line(submission_record(self.unwritten.pop(index).url, job, error))

    async def write(self, index: int, job: JobCreated | None, error: Exception | None) -> None:
        if error is not None and not isinstance(error, VoiceprintError):
            raise error
        line = self.line(index, job, error)
        try:
            await self._output.write_result(line)
        except (OSError, Failure):
            if job is not None:
                self._output.print_status(line)
            raise
        done = self._total - len(self.unwritten)
        self._output.progress.show(text_view(done, self._total, f"{done} of {self._total} done"))


def _accepted(submissions: Results[Submission]) -> list[tuple[int, JobCreated]]:
    return [(submission.index, submission.job) for submission in submissions.unfinished if submission.job is not None]


def _problem(url: str) -> str | None:
    return url_problem(url) if is_url(url) else "is not a URL; upload a file first: pyannote-voiceprint upload FILE"
