import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyannote_voiceprint_async.sandbox.clock import DateHeader, anchored_clock, http_date, isoformat


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_800_000_000.0, "2027-01-15T08:00:00.000Z"),
        (1_800_000_000.25, "2027-01-15T08:00:00.250Z"),
    ],
)
def test_api_times_have_milliseconds_and_a_z(moment, expected):
    assert isoformat(moment) == expected


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (0.0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (-0.5, "Wed, 31 Dec 1969 23:59:59 GMT"),
        (1_800_000_000.999, "Fri, 15 Jan 2027 08:00:00 GMT"),
    ],
)
def test_http_dates_are_rounded_down_to_whole_seconds(moment, expected):
    assert http_date(moment) == expected


@given(st.lists(st.floats(-1e9, 1e10)))
def test_a_date_header_always_has_the_current_time(moments):
    """The text that is kept for one second is never used for another, even if the clock steps back."""
    header = DateHeader(iter(moments).__next__)
    assert [str(header) for _ in moments] == [http_date(moment) for moment in moments]


def test_the_default_clock_does_not_follow_the_wall_clock(monkeypatch):
    now = anchored_clock()
    before = now()
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert now() >= before
