"""Waits for jobs whose results have expired."""

from enrollment_world import people

from pyannote_voiceprint_async.enrollment import (
    RowExpired,
    RowSubmitted,
    enroll,
)


async def test_no_row_is_done_and_awaited_at_once(make_world):
    """The reader of the events is slow, so the tasks that report the results wait for it."""
    world = await make_world(job_seconds=1.0)
    counts = []
    async with world.clock.running(world.client), enroll(world.client, people(60), world.path) as run:
        async for _ in run:
            progress = run.progress
            counts.append(progress.succeeded + progress.queued + progress.in_flight + progress.awaiting_result)
    assert (max(counts), run.report.succeeded) == (60, 60)


async def test_an_expired_result_is_paid_again_only_with_retry_expired(make_world):
    world = await make_world(job_seconds=3600.0, output_seconds=60)
    async with world.clock.running(world.client), enroll(world.client, people(1), world.path) as run:
        async for event in run:
            if isinstance(event, RowSubmitted):
                run.stop()
    await world.clock.advance(2 * 24 * 3600)
    report = await world.enroll(people(1))
    assert (report.expired, report.jobs, len(world.of(RowExpired))) == (1, 0, 1)
    assert (await world.enroll(people(1))).jobs == 0
    report = await world.enroll(people(1), retry_expired=True)
    assert (report.succeeded, report.jobs) == (1, 1)
