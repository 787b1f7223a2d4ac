"""`pyannote-voiceprint voiceprint`: make voiceprints of recordings, without a ledger."""

import asyncio
import sys
from functools import partial
from pathlib import Path

import click

from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.enrollment.ledger.output_file import OutputFile
from pyannote_voiceprint_async.enrollment.manifest.preflight import Preflight

from .exit_codes import ExitCode
from .formatting import format_count
from .options import (
    FILE_PATH,
    CommonOptions,
    common_options,
    force_option,
    model_option,
    preflight_option,
    timeout_option,
)
from .output import Output, print_status
from .run_command import run
from .sources import LabeledSource, find_recordings
from .voiceprint_run import VoiceprintRun

__all__ = ["voiceprint"]


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE…")
@click.option(
    "--out",
    type=FILE_PATH,
    metavar="FILE.jsonl",
    help="Append the results to a file that only you may read, instead of stdout.",
)
@force_option
@preflight_option
@model_option
@timeout_option("Longest time to wait for each submitted job. The job itself continues after that.")
@common_options
def voiceprint(  # noqa: PLR0913 - the options of the command
    common: CommonOptions,
    *,
    sources: tuple[str, ...],
    out: Path | None,
    force: bool,
    preflight: bool,
    model: str,
    timeout: float,
) -> None:
    """Make voiceprints of recordings.

    Each recording must have one speaker and last at most 30 seconds. SOURCE is a file, a directory (searched
    recursively for audio), or a URL that starts with http://, https:// or media://. Repeated sources are sent once.
    With the extra `[audio]`, files are checked before anything is sent, as by `enroll`.

    Print one line of JSON for each source: label, source (a URL without its query), status, job_id, model, voiceprint,
    warnings, error. The status is succeeded, failed, canceled, submitted (the job continues: fetch it with
    `pyannote-voiceprint job ID`), or unknown (a job may exist: look with `pyannote-voiceprint jobs`).
    """
    labeled = find_recordings(sources, Preflight.create(is_wanted=preflight, trim=False))
    for source in labeled:
        for warning in source.warnings:
            # A note about the whole list is a sentence of its own, and does not begin in lower case.
            print_status(f"{source.label}: {warning}" if warning[0].islower() else warning)
    results = None if out is None else OutputFile(out, "results", force)
    sys.exit(run(common, partial(_voiceprint, sources=labeled, model=model, timeout=timeout), results))


async def _voiceprint(
    client: AsyncVoiceprintClient,
    output: Output,
    *,
    sources: list[LabeledSource],
    model: str,
    timeout: float,  # noqa: ASYNC109 - of each job, not of this function
) -> ExitCode:
    voiceprints = VoiceprintRun(client, output, sources, model=model, timeout=timeout)
    try:
        await voiceprints.run()
    except asyncio.CancelledError:
        await output.write_status(voiceprints.interruption())
        raise
    succeeded, failed = format_count(voiceprints.succeeded, "voiceprint"), voiceprints.failed
    if not failed:
        output.print_status(f"All well: {succeeded}.")
        return ExitCode.SUCCESS
    output.print_status(
        f"{succeeded}, and {failed} of {format_count(len(sources), 'source')} without a voiceprint: see `error` in "
        "each line."
    )
    return ExitCode.SOME_FAILED
