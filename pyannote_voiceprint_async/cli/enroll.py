"""`pyannote-voiceprint enroll`: make voiceprints of a list of speakers, with a ledger that makes runs resumable."""

import shlex
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import attrs
import click

from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.enrollment import Ledger, Manifest, Report
from pyannote_voiceprint_async.enrollment import enroll as enroll_rows
from pyannote_voiceprint_async.enrollment.ledger.export import export
from pyannote_voiceprint_async.enrollment.ledger.maintenance import count_voiceprints, failed_rows
from pyannote_voiceprint_async.enrollment.manifest.sources import SourceRows
from pyannote_voiceprint_async.enrollment.options import Options
from pyannote_voiceprint_async.errors import LedgerError, VoiceprintError
from pyannote_voiceprint_async.local_files import reason_of

from .clients import is_billed, open_client
from .cost_question import CostQuestion
from .enroll_arguments import EnrollArguments, files_found, list_notes, skipped_files
from .enroll_dry_run import dry_run
from .exit_codes import ExitCode, Failure
from .formatting import format_count
from .options import (
    FILE_PATH,
    SOURCE_PATH,
    CommonOptions,
    common_options,
    force_option,
    model_option,
    preflight_option,
    price_option,
    yes_option,
)
from .output import Output, open_output
from .questions import is_interactive
from .repeat_command import repeat_command
from .report_text import (
    RepeatCommand,
    failure_reasons,
    format_report_cost,
    formula_warnings,
    job_counts,
    next_steps,
    row_counts,
)
from .retry_options import CommandWithRetries, new_key_option, on_unknown_option, retry_options
from .run_command import run_without_client
from .run_display import RunDisplay
from .signals import sigterm_as_interrupt
from .status_view import SANDBOX_ORIGIN
from .unsaved_jobs import unsaved_job_lines

__all__ = ["enroll"]

# `ledger failed` lists all of them.
_MOST_FAILED_ROWS = 1000


@click.command(
    cls=CommandWithRetries,
    examples=["enroll speakers.csv --dry-run", "enroll speakers.csv --out voiceprints.json"],
)
@click.argument("sources", nargs=-1, required=True, metavar="LIST|RECORDING…", type=SOURCE_PATH)
@click.option(
    "--ledger",
    "ledger_option",
    type=FILE_PATH,
    metavar="FILE",
    help="Ledger file [default: LIST with the suffix .ledger]",
)
@click.option("--out", type=FILE_PATH, metavar="FILE", help="Export the whole ledger to a .jsonl, .csv or .json file.")
@click.option(
    "--report",
    type=FILE_PATH,
    metavar="FILE.json",
    help="Write a JSON file with the cost, times, counts per state and failed rows of the run.",
)
@force_option
@click.option(
    "--dry-run",
    is_flag=True,
    help="Report what a run would do and cost, and end with the exit code of that run. Nothing is sent or changed.",
)
@retry_options("row")
@on_unknown_option(
    "row",
    adopt="adopt: use the job of that time that is not in the ledger, which is right only if no other program and no "
    "other list uses the key.",
)
@price_option
@yes_option("Start a run of more than 1,000 jobs without a question, as without a terminal.")
@click.option("--max-jobs", type=click.IntRange(min=0), metavar="N", help="Submit at most N jobs.")
@click.option("--skip-invalid", is_flag=True, help="Skip invalid rows instead of refusing the list.")
@click.option(
    "--replace",
    is_flag=True,
    help="Resubmit billed rows whose URL differs from the submitted one only in its query (billed again).",
)
@click.option(
    "--allow-shared-audio", is_flag=True, help="Accept several labels for the same recording, which is billed once."
)
@click.option("--label-column", metavar="NAME", help="Column of the labels in the list [default: label]")
@click.option("--source-column", metavar="NAME", help="Column of the sources in the list [default: source]")
@preflight_option
@click.option(
    "--trim",
    is_flag=True,
    help="Submit the best 30 s of longer files. Make sure that only one person speaks in them.",
)
@new_key_option
@model_option
@common_options
@click.pass_context
def enroll(context: click.Context, /, common: CommonOptions, **values: Any) -> None:
    """Enroll a list of speakers: make a voiceprint of each.

    The command may be killed at any time. The same command then continues, and no row is billed twice.

    LIST is a list of speakers (.csv, .tsv or .jsonl) with the columns `label` and `source` (a URL, or a file relative
    to the list). The columns `model`, `start` and `end` (seconds of the segment to cut out of a file) are optional, and
    other columns are copied. Instead of a list, pass recordings; their labels are the names of the files. A ledger
    beside the list records every row: rows with a voiceprint are not billed again, submitted rows are waited for, and
    the other rows are submitted.

    With the extra `[audio]`, audio files are checked before anything is sent.

    Voiceprints are written to the ledger, and to the file or device of --out; `pyannote-voiceprint export` writes them
    later. The exit code is 1 if any row has no voiceprint.

    On a terminal, a run of more than 1,000 jobs shows its cost, and asks you to confirm it once for each list.
    """
    # Options are matched by their names: those of `Options` are taken out of `values` here, and every other option of
    # this command must be a field of `EnrollArguments`.
    options = {field.name: values.pop(field.name) for field in attrs.fields(Options) if field.name in values}
    if common.sandbox:
        options |= {"origin": SANDBOX_ORIGIN, "price": 0.0}
    arguments = EnrollArguments(common=common, options=Options(**options), **values)
    arguments.check()
    if arguments.dry_run:
        sys.exit(dry_run(arguments))
    else:
        _enroll(arguments, partial(repeat_command, context))


