"""`pyannote-voiceprint enroll`: a list of speakers to voiceprints, through a ledger that remembers everything."""

import asyncio
import json
import shlex
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, get_args

import attrs
import click

from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.enrollment import Ledger, Manifest, Report
from pyannote_voiceprint_async.enrollment import enroll as enroll_rows
from pyannote_voiceprint_async.enrollment.ledger.export import export
from pyannote_voiceprint_async.enrollment.ledger.maintenance import count_voiceprints
from pyannote_voiceprint_async.enrollment.manifest.skipped_files import SkippedFiles
from pyannote_voiceprint_async.enrollment.manifest.sources import SourceRows
from pyannote_voiceprint_async.enrollment.options import OnUnknown, Options
from pyannote_voiceprint_async.enrollment.run.dry_run import DryRun, dry_run
from pyannote_voiceprint_async.errors import ConfigurationError, LedgerError, VoiceprintError

from .asked import Asked
from .exit_codes import ExitCode, Failure
from .follower import Follower
from .options import Common, common_options, force_option, model_option, preflight_option
from .output import Output, json_line, output_to, say
from .retyped import retyped
from .session import connected, ended_by_signals, new_client, run_alone
from .summary import failures, foreseen, formulas, left_out, next_commands, paid, standing
from .words import count, euros

__all__ = ["enroll"]

_FILE = click.Path(dir_okay=False, path_type=Path)
# The embedded sandbox listens elsewhere each time.
_SANDBOX = "sandbox"


