"""Spans of time that contain the time of every clock."""

import pytest
from fake_clock import START

from pyannote_voiceprint_async.enrollment.run.timeline import Timeline


@pytest.fixture
def server():
    return {"now": (START, START)}


@pytest.fixture
def timeline(clock, server):
    return Timeline(clock, lambda: server["now"])


@pytest.mark.parametrize("ahead", [-3600.0, -3.0, 0.0, 3.0, 3600.0])
def test_a_span_contains_the_local_and_the_server_time(timeline, clock, server, ahead):
    server["now"] = (START + ahead, START + ahead + 1.0)
    assert timeline.now() == (START + min(ahead, 0.0), START + max(ahead + 1.0, 0.0))


@pytest.mark.parametrize("step", [-600.0, 600.0])
def test_a_clock_that_is_set_widens_the_spans_for_an_hour(timeline, clock, server, step):
    real, offset = clock.wall, 0.0
    clock.wall = lambda: real() + offset
    timeline.now()
    offset = step
    clock.jump(100.0)
    server["now"] = (real(), real())
    assert timeline.now() == (real() + min(step, 0.0), real() + max(step, 0.0))
    clock.jump(3700.0)
    server["now"] = (real() + step, real() + step)
    timeline.now()
    clock.jump(3800.0)
    server["now"] = (real() + step, real() + step)
    assert timeline.now() == (real() + step, real() + step)


def test_a_cached_date_does_not_hold_back_the_lower_bound(timeline, clock, server):
    timeline.now()
    clock.jump(500.0)
    assert (timeline.now().earliest, timeline.at_least()) == (START, START + 500.0)


def test_a_suspended_machine_learns_the_time_from_the_server(timeline, clock, server):
    timeline.now()
    server["now"] = (START + 9000.0, START + 9001.0)
    assert timeline.at_least() == START + 9000.0
