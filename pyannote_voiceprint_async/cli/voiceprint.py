"""`pyannote-voiceprint voiceprint`: make voiceprints of recordings, without a ledger."""

import sys
from pathlib import Path

import click

from pyannote_voiceprint_async.api.request_checks import check_webhook
from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.enrollment.ledger.output_file import OutputFile
from pyannote_voiceprint_async.enrollment.manifest.preflight import Preflight

from .exit_codes import ExitCode
from .formatting import format_count
from .interrupt import NOTHING_SENT
from .option_groups import Command
from .options import (
    FILE_PATH,
    SOURCE_PATH,
    CommonOptions,
    common_options,
    force_option,
    json_option,
    model_option,
    preflight_option,
    timeout_option,
)
from .output import Output, print_status
from .run_command import run
from .sources import find_recordings
from .voiceprint_run import VoiceprintRun

__all__ = ["voiceprint"]


@click.command(cls=Command, examples=["voiceprint --sandbox examples/speech --out results.jsonl"])
@click.argument("sources", nargs=-1, required=True, metavar="RECORDING…", type=SOURCE_PATH)
@click.option(
    "--out",
    type=FILE_PATH,
    metavar="FILE.jsonl",
    help="Append the results to a file that only you may read, instead of stdout.",
)
@force_option
@json_option
@preflight_option
@model_option
@timeout_option("Longest time to wait for each submitted job. The job itself continues after that.")
@click.option(
    "--webhook",
    metavar="URL",
    help="URL to which pyannoteAI posts each result too. This command polls all the same.",
)
@common_options
def voiceprint(  # noqa: PLR0913 - the options of the command
    common: CommonOptions,
    *,
    sources: tuple[str, ...],
    out: Path | None,
    force: bool,
    as_json: bool,
    preflight: bool,
    model: str,
    timeout: float,
    webhook: str | None,
) -> None:
    """Make voiceprints of recordings.

    RECORDING is a file, a directory (searched recursively for audio), or a URL that starts with http://, https:// or
    media://. Each must have one speaker and last at most 30 seconds. Repeated recordings are submitted once. With the
    extra `[audio]`, files are checked before anything is sent, as by `enroll`.

    Print a line for each recording on a terminal, where the value of a voiceprint is not shown; else one line of JSON:
    label, source (a URL without its query), status, job_id, model, voiceprint, warnings, error. The status is
    succeeded, failed, canceled, submitted (the job continues: fetch it with `pyannote-voiceprint job ID`), or unknown
    (the outcome of the submission is unknown, and a job may exist: see `pyannote-voiceprint jobs`).
    """
    check_webhook(webhook)
    labeled = find_recordings(sources, Preflight.create(is_wanted=preflight, trim=False))
    for source in labeled:
        for warning in source.warnings:
            # A note about the whole list is a sentence of its own, and does not begin in lower case.
            print_status(f"{source.label}: {warning}" if warning[0].islower() else warning)
    voiceprints: VoiceprintRun | None = None

    async def main(client: AsyncVoiceprintClient, output: Output) -> ExitCode:
        nonlocal voiceprints
        voiceprints = VoiceprintRun(client, output, labeled, model=model, timeout=timeout, webhook=webhook)
        await voiceprints.run()
        return _report(output, voiceprints, is_kept=not common.sandbox)

    def explain(_client: AsyncVoiceprintClient | None) -> str:
        return NOTHING_SENT if voiceprints is None else voiceprints.interruption()

    results = None if out is None else OutputFile(out, "results", force)
    sys.exit(run(common, main, results, as_json=as_json, explain=explain))


def _report(output: Output, voiceprints: VoiceprintRun, *, is_kept: bool) -> ExitCode:
    if output.is_terminal and voiceprints.succeeded:
        output.print_status(_hidden_values_note(is_kept=is_kept))
    succeeded, failed = format_count(voiceprints.succeeded, "voiceprint"), voiceprints.failed
    if not failed:
        output.print_status(f"All well: {succeeded}.")
        return ExitCode.SUCCESS
    reasons = "the reasons are above" if output.shows_text else "see `error` in each line"
    output.print_status(
        f"{succeeded}, and {failed} of {format_count(voiceprints.total, 'recording')} without a voiceprint: {reasons}."
    )
    return ExitCode.SOME_FAILED


def _hidden_values_note(*, is_kept: bool) -> str:
    """Return how to get values that a terminal does not show.

    Args:
        is_kept: whether the API still has the outputs. The embedded sandbox ends with the command.
    """
    if not is_kept:
        return "The voiceprints are not shown on a terminal. To save them, use --out FILE.jsonl or a pipe."
    return (
        "The voiceprints are not shown on a terminal. To save one before the API deletes it after 24 hours: "
        "pyannote-voiceprint job ID --out FILE.jsonl"
    )
