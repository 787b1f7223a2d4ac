"""The progress of a run as columns."""

import pytest

from pyannote_voiceprint_async.cli.run_columns import run_view
from pyannote_voiceprint_async.enrollment import Progress


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        (Progress(read=500), "Reading the list: 500 rows"),
        (Progress(read=500, checking="a.wav"), "Reading the list: 500 rows, checking a.wav"),
        (Progress(total=10), "0 of 10 done"),
        (Progress(total=10, succeeded=2, failed=1), "3 of 10 done, 1 failed"),
        (
            Progress(total=10, queued=4, in_flight=1, awaiting_result=3),
            "0 of 10 done, 4 queued, 1 in flight, 3 awaiting a result",
        ),
        (
            Progress(total=10, succeeded=5, rows_per_minute=2.0, seconds_left=150.0),
            "5 of 10 done, 2 a minute, 2 min left",
        ),
        (Progress(total=10, succeeded=10, rows_per_minute=2.0, seconds_left=0.0), "10 of 10 done, 2 a minute"),
        (Progress(total=10, paused_for="The API failed."), "0 of 10 done, paused: The API failed."),
        (
            Progress(total=10, paused_for="The API failed.", pause_seconds=42.4),
            "0 of 10 done, paused: The API failed. The next attempt is in 42 s.",
        ),
    ],
)
def test_the_view_shows_counts_rate_time_left_and_the_reason_of_a_pause(progress, expected):
    assert run_view(progress).text == expected


def test_a_search_of_directories_counts_files_until_the_first_row_is_read():
    assert run_view(Progress(), 120_000).text == "Searching the directories: 120000 files"
    assert run_view(Progress(read=500), 120_000).text == "Reading the list: 500 rows"


def test_the_fields_are_those_of_the_progress():
    fields = run_view(Progress(total=10, succeeded=2, failed=1, queued=4, seconds_left=12.345)).fields
    assert (fields["done"], fields["total"], fields["queued"], fields["seconds_left"]) == (3, 10, 4, 12.3)
    assert fields.keys() == {
        "done", "read", "checking", "total", "succeeded", "failed", "queued", "in_flight", "awaiting_result",
        "finished_now", "paused_for", "pause_seconds", "rows_per_minute", "seconds_left",
    }  # fmt: skip
