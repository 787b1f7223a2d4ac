"""`pyannote-voiceprint submit`: jobs that somebody else waits for."""

import asyncio
import sys
from collections.abc import Sequence
from functools import partial

import click

from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.errors import AccountError, VoiceprintError
from pyannote_voiceprint_async.masking import mask_url
from pyannote_voiceprint_async.models import JobCreated, VoiceprintRequest

from .exit_codes import ExitCode
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
    check_all([f"{mask_url(url)}: {problem}" for url in urls if (problem := _problem(url))])
    requests = [VoiceprintRequest(url, model) for url in dict.fromkeys(urls)]
    sys.exit(run(common, partial(_submit, requests=requests)))


async def _submit(client: AsyncVoiceprintClient, output: Output, *, requests: Sequence[VoiceprintRequest]) -> ExitCode:
    left, failed = dict(enumerate(requests)), 0

    async def tell(index: int, job: JobCreated | None, error: Exception | None) -> None:
        if error is not None and not isinstance(error, VoiceprintError):
            raise error
        await output.write(json_line(submission_record(left.pop(index).url, job, error)))
        output.progress.show(
            len(requests) - len(left), len(requests), f"{len(requests) - len(left)} of {len(requests)} done"
        )

    submissions = client.submit_many(requests)
    try:
        async with submissions:
            async for submission in submissions:
                failed += submission.error is not None
                await tell(submission.index, submission.job, submission.error)
    except AccountError as error:
        for index in list(left):
            await tell(index, None, error)
        raise
    except asyncio.CancelledError:
        for submission in submissions.unfinished:
            if submission.job is not None:
                await tell(submission.index, submission.job, None)
        await output.announce("Interrupted: what was accepted stands on stdout; the rest was not sent.")
        raise
    return ExitCode.SOME_FAILED if failed else ExitCode.WELL


def _problem(url: str) -> str | None:
    return url_problem(url) if is_url(url) else "is no URL; upload a file first: pyannote-voiceprint upload FILE"
