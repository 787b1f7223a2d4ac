"""`pyannote-voiceprint export`: write the voiceprints of a ledger into a private file."""

from pathlib import Path
from typing import get_args

import click

from pyannote_voiceprint_async.enrollment.ledger.export import Exported, check_export, format_of
from pyannote_voiceprint_async.enrollment.ledger.export import export as export_ledger
from pyannote_voiceprint_async.enrollment.ledger.export_formats import ExportFormat

from .exit_codes import Failure
from .formatting import format_count
from .option_groups import Command
from .options import FILE_PATH, force_option
from .output import print_status
from .report_text import formula_warnings
from .signals import sigterm_as_interrupt

__all__ = ["export"]


@click.command(cls=Command, examples=["export speakers.ledger --out voiceprints.json"])
@click.argument("ledger", type=FILE_PATH, metavar="LEDGER")
@click.option(
    "--format",
    "form",
    type=click.Choice(get_args(ExportFormat)),
    help="jsonl: one object per line; csv: a table; json: {label: voiceprint} [default: suffix of --out, else jsonl]",
)
@click.option(
    "--out",
    type=FILE_PATH,
    metavar="FILE",
    help="File to write [default: LEDGER with the suffix .voiceprints.FORMAT]",
)
@click.option("--model", help="Export only voiceprints of this model.")
@force_option
def export(ledger: Path, form: ExportFormat | None, out: Path | None, model: str | None, *, force: bool) -> None:
    """Write the voiceprints of a ledger into a private file.

    This command also works while a run uses the ledger. jsonl and csv contain all rows: label, source (a URL without
    its query), status, job_id, model, voiceprint, created_at, warnings (those of the preflight included), error, start
    and end (the segment that was cut out), and the other columns of the list. json contains only voiceprints, for
    identification; it is refused when the voiceprints have different models.
    """
    form = form or (None if out is None else format_of(out)) or "jsonl"
    # `speakers.csv` would overwrite the list of speakers.
    out = out or ledger.with_suffix(f".voiceprints.{form}")
    check_export(out, form, ledger, force=force)
    try:
        with sigterm_as_interrupt():
            exported = export_ledger(ledger, out, form, model=model, force=force)
    except OSError as exc:
        raise Failure(
            f"{out} cannot be written ({exc.strerror or exc}). A file that existed before is unchanged."
        ) from None
    print_status(_success_message(exported, out, form))
    for warning in formula_warnings(exported):
        print_status(warning)


def _success_message(exported: Exported, out: Path, form: ExportFormat) -> str:
    labels = "" if form == "json" else f" of {format_count(exported.labels, 'label')}"
    purged = f" {exported.purged} more were purged earlier." if exported.purged else ""
    return f"{format_count(exported.voiceprints, 'voiceprint')}{labels} in {out}, which only you may read.{purged}"
