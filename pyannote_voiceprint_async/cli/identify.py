"""`pyannote-voiceprint identify`: find out who speaks when in recordings."""

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import click

from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.enrollment.ledger.identifications import IdentificationStore
from pyannote_voiceprint_async.enrollment.ledger.snapshot import temporary_copy
from pyannote_voiceprint_async.errors import LedgerError
from pyannote_voiceprint_async.identification.ledger_run import LedgerRun
from pyannote_voiceprint_async.identification.run_plan import IdentificationRunPlan

from .clients import create_dry_run_client, open_client
from .exit_codes import ExitCode, Failure
from .formatting import format_count
from .identify_arguments import IdentifyArguments
from .identify_plan import identify_plan_lines
from .identify_run import IdentifyRun
from .identify_text import summary_lines
from .interrupt import NOTHING_SENT
from .options import (
    FILE_PATH,
    SOURCE_PATH,
    CommonOptions,
    common_options,
    force_option,
    json_option,
    preflight_option,
    timeout_option,
)
from .output import Output, print_status
from .retry_options import CommandWithRetries, new_key_option, on_unknown_option, retry_options
from .run_command import reject_closed_stdout, run_without_client
from .status_view import SANDBOX_ORIGIN
from .text_layout import terminal_width
from .unsaved_jobs import unsaved_job_lines

__all__ = ["identify"]


@click.command(
    cls=CommandWithRetries,
    examples=[
        "identify meeting.wav --speakers speakers.ledger --out meeting.rttm",
        "identify --sandbox examples/conversation/conversation.flac --speakers voiceprints.json",
    ],
)
@click.argument("sources", nargs=-1, required=True, metavar="RECORDING…", type=SOURCE_PATH)
@click.option(
    "--speakers",
    "speakers_file",
    type=FILE_PATH,
    required=True,
    metavar="FILE",
    help="Voiceprints of the speakers: a ledger, or a file that `export` or `voiceprint --out` wrote.",
)
@click.option(
    "--expected",
    multiple=True,
    metavar="LABEL",
    help="Label of a speaker that is expected in the recordings (repeatable). With more than 50 speakers, the first "
    "job compares these speakers.",
)
@click.option(
    "--threshold",
    type=click.FloatRange(0, 100),
    default=0.0,
    show_default=True,
    metavar="N",
    help="Least score of a match. The scores themselves do not change.",
)
@click.option("--exclusive-diarization", is_flag=True, help="Also return a diarization without overlaps.")
@click.option(
    "--no-exclusive-matching",
    "exclusive_matching",
    flag_value=False,
    default=True,
    help="Allow a voiceprint to match several diarized speakers.",
)
@click.option("--num-speakers", type=click.IntRange(min=1), metavar="N", help="Number of speakers, if it is known.")
@click.option(
    "--max-jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="If more than N jobs are needed, submit nothing. Required with more than 50 speakers, which need several.",
)
@click.option(
    "--ledger",
    "ledger_option",
    type=FILE_PATH,
    metavar="FILE",
    help="Record each job in a ledger, which may be that of the speakers: the same command then continues.",
)
@click.option(
    "--out",
    type=FILE_PATH,
    metavar="FILE",
    help="Write all results to a .jsonl, .json or .rttm file at the end. An RTTM file has the matches of the API, "
    "whatever the decisions are; --threshold leaves out matches with a low score.",
)
@click.option(
    "--plot", type=FILE_PATH, metavar="FILE.png", help="Draw the timelines of up to 20 recordings (extra `[plot]`)."
)
@force_option
@json_option
@click.option(
    "--dry-run",
    is_flag=True,
    help="Report what a run would do and cost, and end with the exit code of that run. Nothing is sent or changed.",
)
@retry_options("recording")
@on_unknown_option("recording")
@new_key_option
@preflight_option
@click.option("--model", metavar="NAME", help="Use only voiceprints of this model [default: that of the voiceprints]")
@timeout_option("Longest time to wait for each submitted job. The job itself continues after that.", default=3600.0)
@common_options
def identify(common: CommonOptions, **values: Any) -> None:
    """Find out who speaks when in recordings.

    RECORDING is a file, a directory (searched recursively for audio), or a URL that starts with http://, https:// or
    media://. Each may last up to 24 hours, and a file may have up to 1 GiB. Jobs are billed by the seconds of the
    recording. With the extra `[audio]`, the lengths of files are checked before anything is sent.

    On a terminal, print for each speaker of the recording the label, the length of the speech, the highest score, its
    margin over the second score, a decision and a timeline. The decision is certain, review (a person should listen) or
    unknown (no voiceprint fits).

    Otherwise, print one line of JSON for each recording: label, source (a URL without its query), status, error, the
    fields of `Identification`, and decisions. The status is succeeded, failed, canceled, incomplete (some of several
    jobs failed), submitted (the job continues), or unknown (the outcome of the submission is unknown, and a job may
    exist: see `pyannote-voiceprint jobs`). The exit code is 1 if any recording has no complete result.

    The id of each job is printed to stderr as soon as the job is accepted. With --ledger, the command may be killed at
    any time: the same command then continues, and no recording is billed twice. A recording that failed is not
    submitted again without --retry-failed, and a recording of unknown outcome is held.
    """
    arguments = IdentifyArguments.check(common, **values)
    for note in arguments.notes:
        print_status(note)
    if arguments.dry_run:
        sys.exit(_dry_run(arguments))
    _identify(arguments)


