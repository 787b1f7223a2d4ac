"""Durations of requests and jobs, and the rate of a run."""

import pytest

from pyannote_voiceprint_async.enrollment.run.pace import Pace


@pytest.fixture
def pace(clock):
    return Pace(clock.time)


def test_a_new_run_has_no_rate_and_no_durations(pace):
    assert pace.rows_per_minute is None
    assert (pace.request_seconds, pace.job_seconds(1), pace.since_last_acceptance) == (0.0, 0.0, 0.0)
    assert pace.returning_permits(60.0) == []


def test_permits_return_one_window_after_their_responses(pace, clock):
    pace.record_acceptance(0.5)
    pace.record_acceptance(1.5)
    clock.jump(20.0)
    pace.record_acceptance(1.0)
    assert pace.returning_permits(60.0) == [(40.0, 2), (60.0, 1)]
    assert (pace.request_seconds, pace.since_last_acceptance) == (1.0, 0.0)
    clock.jump(60.0)
    assert pace.returning_permits(60.0) == [(20.0, 1)]
    assert pace.since_last_acceptance == 40.0


def test_before_the_first_result_a_job_takes_as_long_as_the_oldest_is_waited_for(pace, clock):
    pace.record_acceptance(0.0)
    clock.jump(30.0)
    pace.record_acceptance(0.0)
    clock.jump(90.0)
    assert pace.job_seconds(2) == 90.0


def test_the_slowest_of_many_jobs_is_slower_than_one(pace, clock):
    clock.jump(100.0)
    for seconds in range(1, 101):
        pace.record_job(100.0 - seconds)
    assert (pace.job_seconds(1), pace.job_seconds(3), pace.job_seconds(1000)) == (50.0, 75.0, 100.0)


def test_a_duration_reported_by_the_api_counts_because_a_poll_may_see_the_end_late(pace, clock):
    clock.jump(10.0)
    pace.record_job(0.0, 7.0)
    assert pace.job_seconds(1) == 7.0
    pace.record_job(4.0, 99.0)
    assert pace.job_seconds(1) == 6.0


def test_the_rate_is_that_of_the_last_five_minutes(pace, clock):
    for minute in range(20):
        clock.jump(minute * 60.0)
        pace.record_finished(10 if minute < 10 else 100)
    assert pace.rows_per_minute == 100.0
    clock.jump(19 * 60.0 + 150.0)
    assert pace.rows_per_minute == 60.0
    clock.jump(3600.0)
    assert pace.rows_per_minute == 0.0
