import pytest

from pyannote_voiceprint_async.sandbox.clock import anchored_clock, isoformat


@pytest.mark.parametrize(
    ("moment", "written"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_800_000_000.0, "2027-01-15T08:00:00.000Z"),
        (1_800_000_000.25, "2027-01-15T08:00:00.250Z"),
    ],
)
def test_times_have_milliseconds_and_a_z(moment, written):
    assert isoformat(moment) == written


def test_the_default_clock_does_not_follow_the_wall_clock(monkeypatch):
    now = anchored_clock()
    before = now()
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert now() >= before
