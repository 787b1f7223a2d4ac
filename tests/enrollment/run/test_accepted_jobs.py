"""A job that the API does not know for a while."""

import pytest

from pyannote_voiceprint_async import JobExpiredError, JobTimeoutError
from pyannote_voiceprint_async.enrollment.run.accepted_jobs import wait_for_accepted_job
from pyannote_voiceprint_async.enrollment.run.timeline import Timeline


class Ledger:
    """A ledger whose job was accepted some seconds ago."""

    def __init__(self, accepted_at):
        self._accepted_at = accepted_at

    async def accepted_at(self, job_id):
        assert job_id == "job-1"
        return self._accepted_at


async def wait(world, *, age, unknown_for, deadline=float("inf")):
    """Wait for a job that the API does not know for some seconds; return the result and how long it took."""
    clock, engine = world.clock, world.client.engine
    started, known_at = clock.time(), clock.time() + unknown_for

    async def read():
        if clock.time() < known_at:
            raise JobExpiredError("The API knows no such job.", job_id="job-1")
        return "done"

    ledger = Ledger(None if age is None else clock.wall() - age)
    timeline = Timeline(clock, engine.server_time)
    async with clock.running(world.client):
        try:
            return await wait_for_accepted_job(
                world.client, ledger, timeline, read, deadline=deadline
            ), clock.time() - started
        except (JobExpiredError, JobTimeoutError) as error:
            return type(error), clock.time() - started


@pytest.mark.parametrize(
    ("age", "unknown_for", "expected"),
    [
        (10.0, 0.0, ("done", 0.0)),
        (10.0, 90.0, ("done", 120.0)),
        (10.0, 1e9, (JobTimeoutError, 3600.0)),
        (25 * 3600.0, 90.0, (JobExpiredError, 0.0)),
        (None, 90.0, (JobExpiredError, 0.0)),
    ],
)
async def test_a_job_of_today_is_polled_again_for_an_hour(world, age, unknown_for, expected):
    assert await wait(world, age=age, unknown_for=unknown_for) == expected


async def test_the_deadline_ends_the_wait(world):
    assert await wait(world, age=10.0, unknown_for=1e9, deadline=world.clock.time() + 90.0) == (JobTimeoutError, 90.0)
