"""Lines about a list of speakers: how many rows are done, what they cost, and which commands to run next."""

import shlex
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from pyannote_voiceprint_async.enrollment import Problem, Report
from pyannote_voiceprint_async.enrollment.events import join_warnings, split_warnings
from pyannote_voiceprint_async.enrollment.ledger.export import Exported
from pyannote_voiceprint_async.enrollment.ledger.identification_report import IdentificationReport
from pyannote_voiceprint_async.enrollment.manifest.skipped_files import SkippedFiles

from .formatting import format_audio, format_cost, format_count, possibly_accepted

__all__ = [
    "billed_audio",
    "failure_reasons",
    "format_report_cost",
    "formula_warnings",
    "identification_counts",
    "job_counts",
    "next_steps",
    "row_counts",
    "skipped_file_lines",
    "skipped_row",
    "warning_lines",
]

_MAX_REASONS = 20
_MAX_LABELS = 3
_NO_FILES = SkippedFiles()

RepeatCommand = Callable[..., str]
"""Returns the current command line again, with more arguments appended."""


def row_counts(report: Report, *, skipped_files: SkippedFiles = _NO_FILES) -> Iterator[str]:
    """Yield the counts of rows by state.

    Args:
        report: the state of the rows.
        skipped_files: files of directories that are not rows.
    """
    done = f"{report.succeeded} of {format_count(report.rows + report.invalid, 'row')} with a voiceprint"
    yield f"{_headline(report, skipped_files)}{', '.join([done, *_missing(report)])}."
    yield from skipped_file_lines(skipped_files)
    if report.invalid:
        yield f"Skipped because they are invalid: {format_count(report.invalid, 'row')}."
    if report.replaced:
        yield (
            f"Rows whose recording differs from that of an earlier list: {report.replaced}. Their label no longer "
            "refers to the earlier voiceprint."
        )
    if report.forgotten:
        yield f"Skipped because they were erased (`ledger forget`): {format_count(report.forgotten, 'row')}."


def identification_counts(report: IdentificationReport, ledger: Path) -> Iterator[str]:
    """Yield how many identifications are in which state, and how many of their jobs were accepted, if there are any."""
    if not report.rows and not report.jobs_ever:
        return
    done = f"{report.succeeded} of {format_count(report.rows, 'identification')} with a result"
    yield f"{', '.join([done, *_missing(report)])}."
    failed = f", {report.failed_jobs_ever} of them failed and not billed" if report.failed_jobs_ever else ""
    yield f"Identification jobs accepted: {report.jobs_ever} by all runs{failed}."
    if possible := report.uncertain + report.unresolved:
        yield f"{possibly_accepted(possible)}."
    if report.failed or report.uncertain or report.expired:
        yield f"To list these identifications: {_list_failed(ledger)}"


def billed_audio(report: IdentificationReport) -> str:
    """Return how much audio was billed."""
    audio = f"{format_audio(report.billed_seconds)} of audio" if report.billed_seconds else ""
    jobs = report.jobs_of_unknown_length
    unknown = f"{format_count(jobs, 'recording')} of unknown length" if jobs else ""
    return " and ".join(filter(None, [audio, unknown]))


def formula_warnings(exported: Exported) -> Iterator[str]:
    """Yield a warning if the labels of an exported file contain spreadsheet formulas."""
    if not exported.formulas:
        return
    labels = ", ".join(map(repr, exported.formulas[:_MAX_LABELS]))
    more = ", …" if len(exported.formulas) > _MAX_LABELS else ""
    yield (
        f"Warning: a spreadsheet would run cells of {format_count(len(exported.formulas), 'row')} as formulas (label "
        f"{labels}{more}). Nothing was changed: import the file with all columns as text."
    )


def skipped_file_lines(files: SkippedFiles) -> Iterator[str]:
    """Yield a line if files of directories are not enrolled."""
    if files.count:
        yield files.warning


def warning_lines(label: str, message: str, list_notes: Iterable[str]) -> Iterator[str]:
    """Yield the lines of a warning about a row.

    Args:
        label: the row.
        message: its warnings, joined by `join_warnings`.
        list_notes: notes about the whole list. The first row carries them, but they are printed without its label.
    """
    warnings = split_warnings(message)
    for note in list_notes:
        found = [warning for warning in warnings if warning.removesuffix(".") == note.removesuffix(".")]
        if found:
            yield note
            warnings.remove(found[0])
    if warnings:
        yield f"{label}: {join_warnings(warnings)}"