class _Command(click.Command):
    """With one option whose value may be left out, and only stands behind a `=`: a list's name is none."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        end = args.index("--") if "--" in args else len(args)
        options = ["--retry-failed=" if word == "--retry-failed" else word for word in args[:end]]
        return super().parse_args(ctx, options + args[end:])


@click.command(cls=_Command)
@click.argument("sources", nargs=-1, required=True, metavar="MANIFEST|SOURCE…")
@click.option(
    "--ledger", "given_ledger", type=_FILE, metavar="FILE", help="What remembers all; else MANIFEST with .ledger."
)
@click.option("--out", type=_FILE, metavar="FILE", help="Write the whole ledger here, as .jsonl, .csv or .json.")
@click.option("--report", type=_FILE, metavar="FILE.json", help="Write the summary here as JSON.")
@force_option
@click.option(
    "--dry-run",
    is_flag=True,
    help="Say what a run would do and cost, by the same exit codes; nothing is sent or changed.",
)
@click.option("--retry-failed", metavar="[=TEXT]", help="Try rows again that failed, or failed with TEXT in the error.")
@click.option("--retry-expired", is_flag=True, help="Pay rows again whose output was deleted before it was read.")
@click.option(
    "--on-unknown",
    type=click.Choice(get_args(OnUnknown)),
    default="hold",
    show_default=True,
    help="Rows that may have been accepted: hold them, resubmit them (maybe paid twice), or adopt the job that was "
    "made then (nobody else uses the key).",
)
@click.option("--max-jobs", type=click.IntRange(min=0), metavar="N", help="Submit at most N jobs; the rest is left.")
@click.option("--skip-invalid", is_flag=True, help="Leave out rows that are wrong, instead of refusing the list.")
@click.option(
    "--replace",
    is_flag=True,
    help="Submit rows that are already paid and whose URL differs from the paid one only in its query (billed again).",
)
@click.option("--allow-shared-audio", is_flag=True, help="One recording may have several labels; it is paid once.")
@click.option("--label-column", metavar="NAME", help="The list's column of labels, if it is not `label`.")
@click.option("--source-column", metavar="NAME", help="The list's column of sources, if it is not `source`.")
@preflight_option
@click.option(
    "--trim",
    is_flag=True,
    help="Take the best 30 s of whole files that are longer; see that only one person speaks there.",
)
@click.option("--new-key", is_flag=True, help="The key is another one of the same team than the ledger was made with.")
@model_option
@common_options
@click.pass_context
def enroll(context: click.Context, /, common: Common, **given: Any) -> None:
    """Make voiceprints of many speakers.

    It may be killed at any time: the same command goes on, and pays nothing twice.

    MANIFEST is a list of speakers, .csv, .tsv or .jsonl, with `label`, `source` (a URL, or a file relative to the
    list), maybe `model`, `start` and `end` (seconds to cut out of a file), and whatever else; or give recordings, each
    called after its file. A ledger beside the list remembers every row: what is done costs nothing again, what is
    submitted is waited for, the rest is sent.

    With the extra `[audio]`, files are looked at before anything is sent.

    Voiceprints never go to stdout: get them with --out, or `pyannote-voiceprint export`. The exit code is 1 if any
    row is without its voiceprint.
    """
    options = {field.name: given.pop(field.name) for field in attrs.fields(Options) if field.name in given}
    origin = _SANDBOX if common.sandbox else None
    asked = Asked(common=common, options=Options(**options, origin=origin), **given)
    asked.check()
    if asked.dry_run:
        _rehearse(asked)
    else:
        _enroll(asked, partial(retyped, context))


def _enroll(asked: Asked, again: partial[str]) -> None:
    if not asked.common.sandbox:
        new_client(asked.common)  # whatever is wrong with it is told before there is a ledger
    report: Report | None = None
    rows = asked.rows()

    async def follow(output: Output) -> None:
        nonlocal report
        # The ledger first: of two runs at once, only one may have the sandbox's store.
        async with Ledger(asked.ledger) as ledger, connected(asked.common, output, asked.store) as client:
            options = attrs.asdict(asked.options, recurse=False)
            async with enroll_rows(client, rows, ledger, **options) as run:
                follower = Follower(run, client, output, tells_rows=asked.common.verbose > 0)
                try:
                    await follower.follow()
                finally:
                    report = follower.report

    ended_by: BaseException | None = None
    try:
        run_alone(asked.common, follow)
    except (KeyboardInterrupt, VoiceprintError) as exc:
        if report is None:
            if isinstance(exc, KeyboardInterrupt):
                say("Interrupted. What was done stands in the ledger; the same command goes on.")
            raise
        ended_by = exc
    assert report is not None  # noqa: S101 - a run ends with it, or with an error
    unwritten = _close(asked, rows, report, again)
    if isinstance(ended_by, LedgerError):
        raise Failure(str(ended_by)) from None
    if ended_by is not None:
        raise ended_by
    if unwritten:
        raise Failure(unwritten)
    sys.exit(ExitCode.WELL if report.is_complete else ExitCode.SOME_FAILED)


def _close(asked: Asked, rows: Manifest | SourceRows, report: Report, again: partial[str]) -> str | None:
    """Write and say what a run leaves; give what could not be written."""
    with ended_by_signals(), output_to(None) as output:
        for job_id, label in report.unsaved_jobs.items():
            output.say(json_line({"label": label, "job_id": job_id}))
        if report.unsaved_jobs:
            output.say(
                "The ledger could not save the jobs above, which are billed. Keep their ids. When the ledger can be "
                f"written again, record each: pyannote-voiceprint ledger accept {asked.ledger} LABEL JOB_ID"
            )
        wheres: list[str] = []
        problems: list[str] = []
        for path, write in ((asked.out, _write_out), (asked.report, _write_report)):
            try:
                wheres += write(asked, report)
            except VoiceprintError as exc:
                problems.append(str(exc))
            except OSError as exc:
                problems.append(f"{path} cannot be written ({(exc.strerror or str(exc)).lower()}).")
        for line in _summary(asked, rows, report, again, wheres):
            output.say(line)
    return " ".join(problems) or None


def _write_out(asked: Asked, _report: Report) -> Iterable[str]:
    if asked.out is not None and asked.form is not None:
        written = export(asked.ledger, asked.out, asked.form, force=asked.force)
        held = count(written.voiceprints, "voiceprint")
        return (
            f"{held} in {asked.out} and in the ledger {asked.ledger}: keep both private.",
            *formulas(written),
        )
    held_in_ledger = count_voiceprints(asked.ledger)
    line = (
        f"{count(held_in_ledger, 'voiceprint')} in the ledger {asked.ledger}: keep it private. To get them: "
        f"pyannote-voiceprint export {shlex.quote(str(asked.ledger))} --format json"
    )
    return (line,) if held_in_ledger else ()


def _write_report(asked: Asked, report: Report | DryRun) -> Iterable[str]:
    if asked.report_file is not None:
        with asked.report_file.write() as file:
            file.write(json.dumps(report.to_dict(), indent=2, ensure_ascii=False) + "\n")
    return ()


def _summary(
    asked: Asked, rows: Manifest | SourceRows, report: Report, again: partial[str], wheres: Iterable[str]
) -> Iterator[str]:
    yield from standing(report, not_taken=_not_taken(rows))
    price = "in the sandbox, nothing is paid" if asked.common.sandbox else f"{euros(report.jobs)}, failed ones are free"
    yield from paid(report, price)
    yield from failures(report, asked.ledger)
    yield from wheres
    yield from next_commands(report, again)


def _not_taken(rows: Manifest | SourceRows) -> SkippedFiles:
    return rows.skipped_files if isinstance(rows, SourceRows) else SkippedFiles()


def _rehearse(asked: Asked) -> None:
    client, options = _client_to_rehearse(asked)
    rows = asked.rows()

    async def ask(output: Output) -> ExitCode:
        found = await dry_run(client, rows, asked.ledger, options, asked.limit)
        for problem in found.problems:
            output.say(left_out(problem))
        for note in found.warnings:
            output.say(f"{note.label}: {note.message}")
        for line in foreseen(found, asked.limit, is_sandbox=asked.common.sandbox, not_taken=_not_taken(rows)):
            await output.write(line)
        await asyncio.to_thread(_write_report, asked, found)
        return ExitCode.WELL if found.is_complete else ExitCode.SOME_FAILED

    sys.exit(run_alone(asked.common, ask))


def _client_to_rehearse(asked: Asked) -> tuple[AsyncVoiceprintClient, Options]:
    """Give a client that is never used, and the options. Without a key, only the ledger's API is looked at."""
    try:
        if not asked.common.sandbox:
            return new_client(asked.common), asked.options
    except ConfigurationError:
        pass  # if it is not for the key, it is said below
    return new_client(asked.common, "none"), attrs.evolve(asked.options, new_key=True)
