"""When the next poll is due: a pure schedule, fed with the time."""

import pytest

from pyannote_voiceprint_async import Polling
from pyannote_voiceprint_async.jobs.poll_schedule import PollSchedule


@pytest.fixture
def schedule():
    return PollSchedule(Polling(first=1.0, longest=4.0))


def poll(schedule, now, *, pages=0, has_polled=True, first_polls=()):
    schedule.record_poll(now, pages=pages, has_polled=has_polled, first_polls=first_polls)
    return schedule.next_at


def test_no_poll_is_due_before_one_is_planned(schedule):
    assert schedule.next_at == float("inf")


def test_the_interval_grows_by_half_up_to_the_longest(schedule):
    assert [poll(schedule, 0.0) for _ in range(5)] == [1.5, 2.25, 3.375, 4.0, 4.0]


def test_the_interval_does_not_grow_when_no_job_was_polled(schedule):
    assert [poll(schedule, 0.0, has_polled=False) for _ in range(2)] == [1.0, 1.0]


def test_a_reset_starts_with_the_shortest_interval(schedule):
    poll(schedule, 0.0)
    schedule.reset_interval()
    assert schedule.interval == 1.0


def test_each_page_delays_the_next_poll(schedule):
    assert poll(schedule, 10.0, pages=1) == 12.0
    assert (schedule.poll_by(10.5), schedule.next_at) == (False, 12.0)


def test_many_pages_delay_the_next_poll_by_no_more_than_the_longest_interval(schedule):
    assert poll(schedule, 10.0, pages=50) == 14.0


def test_a_first_poll_does_not_wait_for_the_longer_interval(schedule):
    for _ in range(3):
        poll(schedule, 0.0)
    assert poll(schedule, 20.0, first_polls=[21.0, 22.0]) == 21.0


def test_a_poll_is_only_ever_moved_forward(schedule):
    assert [schedule.poll_by(time) for time in (5.0, 6.0, 4.0)] == [True, False, True]
    assert schedule.next_at == 4.0


def test_a_restart_keeps_the_rest_after_pages(schedule):
    poll(schedule, 10.0, pages=1)
    schedule.restart()
    assert (schedule.poll_by(10.5), schedule.next_at) == (True, 12.0)


@pytest.mark.parametrize(
    ("ended_at", "pages", "expected"),
    [(0.5, 0, 1.0), (1.0, 0, 1.0), (1.5, 0, 2.5), (2.6, 0, 4.75), (1.5, 1, 3.0), (100.0, 0, 100.125)],
)
def test_the_end_of_a_job_is_expected_to_be_seen_by_the_next_poll(schedule, ended_at, pages, expected):
    schedule.poll_by(1.0)
    assert schedule.expect_poll(ended_at, pages=pages) == expected
    assert schedule.next_at == 1.0


def test_the_end_of_a_job_that_was_polled_is_not_expected_later(schedule):
    schedule.poll_by(1.0)
    poll(schedule, 1.0)
    assert schedule.expect_poll(1.0, pages=0) == pytest.approx(1.0, abs=0.02)
    assert schedule.expect_poll(1.1, pages=0) == 2.5


def test_without_a_planned_poll_the_end_of_a_job_is_expected_to_be_seen_at_once(schedule):
    assert schedule.expect_poll(5.0, pages=0) == pytest.approx(5.0, abs=0.02)
