"""What is said of a list of speakers: how it stands, what it cost, and what to type next."""

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

from pyannote_voiceprint_async.enrollment import Problem, Report
from pyannote_voiceprint_async.enrollment.ledger.export import Exported
from pyannote_voiceprint_async.enrollment.manifest.sources import SkippedFiles
from pyannote_voiceprint_async.enrollment.run.dry_run import DryRun
from pyannote_voiceprint_async.settings import RateLimit

from .words import count, duration, euros

__all__ = ["failures", "foreseen", "formulas", "left_out", "next_commands", "paid", "standing"]

_MOST_TEXTS = 20
_MOST_LABELS = 3
_NONE = SkippedFiles()

Again = Callable[..., str]
"""Gives the command line once more, with further words."""


def standing(report: Report, *, not_taken: SkippedFiles = _NONE) -> Iterator[str]:
    """Report how the rows stand.

    Args:
        report: how the rows stand.
        not_taken: files of the folders that are no rows.
    """
    without = {
        "failed": report.failed,
        "uncertain": report.uncertain,
        "expired": report.expired,
        "submitted and not done": report.submitted,
        "sent, with no answer known": report.unanswered,
        "not sent": report.pending,
    }
    begin = (
        "Interrupted: " if report.interrupted else "All well: " if report.is_complete and not not_taken.count else ""
    )
    parts = [f"{report.succeeded} of {count(report.rows + report.invalid, 'row')} with a voiceprint"]
    yield begin + ", ".join(parts + [f"{many} {what}" for what, many in without.items() if many]) + "."
    yield from _not_taken(not_taken)
    if report.invalid:
        yield f"Left out because they are wrong: {count(report.invalid, 'row')}."
    if report.replaced:
        yield (
            f"Rows with another recording than in an earlier list: {report.replaced}. The earlier voiceprint is no "
            "longer under their name."
        )
    if report.forgotten:
        yield f"Left out because somebody had them erased (`ledger forget`): {count(report.forgotten, 'row')}."


def formulas(written: Exported) -> Iterator[str]:
    """Warn of rows that a spreadsheet would run."""
    if not written.formulas:
        return
    named = ", ".join(map(repr, written.formulas[:_MOST_LABELS]))
    more = ", …" if len(written.formulas) > _MOST_LABELS else ""
    yield (
        f"Warning: a spreadsheet would run cells of {count(len(written.formulas), 'row')} as formulas (label "
        f"{named}{more}). Nothing was changed: import the file with all columns as text."
    )


def _not_taken(files: SkippedFiles) -> Iterator[str]:
    if files.count:
        yield f"Left out, because their names are not those of recordings: {files}. To include a file, name it itself."


def left_out(problem: Problem) -> str:
    """Say which row is left out, as a refused list says it."""
    return f"Left out: {problem}"


def paid(report: Report, price: str | None = None) -> Iterator[str]:
    """Say what was accepted, and what may be paid without a voiceprint to show for it.

    Args:
        report: how the rows stand.
        price: what is said of the jobs of this run; None where there is no run.
    """
    now = f"{report.jobs} by this run ({price}), " if price else ""
    yield f"Jobs accepted: {now}{report.jobs_ever} by all runs."
    if report.possibly_paid_twice:
        yield f"Repeated although it may have been accepted, and so maybe paid twice: {report.possibly_paid_twice}."
    if report.unknown_jobs:
        yield (
            f"Jobs that nobody here made, from the time of submissions without an answer: {report.unknown_jobs}. They "
            "are other programs' of your team, or were paid for nothing."
        )


def failures(report: Report, ledger: Path) -> Iterator[str]:
    """Say why rows failed, the most frequent reason first."""
    if not report.failures:
        return
    yield "Failures:"
    shown = list(report.failures.items())[:_MOST_TEXTS]
    yield from (f"{many:>7} x {text}" for text, many in shown)
    yield f"Whose they are: pyannote-voiceprint ledger failed {shlex.quote(str(ledger))}"


def next_commands(report: Report, again: Again) -> Iterator[str]:
    """Say what to type next.

    Args:
        report: how the rows stand.
        again: gives the command with further words.
    """
    if report.submitted:
        yield "Outputs are deleted after 24 hours: go on before that, or they must be paid again."
    if report.submitted or report.pending or report.unanswered:
        yield f"Next, to go on with the rest: {again()}"
    if report.failed:
        yield f"When the cause is mended, to try the failed ones again: {again('--retry-failed')}"
    if report.uncertain:
        jobs = count(report.uncertain, "job")
        yield (
            f"Uncertain means: a job was made at the time, and nobody knows whose. To send them again ({jobs}, "
            f"{euros(report.uncertain)}, maybe for the second time): {again('--on-unknown', 'resubmit')}"
        )
        if report.uncertain == 1:  # of several, nobody can know which job is whose
            yield (
                "Or, if nothing else uses the key, no other list either, to take that job over: "
                f"{again('--on-unknown', 'adopt')}"
            )
    if report.expired:
        jobs = f"{count(report.expired, 'job')}, {euros(report.expired)}"
        yield f"Expired means: paid, and not fetched within a day. To pay again ({jobs}): {again('--retry-expired')}"
    if report.invalid:
        yield f"When the list is corrected, to send the rows that were left out: {again()}"


def foreseen(found: DryRun, limit: RateLimit, *, is_sandbox: bool, not_taken: SkippedFiles = _NONE) -> Iterator[str]:
    """Say what a run would do."""
    parts = {
        "have their voiceprint": found.succeeded,
        "would be waited for (submitted by an earlier run)": found.submitted,
        "may have been accepted: it is found out first, and they may be sent then": found.unresolved,
        "failed before, and would stay so (--retry-failed)": found.failed,
        "were paid and lost, and would stay so (--retry-expired)": found.expired,
        "are wrong, and would be left out": found.invalid,
        "were erased, and would be left out": found.forgotten,
    }
    rows = found.rows + found.invalid + found.forgotten
    yield f"Nothing was sent, and nothing was changed. The list has {count(rows, 'row')}:"
    yield from (f"{many:>7} {what}" for what, many in parts.items() if many)
    yield from _not_taken(not_taken)
    if found.replaced:
        yield f"Rows with another recording than in an earlier list, which was paid: {found.replaced}."
    price = "in the sandbox, nothing is paid" if is_sandbox else euros(found.jobs)
    uploads = f", {count(found.uploads, 'file')} uploaded first" if found.uploads else ""
    yield f"To be submitted: {count(found.jobs, 'job')} ({price}{uploads})."
    if found.left:
        yield f"Left for later by --max-jobs: {found.left}."
    if found.jobs:
        yield (
            f"At {limit.limit} submissions in {limit.per:g} seconds, the last one is sent after "
            f"{duration(found.seconds)}."
        )
    if found.expiring:
        yield (
            f"Presigned URLs that would expire before their turn: {found.expiring}. Sign them for longer, or give a "
            "shorter list."
        )
