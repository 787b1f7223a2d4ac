"""Used permits that return at known times."""

from pyannote_voiceprint_async.ratelimit.returning_permits import ReturningPermits


def test_permits_within_one_step_return_together_with_the_last_of_them():
    returning = ReturningPermits(step=1.0)
    returning.add(10.0, 2)
    returning.add(10.5, 1)
    assert list(returning.first(3)) == [(11.0, 3)]
    returning.remove_returned(10.9)
    assert returning.count == 3
    returning.remove_returned(11.0)
    assert returning.count == 0


def test_first_yields_no_more_permits_than_requested():
    returning = ReturningPermits(step=1.0)
    returning.add(10.0, 2)
    returning.add(20.0, 2)
    assert list(returning.first(3)) == [(11.0, 2), (21.0, 1)]
    assert list(returning.first(0)) == []
