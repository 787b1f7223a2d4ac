"""`pyannote-voiceprint ledger`: inspect and maintain a ledger."""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import click

from pyannote_voiceprint_async.enrollment.ledger import maintenance
from pyannote_voiceprint_async.redaction import printable

from .exit_codes import ExitCode
from .formatting import format_count
from .interrupt import EXPLAINED
from .option_groups import Group
from .options import FILE_PATH, json_option, price_option, yes_option
from .output import print_record, print_status
from .questions import confirm_change
from .signals import sigterm_as_interrupt
from .status_view import StatusView
from .status_watch import watch_status
from .text_layout import field_lines, wrap

__all__ = ["ledger"]

_MOST_LABELS = 3


@click.group(cls=Group, examples=["ledger status speakers.ledger"])
def ledger() -> None:
    """Inspect and maintain a ledger.

    None of these commands prints a voiceprint.
    """


def _ledger_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.argument("path", type=FILE_PATH, metavar="LEDGER")(command)


@ledger.command(examples=["ledger status speakers.ledger", "ledger status speakers.ledger --watch"])
@_ledger_argument
@click.option("--watch", is_flag=True, help="Follow the run until it ends, or until Ctrl-C.")
@price_option
@json_option
def status(path: Path, *, watch: bool, price: float, as_json: bool) -> None:
    """Report whether a run is alive, and count the rows of the newest list and the identifications by state.

    This command also works while a run uses the ledger.
    """
    read = partial(StatusView.read, path, price)
    if not watch:
        view = read()
        print_record(view.record, view.lines, as_json=as_json)
        return
    try:
        with sigterm_as_interrupt():
            watch_status(read, as_json=as_json)
    except KeyboardInterrupt as interrupt:
        print_status("Stopped watching. The run is not affected.")
        raise type(interrupt)(EXPLAINED) from None


@ledger.command(examples=["ledger failed speakers.ledger"])
@_ledger_argument
@json_option
def failed(path: Path, *, as_json: bool) -> None:
    """List the rows and identifications that failed, are uncertain or expired.

    Print them as text on a terminal; else one line of JSON for each: label, status, error, source, extra (the other
    columns of the list). The status is failed, uncertain (the outcome of the submission is unknown) or expired (billed,
    and not fetched in time). The label of an identification is its name for `ledger accept`; its source is empty,
    because the ledger does not store the paths of recordings. This command also works while a run uses the ledger.
    """
    is_empty = True
    for row in chain(maintenance.failed_rows(path), maintenance.failed_identifications(path)):
        is_empty = False
        print_record(row._asdict(), partial(_failed_row_lines, row), as_json=as_json)
    if is_empty and not as_json and sys.stdout.isatty():
        print_status("No row failed, is uncertain or expired.")


def _failed_row_lines(row: maintenance.FailedRow, width: int) -> Iterator[str]:
    yield from wrap(f"{row.label} ({row.status}){f': {row.error}' if row.error else ''}", width)
    fields = {"source": row.source, **{name: str(value) for name, value in row.extra.items()}}
    yield from (f"  {line}" for line in field_lines(fields.items(), width - 2))


@ledger.command(examples=["ledger forget speakers.ledger Ada"])
@_ledger_argument
@click.argument("labels", nargs=-1, required=True, metavar="LABEL…")
@yes_option("Do it without a question, as without a terminal.")
def forget(path: Path, labels: tuple[str, ...], *, yes: bool) -> None:
    """Erase the label, source and voiceprint of speakers.

    Only a hash remains, so that no later run enrolls them again.
    """
    people = printable(", ".join(labels[:_MOST_LABELS])) + (", …" if len(labels) > _MOST_LABELS else "")
    confirm_change(
        f"Erase {format_count(len(labels), 'label')} ({people}) with their sources and voiceprints from {path}? No "
        "later run enrolls them again.",
        yes=yes,
    )
    with sigterm_as_interrupt():
        forgotten = maintenance.forget(path, labels)
    for label in forgotten.unknown:
        print_status(f"{label}: the ledger has no such label.")
    if forgotten.labels:
        erased = f"{format_count(len(forgotten.labels), 'label')} and {format_count(forgotten.recordings, 'source')}"
        print_status(f"Erased: {erased}, with everything that the ledger had about them. {maintenance.FORGET_LIMITS}")
    sys.exit(ExitCode.SOME_FAILED if forgotten.unknown else ExitCode.SUCCESS)


@ledger.command(examples=["ledger purge speakers.ledger"])
@_ledger_argument
@yes_option("Do it without a question, as without a terminal.")
def purge(path: Path, *, yes: bool) -> None:
    """Delete the exported voiceprints from the ledger.

    Job ids and hashes remain, so that no row is billed again.
    """
    confirm_change(
        f"Delete the exported voiceprints from {path}? The exported file is then the only copy.",
        yes=yes,
    )
    with sigterm_as_interrupt():
        purged = maintenance.purge(path)
    kept = f" {purged.kept} were made after the last export, and remain." if purged.kept else ""
    print_status(
        f"Deleted: {format_count(purged.dropped, 'voiceprint')}.{kept} The exported file is now the only copy."
    )


@ledger.command(
    examples=[
        "ledger accept speakers.ledger Ada JOB_ID",
        "ledger accept names.ledger identification:1f3a9c2e07ab JOB_ID",
    ]
)
@_ledger_argument
@click.argument("label", metavar="LABEL")
@click.argument("job_id", metavar="JOB_ID")
def accept(path: Path, label: str, job_id: str) -> None:
    """Record a job that the ledger could not save.

    If the ledger cannot be written, a run prints the label and the id of each accepted job. `identify` prints a name
    such as identification:1f3a9c2e07ab as the label, also for a recording that is held because its outcome is
    unknown. After this command, the next run waits for the job, and does not submit the row again.
    """
    with sigterm_as_interrupt():
        maintenance.accept(path, label, job_id)
    print_status("Recorded. The next run fetches the result of this job.")


@ledger.command(examples=["ledger recover speakers.ledger"])
@_ledger_argument
def recover(path: Path) -> None:
    """Check a ledger that a run left open.

    After this command, the next run can use the ledger. Use it for a copy that was made during a run if the original is
    lost, and for a ledger without its -journal file. Rows that were submitted after the copy was made are submitted and
    billed again.
    """
    with sigterm_as_interrupt():
        pending = maintenance.recover(path)
    print_status(
        f"Checked: no damage was found. {format_count(pending, 'recording')} not recorded as submitted: compare with "
        "`pyannote-voiceprint jobs` before the next run."
    )
