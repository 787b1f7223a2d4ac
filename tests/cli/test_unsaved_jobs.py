"""The lines about job ids that the ledger could not save."""

from pathlib import Path

from pyannote_voiceprint_async.cli.unsaved_jobs import unsaved_job_lines


def test_each_job_is_a_line_of_json_and_the_command_can_be_copied():
    records = [{"label": "Ada", "job_id": "job-1"}]
    first, how = unsaved_job_lines(records, Path("my names.ledger"))
    assert first == '{"label": "Ada", "job_id": "job-1"}'
    assert how.endswith("record each: pyannote-voiceprint ledger accept 'my names.ledger' LABEL JOB_ID")


def test_nothing_is_printed_without_unsaved_jobs():
    assert list(unsaved_job_lines([], Path("names.ledger"))) == []
