"""Jobs on a terminal: a table that fits its width, and a job without the value of its voiceprint."""

import time
from datetime import UTC, datetime

import pytest

from pyannote_voiceprint_async.cli.job_text import JobTable, job_lines
from pyannote_voiceprint_async.models import Job, JobStatus, JobSummary, VoiceprintOutput

_ID = "0192f3a4-1b2c-7d3e-8f40-5a6b7c8d9e0f"
_TIME = datetime(2026, 11, 30, 3, 43, 2, tzinfo=UTC)


@pytest.fixture(autouse=True)
def local_time(monkeypatch):
    monkeypatch.setenv("TZ", "UTC-1")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def summary(**fields):
    return JobSummary(_ID, JobStatus.SUCCEEDED, _TIME, **fields)


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (60, ["CREATED      STATUS     JOB ID", f"11-30 04:43  succeeded  {_ID}"]),
        (
            80,
            [
                "CREATED           STATUS     KIND        JOB ID",
                f"2026-11-30 04:43  succeeded  voiceprint  {_ID}",
            ],
        ),
        (
            200,
            [
                "CREATED           STATUS     KIND        MODEL        JOB ID",
                f"2026-11-30 04:43  succeeded  voiceprint  precision-2  {_ID}",
            ],
        ),
    ],
)
def test_the_columns_of_a_table_fit_the_terminal(width, expected):
    lines = list(JobTable().lines(summary(type="voiceprint", model="precision-2"), width))
    assert lines == expected
    assert all(len(line) <= width for line in lines)


def test_the_titles_are_printed_once():
    table = JobTable()
    assert table.is_empty
    assert [len(list(table.lines(summary(), 80))) for _ in range(3)] == [2, 1, 1]
    assert not table.is_empty


def test_a_job_says_where_its_voiceprint_is_and_does_not_show_it():
    job = Job(_ID, JobStatus.SUCCEEDED, _TIME, output=VoiceprintOutput(voiceprint="c2VjcmV0" * 400))
    command = f"pyannote-voiceprint job {_ID} --out FILE.jsonl"
    assert list(job_lines(job, 200)) == [
        f"Job         {_ID}",
        "Status      succeeded",
        "Created     2026-11-30 04:43:02",
        "Voiceprint  3,200 characters, not shown on a terminal. To save them in a private file: " + command,
    ]


def test_a_failed_job_has_its_reason():
    job = Job(_ID, JobStatus.FAILED, output=VoiceprintOutput(error="Could not load audio \x1b[2J"))
    assert list(job_lines(job, 60)) == [
        f"Job     {_ID}",
        "Status  failed",
        "Error   Could not load audio \\u001b[2J",
    ]