def skipped_row(problem: Problem) -> str:
    """Return the line about an invalid row that `--skip-invalid` skips."""
    return f"Skipped: {problem}"


def job_counts(report: Report, price: str | None = None) -> Iterator[str]:
    """Yield how many jobs were accepted, and which of them may be billed without a voiceprint.

    Args:
        report: the state of the rows.
        price: the price of the jobs of this run; None if there was no run.
    """
    this_run = f"{report.jobs} by this run ({price}), " if price else ""
    yield f"Jobs accepted: {this_run}{report.jobs_ever} by all runs."
    if report.possibly_paid_twice:
        yield f"Resubmitted after an unknown outcome, and possibly billed twice: {report.possibly_paid_twice}."
    if report.unknown_jobs:
        yield (
            f"Jobs that are not in the ledger, from the time of submissions without a response: {report.unknown_jobs}. "
            "They belong to other programs of your team, or were billed without a result."
        )


def format_report_cost(report: Report) -> str:
    """Return the cost of the jobs of a run that did not fail."""
    failed = f"{report.failed_jobs} failed and not billed" if report.failed_jobs else "failed jobs are free"
    return f"{format_cost(report.jobs - report.failed_jobs, report.price)}, {failed}"


def failure_reasons(report: Report, ledger: Path) -> Iterator[str]:
    """Yield why rows failed, the most frequent reason first, and how to list the rows."""
    if not report.failures:
        return
    yield "Failures:"
    yield from (f"{rows:>7} x {reason}" for reason, rows in list(report.failures.items())[:_MAX_REASONS])
    yield f"To list these rows: {_list_failed(ledger)}"


def next_steps(report: Report, repeat: RepeatCommand) -> Iterator[str]:
    """Yield the commands that complete the list.

    Args:
        report: the state of the rows.
        repeat: returns the current command line with more arguments.
    """
    if report.submitted:
        yield "The API deletes outputs after 24 hours: continue before then, or these rows must be billed again."
    if report.submitted or report.pending or report.unresolved:
        yield f"To continue with the remaining rows: {repeat()}"
    if report.failed:
        yield f"To retry the failed rows when the cause is fixed: {repeat('--retry-failed')}"
    if report.uncertain:
        yield from _uncertain_steps(report, repeat)
    if report.expired:
        jobs = f"{format_count(report.expired, 'job')}, {format_cost(report.expired, report.price)}"
        yield (
            "Expired means: the job was billed, and its result was not fetched within 24 hours. To resubmit these rows "
            f"({jobs}): {repeat('--retry-expired')}"
        )
    if report.invalid:
        yield f"To submit the skipped rows when the list is corrected: {repeat()}"


def _list_failed(ledger: Path) -> str:
    return f"pyannote-voiceprint ledger failed {shlex.quote(str(ledger))}"


def _missing(report: Report | IdentificationReport) -> Iterator[str]:
    """Yield the counts of rows without a result, by state."""
    missing = {
        "failed": report.failed,
        "uncertain": report.uncertain,
        "expired": report.expired,
        "submitted and not done": report.submitted,
        "of unknown outcome": report.unresolved,
        "not submitted": report.pending,
    }
    yield from (f"{rows} {state}" for state, rows in missing.items() if rows)


def _headline(report: Report, skipped_files: SkippedFiles) -> str:
    if report.interrupted:
        return "Interrupted: "
    if not report.rows + report.invalid:
        return "Nothing to do: "  # an empty list is rarely what was meant
    return "All well: " if report.is_complete and not skipped_files.count else ""


def _uncertain_steps(report: Report, repeat: RepeatCommand) -> Iterator[str]:
    rows = report.uncertain
    yield (
        "Uncertain means: the outcome is unknown, because a job that is not in the ledger was created at the time of "
        "the submission, and may belong to the row. To "
        f"resubmit these rows ({format_count(rows, 'job')}, {format_cost(rows, report.price)}, possibly billed twice): "
        f"{repeat('--on-unknown', 'resubmit')}"
    )
    if rows == 1:  # with several rows, it is unknown which job belongs to which row
        yield (
            "Or, if no other program and no other list uses the key, to adopt that job: "
            f"{repeat('--on-unknown', 'adopt')}"
        )
