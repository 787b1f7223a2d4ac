"""`pyannote-voiceprint submit`: submit recordings without waiting for the results."""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

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
from .options import CommonOptions, common_options, json_option, model_option
from .output import Output
from .progress_columns import text_view
from .run_command import run
from .sources import is_url, reject_problems, url_problem
from .text_layout import wrap

__all__ = ["submit"]


@click.command(cls=Command, examples=["submit https://example.com/voices/ada.wav"])
@click.argument("urls", nargs=-1, required=True, metavar="URL…")
@model_option
@click.option(
    "--key",
    metavar="KEY",
    help="Submission key of one URL: commands with the same key and --shared share one job.",
)
@json_option
@common_options
def submit(common: CommonOptions, urls: tuple[str, ...], model: str, key: str | None, *, as_json: bool) -> None:
    """Submit recordings without waiting for the results.

    An accepted job is billed unless it fails or is canceled. Print a line for each URL on a terminal; else one line of
    JSON: source (without its query), job_id, status, warning, error. Fetch the results with `pyannote-voiceprint job
    ID`. Repeated URLs are submitted once.
    """
    reject_problems([f"{redact_url(url)}: {problem}" for url in urls if (problem := _problem(url))])
    if key is not None and len(set(urls)) > 1:
        raise click.UsageError("--key belongs to one URL: submit the others with keys of their own.")
    requests = [VoiceprintRequest(url, model) for url in dict.fromkeys(urls)]
    sys.exit(run(common, partial(_submit, requests=requests, key=key), as_json=as_json, explain=_interruption))


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
            await writer.write_to_stderr(index, job)
        raise
    return ExitCode.SOME_FAILED if failed else ExitCode.SUCCESS


def _interruption(client: AsyncVoiceprintClient | None) -> str:
    if client is None:
        return NOTHING_SENT
    in_flight = client.stats.in_flight
    unknown = f" {possibly_accepted(in_flight)}." if in_flight else ""
    return f"Interrupted: accepted submissions are on stdout; the others were not sent: submit them again.{unknown}"


class _SubmissionWriter:
    """Writes a record for each submission: to stdout, or to stderr if stdout fails, so that no job id is lost."""

    def __init__(self, output: Output, requests: Sequence[VoiceprintRequest]) -> None:
        self.unwritten = dict(enumerate(requests))
        self._output = output
        self._total = len(requests)

    async def write(self, index: int, job: JobCreated | None, error: Exception | None) -> None:
        if error is not None and not isinstance(error, VoiceprintError):
            raise error
        record = self._pop_record(index, job, error)
        # An AccountError is the same for all URLs: the command prints it once, at its end.
        text = _no_lines if isinstance(error, AccountError) else partial(_text_lines, record)
        try:
            await self._output.write_record(record, text)
        except (OSError, Failure):
            if job is not None:
                await self._output.write_status_record(record, text)
            raise
        done = self._total - len(self.unwritten)
        self._output.progress.show(text_view(done, self._total, f"{done} of {self._total} done"))

    async def write_to_stderr(self, index: int, job: JobCreated) -> None:
        record = self._pop_record(index, job, None)
        await self._output.write_status_record(record, partial(_text_lines, record))

    def _pop_record(self, index: int, job: JobCreated | None, error: VoiceprintError | None) -> dict[str, Any]:
        # Removed before it is written: a cancelled write still completes, and must not be repeated.
        return submission_record(self.unwritten.pop(index).url, job, error)


def _no_lines(_width: int) -> Iterator[str]:
    yield from ()


def _text_lines(record: dict[str, Any], width: int) -> Iterator[str]:
    yield from wrap(f"{record['source']}: {record['error'] or 'submitted, job ' + record['job_id']}", width)
    if record["warning"]:
        yield from wrap(f"  {record['warning']}", width)


def _accepted(submissions: Results[Submission]) -> list[tuple[int, JobCreated]]:
    return [(submission.index, submission.job) for submission in submissions.unfinished if submission.job is not None]


def _problem(url: str) -> str | None:
    return url_problem(url) if is_url(url) else "is not a URL; upload a file first: pyannote-voiceprint upload FILE"
