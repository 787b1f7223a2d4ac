"""Counts, prices and durations as messages show them."""

import pytest

from pyannote_voiceprint_async.cli.formatting import format_audio, format_cost, format_count, format_duration


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (3599, "60 min"),
        (3600, "1 h 0 min"),
        (7500, "2 h 5 min"),
        (86400, "1 day 0 h"),
        (600_000, "6 days 23 h"),
    ],
)
def test_format_duration_uses_the_largest_units(seconds, expected):
    assert format_duration(seconds) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, "0 s"), (59, "59 s"), (60, "1 min"), (76, "1 min 16 s"), (7203, "2 h 3 s")]
)
def test_format_audio_is_exact(seconds, expected):
    assert format_audio(seconds) == expected


def test_format_count_and_format_cost():
    assert [format_count(number, "job") for number in range(3)] == ["0 jobs", "1 job", "2 jobs"]
    assert [format_cost(jobs) for jobs in (0, 1, 2, 3, 200)] == [
        "about 0.00 EUR",
        "about 0.015 EUR",
        "about 0.03 EUR",
        "about 0.045 EUR",
        "about 3.00 EUR",
    ]
