"""`pyannote-voiceprint voiceprint`: recordings in, voiceprints out."""

import asyncio
import sys
from functools import partial
from pathlib import Path

import click

from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.enrollment.ledger.output_file import OutputFile
from pyannote_voiceprint_async.enrollment.manifest.preflight import Preflight

from .enrollment import Enrollment
from .exit_codes import ExitCode
from .options import Common, common_options, force_option, model_option, preflight_option, timeout_option
from .output import Output, say
from .session import run
from .sources import Recording, find_recordings
from .words import count

__all__ = ["voiceprint"]


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE…")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.jsonl",
    help="Append the results to this file, which only you may read, instead of stdout.",
)
@force_option
@preflight_option
@model_option
@timeout_option("How long to wait for each job, once it is submitted; it goes on after that.")
@common_options
def voiceprint(  # noqa: PLR0913 - what a person may say
    common: Common,
    *,
    sources: tuple[str, ...],
    out: Path | None,
    force: bool,
    preflight: bool,
    model: str,
    timeout: float,
) -> None:
    """Make voiceprints of recordings.

    One speaker each, at most 30 seconds. SOURCE is a file, a directory (searched for audio, with all directories in
    it), or a URL that starts with http://, https:// or media://. What is named twice is sent once. With the extra
    `[audio]`, files are looked at before anything is sent, as `enroll` does.

    Each source gives one line of JSON: label, source (a URL without its query), status, job_id, model, voiceprint,
    warnings, error. The status is succeeded, failed, canceled, submitted (its job goes on: fetch it with
    `pyannote-voiceprint job ID`), or unknown (a job may exist: look with `pyannote-voiceprint jobs`).
    """
    recordings = find_recordings(sources, Preflight.create(is_wanted=preflight, trim=False))
    for recording in recordings:
        for note in recording.warnings:
            say(f"{recording.label}: {note}")
    results = None if out is None else OutputFile(out, "results", force)
    sys.exit(run(common, partial(_voiceprint, recordings=recordings, model=model, timeout=timeout), results))


async def _voiceprint(
    client: AsyncVoiceprintClient,
    output: Output,
    *,
    recordings: list[Recording],
    model: str,
    timeout: float,  # noqa: ASYNC109 - each job's, not this function's
) -> ExitCode:
    enrollment = Enrollment(client, output, recordings, model=model, timeout=timeout)
    try:
        await enrollment.run()
    except asyncio.CancelledError:
        output.progress.close()
        jobs, on_wire = len(enrollment.open_jobs), client.stats.in_flight
        unsent = len(recordings) - enrollment.succeeded - enrollment.failed - jobs - on_wire
        await output.announce(_interruption(jobs, on_wire, unsent))
        raise
    output.progress.close()
    if enrollment.stopped_by is not None:
        raise enrollment.stopped_by
    if not enrollment.failed:
        output.say(f"All well: {count(enrollment.succeeded, 'voiceprint')}.")
        return ExitCode.WELL
    output.say(
        f"{count(enrollment.succeeded, 'voiceprint')}, and {enrollment.failed} of {len(recordings)} sources without: "
        "the `error` in each line says why."
    )
    return ExitCode.SOME_FAILED


def _interruption(jobs: int, on_wire: int, unsent: int) -> str:
    said = []
    if jobs:
        said.append(
            f"{count(jobs, 'job')} submitted but not waited for; fetch each with `pyannote-voiceprint job ID --wait`, "
            "the ids stand above"
        )
    if on_wire:
        said.append(f"up to {count(on_wire, 'job')} may have been accepted; look with `pyannote-voiceprint jobs`")
    if unsent > 0:
        said.append(f"{count(unsent, 'source')} not sent")
    return f"Interrupted: {'; '.join(said) or 'nothing is left to be fetched'}."