def _dry_run(arguments: IdentifyArguments) -> ExitCode:
    """Print what a run of the same arguments does, and return its exit code."""

    async def main(output: Output) -> ExitCode:
        if arguments.ledger is None:
            plan = arguments.plan()
        else:
            client, has_key = create_dry_run_client(arguments.common)
            async with temporary_copy(arguments.ledger) as copy, _open_ledger(copy) as store:
                plan = await (await _claim(arguments, client, store, new_key=not has_key)).prepare()
        await _show_plan(arguments, plan, output)
        return ExitCode.SUCCESS if plan.counts.is_complete else ExitCode.SOME_FAILED

    return run_without_client(arguments.common, main)


async def _show_plan(arguments: IdentifyArguments, plan: IdentificationRunPlan, output: Output) -> None:
    """Check and print the plan of a run.

    Raises:
        click.UsageError: the run would submit more than `--max-jobs`.
    """
    arguments.check_plan(plan)
    for line in identify_plan_lines(plan, arguments):
        await output.write_status(line)


def _identify(arguments: IdentifyArguments) -> None:
    started: IdentifyRun | None = None

    async def main(output: Output) -> None:
        nonlocal started
        async with _open(arguments, output) as (client, ledger_run):
            await _show_plan(arguments, arguments.plan() if ledger_run is None else await ledger_run.prepare(), output)
            started = IdentifyRun(
                client,
                output,
                arguments.recordings,
                arguments.requests,
                timeout=arguments.timeout,
                ledger_run=ledger_run,
            )
            await started.run()

    def explain() -> str:
        return NOTHING_SENT if started is None else started.interruption()

    def announce() -> str | None:
        return None if started is None else started.stopping()

    reject_closed_stdout()
    try:
        run_without_client(arguments.common, main, as_json=arguments.as_json, explain=explain, announce=announce)
    except LedgerError as error:
        if started is None:
            raise  # nothing was sent
        raise Failure(str(error)) from None
    finally:
        problems = [] if started is None else _finish(arguments, started)
    assert started is not None  # noqa: S101 - the run has ended without an error
    if problems:
        raise Failure(" ".join(problems))
    sys.exit(ExitCode.SOME_FAILED if started.writer.failed else ExitCode.SUCCESS)


@asynccontextmanager
async def _open(
    arguments: IdentifyArguments, output: Output
) -> AsyncIterator[tuple[AsyncVoiceprintClient, LedgerRun | None]]:
    """Yield the client and, with `--ledger`, the run on the ledger.

    The ledger is locked before the client opens, so that a second run on it stops at once.
    """
    async with AsyncExitStack() as stack:
        if arguments.ledger is None:
            yield await stack.enter_async_context(open_client(arguments.common, output)), None
            return
        store = await stack.enter_async_context(_open_ledger(arguments.ledger))
        sandbox_jobs = arguments.ledger.with_name(f"{arguments.ledger.name}.server")
        client = await stack.enter_async_context(open_client(arguments.common, output, sandbox_jobs))
        yield client, await _claim(arguments, client, store, new_key=arguments.options.new_key)


@asynccontextmanager
async def _open_ledger(path: Path) -> AsyncIterator[IdentificationStore]:
    store = IdentificationStore(path)
    await store.open()
    try:
        yield store
    finally:
        await store.aclose()


async def _claim(
    arguments: IdentifyArguments, client: AsyncVoiceprintClient, store: IdentificationStore, *, new_key: bool
) -> LedgerRun:
    """Claim the ledger for this API and key, and return the run on it."""
    origin = SANDBOX_ORIGIN if arguments.common.sandbox else client.engine.base_url
    await store.claim(origin, client.engine.api_key, new_key=new_key)
    sources = [(recording.source.source, recording.seconds) for recording in arguments.recordings]
    return LedgerRun(client, store, sources, arguments.requests, arguments.options, timeout=arguments.timeout)


def _finish(arguments: IdentifyArguments, ended: IdentifyRun) -> list[str]:
    """Write the files and the summary of a run, and return the errors of files that could not be written."""
    if arguments.ledger is not None:
        for line in unsaved_job_lines(ended.unsaved_jobs(), arguments.ledger):
            print_status(line)
    results = ended.writer.results
    if len(arguments.recordings) > 1 and terminal_width(sys.stdout) is not None and not arguments.as_json:
        for line in summary_lines([(result.label, result.identification) for result in results]):
            click.echo(line)
    written, problems = arguments.files.write(results) if results else ([], [])
    for line in written:
        print_status(line)
    failed = ended.writer.failed
    if failed:
        print_status(f"Without a complete result: {failed} of {format_count(len(arguments.recordings), 'recording')}.")
    return problems
