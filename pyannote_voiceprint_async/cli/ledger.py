"""`pyannote-voiceprint ledger`: how a ledger stands, and its upkeep."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import click

from pyannote_voiceprint_async.enrollment.ledger import maintenance

from .exit_codes import ExitCode
from .output import json_line, printable, say
from .session import ended_by_signals
from .summary import failures, paid, standing
from .words import count

__all__ = ["ledger"]

# Only a run itself knows these.
_OF_A_RUN = ("forgotten", "replaced", "jobs", "unsaved_jobs", "warnings", "problems", "interrupted", "stopped_by")


@click.group()
def ledger() -> None:
    """Look at a ledger, and look after it. No command of these prints a voiceprint."""


def _ledger_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    kind = click.Path(dir_okay=False, path_type=Path)
    return click.argument("path", type=kind, metavar="LEDGER")(command)


@ledger.command()
@_ledger_argument
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def status(path: Path, *, as_json: bool) -> None:
    """Say how the rows of the newest list stand. It works during a run."""
    report = maintenance.status(path)
    if as_json:
        known = {name: value for name, value in attrs.asdict(report).items() if name not in _OF_A_RUN}
        click.echo(json_line(known))
        return
    for line in (*standing(report), *paid(report), *failures(report, path)):
        click.echo(printable(line))


@ledger.command()
@_ledger_argument
def failed(path: Path) -> None:
    """List the rows without a voiceprint that need somebody: label, status, error, one line of JSON each.

    The status is failed, uncertain (it may have been accepted) or expired (paid, and not fetched in time). It works
    during a run.
    """
    for row in maintenance.failed_rows(path):
        click.echo(json_line(row._asdict()))


@ledger.command()
@_ledger_argument
@click.argument("labels", nargs=-1, required=True, metavar="LABEL…")
def forget(path: Path, labels: tuple[str, ...]) -> None:
    """Erase people: label, source, voiceprint. Only a hash stays, so that no later run enrolls them again."""
    with ended_by_signals():
        forgotten = maintenance.forget(path, labels)
    for label in forgotten.unknown:
        say(f"{label}: the ledger has no such label.")
    if forgotten.labels:
        erased = f"{count(len(forgotten.labels), 'label')} and {count(forgotten.recordings, 'recording')}"
        say(f"Erased: {erased}, with all that the ledger knew of them. {maintenance.FORGET_LIMITS}")
    sys.exit(ExitCode.SOME_FAILED if forgotten.unknown else ExitCode.WELL)


@ledger.command()
@_ledger_argument
def purge(path: Path) -> None:
    """Drop the voiceprints that were exported. Job ids and hashes stay, so that nothing is paid again."""
    with ended_by_signals():
        purged = maintenance.purge(path)
    kept = f" {purged.kept} were made after the last export, and stay." if purged.kept else ""
    say(f"Dropped: {count(purged.dropped, 'voiceprint')}.{kept} The export is now the only place.")


@ledger.command()
@_ledger_argument
@click.argument("label", metavar="LABEL")
@click.argument("job_id", metavar="JOB_ID")
def accept(path: Path, label: str, job_id: str) -> None:
    """Record a job that a run printed because the ledger could not save it.

    The next run then waits for this job, and does not submit the row again.
    """
    with ended_by_signals():
        maintenance.accept(path, label, job_id)
    say("Recorded. The next run fetches the voiceprint of this job.")


@ledger.command()
@_ledger_argument
def recover(path: Path) -> None:
    """Check a ledger that was left open by a run, and let the next run use it.

    For a copy that was made during a run whose original is lost, and for a ledger whose -journal file is lost. Rows
    that were submitted after the copy was made are submitted again, and billed again.
    """
    with ended_by_signals():
        pending = maintenance.recover(path)
    say(
        f"Checked: no damage was found. {count(pending, 'recording')} not known as submitted: compare with "
        "`pyannote-voiceprint jobs` before you run again."
    )
