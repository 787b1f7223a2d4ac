"""`pyannote-voiceprint submit`: jobs that somebody else waits for."""

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
from .options import Common, common_options, model_option
from .output import Output, json_line
from .records import submission_record
from .session import run
from .sources import check_all, is_url, url_problem

__all__ = ["submit"]


@click.command()
@click.argument("urls", nargs=-1, required=True, metavar="URL…")
@model_option
@common_options
def submit(common: Common, urls: tuple[str, ...], model: str) -> None:
    """Submit recordings, and do not wait for them. Every accepted one is a bill.

    Each URL gives one line of JSON: source (without its query), job_id, status, warning, error. Fetch the results
    with `pyannote-voiceprint job ID`. What is named twice is sent once.
    """
    check_all([f"{redact_url(url)}: {problem}" for url in urls if (problem := _problem(url))])
    requests = [VoiceprintRequest(url, model) for url in dict.fromkeys(urls)]
    sys.exit(run(common, partial(_submit, requests=requests)))


async def _submit(client: AsyncVoiceprintClient, output: Output, *, requests: Sequence[VoiceprintRequest]) -> ExitCode:
    lines = _Lines(output, requests)
    submissions, failed = client.submit_many(requests), 0
    try:
        async with submissions:
            async for submission in submissions:
                failed += submission.error is not None
                await lines.tell(submission.index, submission.job, submission.error)
    except AccountError as error:
        for index in list(lines.left):
            await lines.tell(index, None, error)
        raise
    except asyncio.CancelledError:
        for index, job in _accepted(submissions):
            await lines.tell(index, job, None)
        await output.announce("Interrupted: what was accepted stands on stdout; the rest was not sent.")
        raise
    except (OSError, Failure):
        for index, job in _accepted(submissions):
            output.say(lines.line(index, job, None))
        raise
    return ExitCode.SOME_FAILED if failed else ExitCode.WELL


class _Lines:
    """One line for each submission. An id that stdout does not take goes to stderr: it stands nowhere else."""

    def __init__(self, output: Output, requests: Sequence[VoiceprintRequest]) -> None:
        self.left = dict(enumerate(requests))
        self._output = output
        self._total = len(requests)

    def line(self, index: int, job: JobCreated | None, error: VoiceprintError | None) -> str:
        return json_line(submission_record(self.left.pop(index).url, job, error))

    async def tell(self, index: int, job: JobCreated | None, error: Exception | None) -> None:
        if error is not None and not isinstance(error, VoiceprintError):
            raise error
        line = self.line(index, job, error)
        try:
            await self._output.write(line)
        except (OSError, Failure):
            if job is not None:
                self._output.say(line)
            raise
        done = self._total - len(self.left)
        self._output.progress.show(done, self._total, f"{done} of {self._total} done")


def _accepted(submissions: Results[Submission]) -> list[tuple[int, JobCreated]]:
    return [(one.index, one.job) for one in submissions.unfinished if one.job is not None]


def _problem(url: str) -> str | None:
    return url_problem(url) if is_url(url) else "is no URL; upload a file first: pyannote-voiceprint upload FILE"