def _enroll(arguments: EnrollArguments, repeat: RepeatCommand) -> None:
    # Raises for a wrong configuration, before a ledger is created.
    may_ask = is_billed(arguments.common) and is_interactive() and not arguments.yes
    report: Report | None = None
    opened: AsyncVoiceprintClient | None = None
    rows = arguments.rows()

    async def main(output: Output) -> None:
        nonlocal report, opened
        display: RunDisplay | None = None
        question = CostQuestion(output, is_sandbox=arguments.common.sandbox, is_wanted=may_ask)
        options = attrs.evolve(arguments.options, confirm=question.confirm)
        try:
            # The ledger is locked first, so that of two runs only one opens the file of the sandbox.
            async with (
                Ledger(arguments.ledger) as ledger,
                open_client(arguments.common, output, arguments.sandbox_store) as client,
                enroll_rows(client, rows, ledger, **attrs.asdict(options, recurse=False)) as run,
            ):
                opened = client
                display = RunDisplay(
                    run,
                    client,
                    output,
                    reports_rows=arguments.common.verbose > 0,
                    list_notes=partial(list_notes, rows),
                    files_found=partial(files_found, rows),
                    on_plan=question.state,
                )
                await display.show_until_finished()
        finally:
            report = None if display is None else display.report

    def explain() -> str | None:
        # With a report, the summary says how to continue.
        return None if report is not None else _interruption(opened)

    ended_by: BaseException | None = None
    try:
        run_without_client(arguments.common, main, explain=explain)
    except (KeyboardInterrupt, VoiceprintError) as exc:
        if report is None:
            raise
        ended_by = exc
    assert report is not None  # noqa: S101 - a run ends with a report or an error
    write_problems = _finish(arguments, rows, report, repeat)
    if isinstance(ended_by, LedgerError):
        raise Failure(str(ended_by)) from None
    if ended_by is not None:
        raise ended_by
    if write_problems:
        raise Failure(write_problems)
    sys.exit(ExitCode.SUCCESS if report.is_complete else ExitCode.SOME_FAILED)


def _interruption(client: AsyncVoiceprintClient | None) -> str:
    """Return what an interruption left that ended the run at once."""
    in_flight = 0 if client is None else client.stats.in_flight
    resolved = f" In flight: {format_count(in_flight, 'request')}, which the next run resolves." if in_flight else ""
    return f"Interrupted. What was done is saved in the ledger.{resolved} Run the same command again to continue."


def _finish(
    arguments: EnrollArguments, rows: Manifest | SourceRows, report: Report, repeat: RepeatCommand
) -> str | None:
    """Write the files and the summary of a run, and return why files could not be written."""
    with sigterm_as_interrupt(), open_output(None) as output:
        unsaved = [{"label": label, "job_id": job_id} for job_id, label in report.unsaved_jobs.items()]
        for line in unsaved_job_lines(unsaved, arguments.ledger):
            output.print_status(line)
        export_lines: list[str] = []
        problems: list[str] = []
        for path, write in ((arguments.out, _write_out), (arguments.report, _write_report)):
            try:
                export_lines += write(arguments, report)
            except VoiceprintError as exc:
                problems.append(str(exc))
            except OSError as exc:
                problems.append(f"{path} cannot be written ({reason_of(exc)}).")
        for line in _summary(arguments, rows, report, repeat, export_lines):
            output.print_status(line)
    return " ".join(problems) or None


def _write_out(arguments: EnrollArguments, _report: Report) -> Iterator[str]:
    """Write the file of `--out`, if any, and yield where the voiceprints are."""
    if arguments.out is not None and arguments.out_format is not None:
        exported = export(arguments.ledger, arguments.out, arguments.out_format, force=arguments.force)
        voiceprints = format_count(exported.voiceprints, "voiceprint")
        yield f"{voiceprints} in {arguments.out} and in the ledger {arguments.ledger}: keep both private."
        yield from formula_warnings(exported)
    elif in_ledger := count_voiceprints(arguments.ledger):
        yield (
            f"{format_count(in_ledger, 'voiceprint')} in the ledger {arguments.ledger}: keep it private. To export: "
            f"pyannote-voiceprint export {shlex.quote(str(arguments.ledger))} --format json"
        )


def _write_report(arguments: EnrollArguments, report: Report) -> Iterable[str]:
    """Write the file of `--report`, if any."""
    if arguments.report is not None:
        arguments.write_report(report.to_dict() | {"failed_rows": _failed_rows(arguments.ledger)})
    return ()


def _failed_rows(ledger: Path) -> list[dict[str, Any]]:
    """Return the first failed rows; none if the ledger cannot be read, because the report must be written anyway."""
    try:
        return [row._asdict() for row in islice(failed_rows(ledger), _MOST_FAILED_ROWS)]
    except LedgerError:
        return []


def _summary(
    arguments: EnrollArguments,
    rows: Manifest | SourceRows,
    report: Report,
    repeat: RepeatCommand,
    export_lines: Iterable[str],
) -> Iterator[str]:
    yield from row_counts(report, skipped_files=skipped_files(rows))
    yield from job_counts(report, "free in the sandbox" if arguments.common.sandbox else format_report_cost(report))
    yield from failure_reasons(report, arguments.ledger)
    yield from export_lines
    yield from next_steps(report, repeat)
