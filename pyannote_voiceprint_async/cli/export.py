"""`pyannote-voiceprint export`: the voiceprints of a ledger into a private file."""

from pathlib import Path
from typing import get_args

import click

from pyannote_voiceprint_async.enrollment.ledger.export import Exported, check_export, format_of
from pyannote_voiceprint_async.enrollment.ledger.export import export as export_ledger
from pyannote_voiceprint_async.enrollment.ledger.export_formats import ExportFormat

from .exit_codes import Failure
from .options import force_option
from .output import say
from .session import ended_by_signals
from .summary import formulas
from .words import count

__all__ = ["export"]


@click.command()
@click.argument("ledger", type=click.Path(dir_okay=False, path_type=Path), metavar="LEDGER")
@click.option(
    "--format",
    "form",
    type=click.Choice(get_args(ExportFormat)),
    help="One object a line, a table, or {label: voiceprint}; else that of --out, else jsonl.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where to; else the ledger's name with .voiceprints.FORMAT.",
)
@click.option("--model", help="Only voiceprints of this model.")
@force_option
def export(ledger: Path, form: ExportFormat | None, out: Path | None, model: str | None, *, force: bool) -> None:
    """Write the voiceprints of a ledger into a private file.

    It works during a run. jsonl and csv have all rows: label, source (a URL without its query), status, job_id, model,
    voiceprint, created_at, warnings (of the look at the file, too), error, start and end (what was cut out), and the
    further columns of the list. json has the voiceprints alone, ready for identification, and refuses to mix models.
    """
    form = form or (None if out is None else format_of(out)) or "jsonl"
    # Not `speakers.csv`: that is the list itself.
    out = out or ledger.with_suffix(f".voiceprints.{form}")
    check_export(out, form, ledger, force=force)
    try:
        with ended_by_signals():
            written = export_ledger(ledger, out, form, model=model, force=force)
    except OSError as exc:
        raise Failure(f"{out} cannot be written ({exc.strerror or exc}). What was there before still is.") from None
    say(_said(written, out, form))
    for warning in formulas(written):
        say(warning)


def _said(written: Exported, out: Path, form: ExportFormat) -> str:
    labels = "" if form == "json" else f" of {count(written.labels, 'label')}"
    purged = f" {written.purged} more were purged earlier." if written.purged else ""
    return f"{count(written.voiceprints, 'voiceprint')}{labels} in {out}, which only you may read.{purged}"
