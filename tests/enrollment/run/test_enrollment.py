"""A run as its user sees it: iterating, stopping, leaving, closing, and the report."""

import asyncio
from pathlib import Path

import pytest
from enrollment_world import people

from pyannote_voiceprint_async import (
    AsyncVoiceprintClient,
    ClientClosedError,
    ConfigurationError,
    EnrollmentError,
    LedgerInUseError,
    RetryPolicy,
)
from pyannote_voiceprint_async.enrollment import (
    Finished,
    Ledger,
    RowSubmitted,
    enroll,
)


async def test_a_stopped_run_leaves_its_jobs_to_the_next_run(make_world):
    world = await make_world(job_seconds=60.0)
    async with world.clock.running(world.client), enroll(world.client, people(10), world.path) as run:
        async for event in run:
            if isinstance(event, RowSubmitted):
                run.stop()
            world.events.append(event)
    assert run.report.interrupted
    accepted = len(world.sandbox.accepted)
    assert run.report.submitted == accepted >= 1
    report = await world.enroll(people(10))
    assert (report.succeeded, len(world.sandbox.accepted)) == (10, 10)


async def test_leaving_the_loop_stops_the_run(make_world):
    world = await make_world(job_seconds=60.0)
    async with world.clock.running(world.client), enroll(world.client, people(10), world.path) as run:
        async for event in run:
            if isinstance(event, RowSubmitted):
                break
    assert world.states().keys() == {row.label for row in people(10)}
    assert set(world.states().values()) <= {"pending", "submitted"}
    assert (await world.enroll(people(10))).succeeded == 10


async def test_a_cancelled_consumer_leaves_no_task_and_no_unknown_outcome(make_world):
    world = await make_world(job_seconds=60.0)

    async def consume():
        async with enroll(world.client, people(10), world.path) as run:
            async for _ in run:
                pass

    async with world.clock.running(world.client):
        consumer = asyncio.create_task(consume())
        while not world.sandbox.accepted:
            await asyncio.sleep(0.001)
        consumer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await consumer
        ours = [task for task in asyncio.all_tasks() if "enrollment" in repr(task.get_coro())]
        assert ours == []
    assert "submitting" not in world.states().values()
    assert (await world.enroll(people(10))).succeeded == 10
    assert len(world.sandbox.accepted) == 10


async def test_reading_the_report_before_the_end_raises(world):
    async with world.clock.running(world.client), enroll(world.client, people(1), world.path) as run:
        with pytest.raises(EnrollmentError, match="There is no report yet"):
            run.report  # noqa: B018 - reading it raises
        async for _ in run:
            pass
    assert run.report.succeeded == 1


async def test_a_ledger_that_is_open_elsewhere_is_refused(world):
    async with Ledger(world.path):
        with pytest.raises(LedgerInUseError, match="Another run has this ledger"):
            await world.enroll()
    assert (await world.enroll()).succeeded == 5


async def test_an_opened_ledger_stays_open(world):
    async with Ledger(world.path) as ledger:
        await world.enroll(ledger=ledger)
        assert ledger.is_open
        assert (await world.enroll(ledger=ledger)).succeeded == 5


async def test_a_client_with_replay_unknown_is_refused(make_world):
    """The ledger could not count what may be billed twice."""
    world = await make_world(client={"retry": RetryPolicy(replay_unknown=True)})
    with pytest.raises(ConfigurationError, match="on_unknown='resubmit'"):
        await world.enroll()


@pytest.mark.parametrize("rows", ["speakers.csv", b"speakers.csv", Path("speakers.csv")])
def test_a_path_instead_of_rows_is_a_type_error(rows):
    with pytest.raises(TypeError, match="Manifest"):
        enroll(None, rows, "x.ledger")


@pytest.mark.parametrize("options", [{"on_unknown": "guess"}, {"max_jobs": -1}, {"max_jobs": True}, {"model": " "}])
async def test_invalid_options_are_refused_at_once(world, options):
    with pytest.raises(ConfigurationError):
        await world.enroll(**options)


async def test_closing_the_client_ends_the_run_and_the_next_run_continues(make_world, start):
    world = await make_world(job_seconds=60.0)
    with pytest.raises(ClientClosedError):
        async with world.clock.running(world.client), enroll(world.client, people(10), world.path) as run:
            async for event in run:
                if isinstance(event, RowSubmitted):
                    await world.client.aclose()
    assert set(world.states().values()) <= {"pending", "submitted"}
    world.client = await start(
        AsyncVoiceprintClient(world.sandbox.api_key, base_url=world.sandbox.url, clock=world.clock)
    )
    assert (await world.enroll(people(10))).succeeded == 10
    assert len(world.sandbox.accepted) == 10


async def wait_until_no_more_jobs_are_accepted(world):
    """Wait until some jobs were accepted and no more follow."""
    accepted, polls = 0, 0
    while not accepted or polls < 100:
        await asyncio.sleep(0.001)
        polls = polls + 1 if accepted == len(world.sandbox.accepted) else 0
        accepted = len(world.sandbox.accepted)


async def test_unread_events_hold_up_the_run_and_leaving_ends_it(world):
    async with world.clock.running(world.client), enroll(world.client, people(3000), world.path) as run:
        await anext(run)
        await wait_until_no_more_jobs_are_accepted(world)
        assert len(world.sandbox.accepted) < 3000
    assert "submitting" not in world.states().values()


async def test_a_run_with_unread_events_can_be_stopped(world):
    async with world.clock.running(world.client), enroll(world.client, people(3000), world.path) as run:
        await anext(run)
        await wait_until_no_more_jobs_are_accepted(world)
        run.stop()
        kinds = [type(event).__name__ async for event in run]
    assert kinds[-1] == "Finished"
    assert run.report.interrupted


async def test_iterating_over_a_finished_run_again_yields_nothing(world):
    async with world.clock.running(world.client), enroll(world.client, people(2), world.path) as run:
        assert isinstance([event async for event in run][-1], Finished)
        assert [event async for event in run] == []
    assert [event async for event in run] == []
    assert len(world.sandbox.accepted) == 2


async def test_a_run_that_was_never_iterated_does_nothing(world):
    async with enroll(world.client, people(2), world.path):
        pass
    assert not world.path.exists()
    assert world.sandbox.state.total.requests == 0
