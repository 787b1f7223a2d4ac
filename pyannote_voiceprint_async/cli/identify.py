"""`pyannote-voiceprint identify`: find out who speaks when in recordings."""

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import click

from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.enrollment.ledger.identifications import IdentificationStore

from .clients import open_client
from .exit_codes import ExitCode, Failure
from .identify_arguments import IdentifyArguments
from .identify_recordings import plan_sentence
from .identify_run import IdentifyRun
from .identify_text import summary_lines
from .interrupt import NOTHING_SENT
from .option_groups import Command
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
from .run_command import reject_closed_stdout, run_without_client
from .status_view import SANDBOX_ORIGIN
from .text_layout import terminal_width

__all__ = ["identify"]


@click.command(
    cls=Command,
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
    help="Speaker that is expected in the recordings (repeatable). With more than 50 speakers, the first job has them.",
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
    help="Refuse to submit more than N jobs. Required with more than 50 speakers, which need several jobs.",
)
@click.option(
    "--ledger",
    "ledger_option",
    type=FILE_PATH,
    metavar="FILE",
    help="Record each job in a ledger, which may be that of the speakers: the same command then continues.",
)
@click.option(
    "--out", type=FILE_PATH, metavar="FILE", help="Write all results to a .jsonl, .json or .rttm file at the end."
)
@click.option(
    "--plot", type=FILE_PATH, metavar="FILE.png", help="Draw the timelines of up to 20 recordings (extra `[plot]`)."
)
@force_option
@json_option
@click.option("--dry-run", is_flag=True, help="Check everything, and report what would be submitted. Nothing is sent.")
@preflight_option
@click.option("--model", metavar="NAME", help="Use only voiceprints of this model [default: that of the voiceprints]")
@timeout_option("Longest time to wait for each submitted job. The job itself continues after that.", default=3600.0)
@common_options
def identify(common: CommonOptions, **values: Any) -> None:
    """Find out who speaks when in recordings.

    RECORDING is a file, a directory (searched recursively for audio), or a URL that starts with http://, https:// or
    media://. Each may last up to 24 hours, and a file may have up to 1 GiB. Jobs are billed by the seconds of the
    recording. With the extra `[audio]`, the lengths of files are checked before anything is sent.

    Print who speaks, how long, the score, its margin over the second speaker, a decision and a timeline on a terminal;
    else one line of JSON: label, source (a URL without its query), status, error, the fields of `Identification`, and
    decisions. The decision is certain, review (a person should listen) or unknown. The status is succeeded, failed,
    canceled, incomplete (some of several jobs failed), submitted (the job continues), or unknown (a job may exist:
    look with `pyannote-voiceprint jobs`). The exit code is 1 if any recording has no complete result.

    The id of each job is printed to stderr as soon as the job is accepted. With --ledger, the command may be killed at
    any time: the same command then continues, and no job is billed twice. A recording whose submission may have been
    accepted is held.
    """
    arguments = IdentifyArguments.check(common, **values)
    for note in arguments.notes:
        print_status(note)
    jobs = len(arguments.requests)
    plan = partial(plan_sentence, arguments.recordings, jobs)
    if arguments.dry_run:
        print_status(f"Dry run: {plan(verb='would be submitted')} Nothing was sent.")
        sys.exit(ExitCode.SUCCESS)
    if arguments.ledger is None:
        print_status(plan(verb="to submit"))
    else:
        print_status(f"At most {plan(verb='to submit')} Jobs that are in the ledger are not submitted again.")
    _identify(arguments)


def _identify(arguments: IdentifyArguments) -> None:
    started: IdentifyRun | None = None

    async def main(output: Output) -> None:
        nonlocal started
        async with _open(arguments, output) as (client, store):
            started = IdentifyRun(
                client, output, arguments.recordings, arguments.requests, timeout=arguments.timeout, store=store
            )
            await started.run()

    def explain() -> str:
        return NOTHING_SENT if started is None else started.interruption()

    reject_closed_stdout()
    try:
        run_without_client(arguments.common, main, as_json=arguments.as_json, explain=explain)
    finally:
        problems = [] if started is None else _finish(arguments, started)
    assert started is not None  # noqa: S101 - the run has ended without an error
    if problems:
        raise Failure(" ".join(problems))
    sys.exit(ExitCode.SOME_FAILED if started.writer.failed else ExitCode.SUCCESS)


@asynccontextmanager
async def _open(
    arguments: IdentifyArguments, output: Output
) -> AsyncIterator[tuple[AsyncVoiceprintClient, IdentificationStore | None]]:
    """Yield the client and the ledger, if there is one. The ledger is locked first: of two runs, only one continues."""
    async with AsyncExitStack() as stack:
        if arguments.ledger is None:
            yield await stack.enter_async_context(open_client(arguments.common, output)), None
            return
        store = IdentificationStore(arguments.ledger)
        await store.open()
        stack.push_async_callback(store.aclose)
        jobs = arguments.ledger.with_name(f"{arguments.ledger.name}.server")
        client = await stack.enter_async_context(open_client(arguments.common, output, jobs))
        origin = SANDBOX_ORIGIN if arguments.common.sandbox else client.engine.base_url
        await store.claim(origin, client.engine.api_key)
        yield client, store


def _finish(arguments: IdentifyArguments, ended: IdentifyRun) -> list[str]:
    """Write the files and the summary of a run, and return why files could not be written."""
    results = ended.writer.results
    if len(arguments.recordings) > 1 and terminal_width(sys.stdout) is not None and not arguments.as_json:
        for line in summary_lines([(result.label, result.identification) for result in results]):
            click.echo(line)
    written, problems = arguments.files.write(results) if results else ([], [])
    for line in written:
        print_status(line)
    failed = ended.writer.failed
    if failed:
        print_status(f"{failed} of {len(arguments.recordings)} recordings have no complete result.")
    return problems
