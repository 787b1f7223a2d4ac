"""The lines that follow a run: counts, prices, and the commands to run next."""

import pytest

from pyannote_voiceprint_async.cli.report_text import failure_reasons, job_counts, next_steps, row_counts, warning_lines
from pyannote_voiceprint_async.enrollment import Report
from pyannote_voiceprint_async.enrollment.manifest.skipped_files import SkippedFiles


def repeat(*arguments):
    return " ".join(["COMMAND", *arguments])


@pytest.mark.parametrize(
    ("report", "line"),
    [
        (Report(), "Nothing to do: 0 of 0 rows with a voiceprint."),
        (Report(rows=2, succeeded=2), "All well: 2 of 2 rows with a voiceprint."),
        (Report(rows=2, succeeded=1, failed=1), "1 of 2 rows with a voiceprint, 1 failed."),
        (Report(rows=2, succeeded=1, invalid=1), "1 of 3 rows with a voiceprint."),
        (
            Report(rows=3, unresolved=1, pending=2, interrupted=True),
            "Interrupted: 0 of 3 rows with a voiceprint, 1 of unknown outcome, 2 not submitted.",
        ),
    ],
)
def test_the_first_line_counts_the_rows_in_each_state(report, line):
    assert next(row_counts(report)) == line


def test_a_run_that_skipped_files_is_not_all_well():
    first, second = row_counts(Report(rows=1, succeeded=1), skipped_files=SkippedFiles(1, ["d/notes.txt"]))
    assert first == "1 of 1 row with a voiceprint."
    assert second == ("1 file was skipped: d/notes.txt (not named like a recording). To include it, pass its own name.")


def test_notes_about_the_list_are_printed_without_the_label_of_its_first_row():
    notes = ("2 files were skipped.", "Audio files are not checked.", "Not in the message.")
    message = "is quiet. Also: Audio files are not checked. Also: 2 files were skipped."
    assert list(warning_lines("Ada", message, notes)) == [*notes[:2], "Ada: is quiet"]
    assert list(warning_lines("Ada", notes[1], notes)) == [notes[1]]
    assert list(warning_lines("Ada", "is quiet. Also: is clipped", notes)) == ["Ada: is quiet. Also: is clipped"]


def test_jobs_that_may_be_billed_without_a_voiceprint_are_reported():
    report = Report(jobs=1, jobs_ever=3, possibly_paid_twice=2, unknown_jobs=1)
    first, *warnings = job_counts(report, "about 0.01 EUR")
    assert first == "Jobs accepted: 1 by this run (about 0.01 EUR), 3 by all runs."
    assert [warning.split(":")[0] for warning in warnings] == [
        "Resubmitted after an unknown outcome, and possibly billed twice",
        "Jobs that are not in the ledger, from the time of submissions without a response",
    ]


def test_failures_name_the_command_that_lists_the_rows(tmp_path):
    ledger = tmp_path / "my speakers.ledger"
    *_, last = failure_reasons(Report(failures={"The job failed.": 2}), ledger)
    assert last == f"To list these rows: pyannote-voiceprint ledger failed '{ledger}'"


@pytest.mark.parametrize(
    ("report", "commands"),
    [
        (Report(), []),
        (Report(pending=1), ["COMMAND"]),
        (Report(failed=1), ["COMMAND --retry-failed"]),
        (Report(uncertain=1), ["COMMAND --on-unknown resubmit", "COMMAND --on-unknown adopt"]),
        (Report(uncertain=2), ["COMMAND --on-unknown resubmit"]),
        (Report(expired=1), ["COMMAND --retry-expired"]),
        (Report(invalid=1), ["COMMAND"]),
    ],
)
def test_each_state_has_the_command_that_completes_it(report, commands):
    """A job can be adopted for one row only, because of several rows it is unknown which one the job belongs to."""
    assert [line.rpartition(": ")[2] for line in next_steps(report, repeat)] == commands
