"""The URLs that are submitted: presigned ones, those of uploads, and what `resolve` returns."""

import asyncio

import pytest
from enrollment_world import people, url

from pyannote_voiceprint_async.enrollment import (
    Finished,
    Paused,
    Row,
    RowFailed,
    RunPlanned,
    enroll,
)


async def test_resolve_may_be_a_sync_function(world):
    report = await world.enroll([Row("a", "s3://b/1")], resolve=lambda _row: url(1))
    assert report.succeeded == 1


async def test_an_upload_is_used_again_for_20_hours(world, speech):
    world.sandbox.fail_next("server-error", operation="voiceprint")
    await world.enroll([Row("June", speech / "june-fr.wav")], max_jobs=1)
    uploads = world.sandbox.state.operations["media"].requests
    world.ask("UPDATE recordings SET state = 'pending'")
    await world.enroll([Row("June", speech / "june-fr.wav")])
    assert world.sandbox.state.operations["media"].requests == uploads
    world.ask("UPDATE recordings SET state = 'pending'")
    await world.clock.advance(20 * 3600 + 1)
    await world.enroll([Row("June", speech / "june-fr.wav")])
    assert world.sandbox.state.operations["media"].requests == uploads + 1


async def test_a_file_that_changes_during_the_run_fails_its_row(world, speech, tmp_path):
    """The new file may be the voice of another person."""
    path = tmp_path / "a.wav"
    path.write_bytes((speech / "june-fr.wav").read_bytes())

    # The run pauses between reading the list and sending anything.
    world.sandbox.fail_next(["server-error"] * 5, operation="test")
    rows = [Row("first", url(1)), Row("June", path)]
    async with world.clock.running(world.client), enroll(world.client, rows, world.path) as run:
        events = []
        async for event in run:
            events.append(event)
            if isinstance(event, Paused):
                await asyncio.to_thread(path.write_bytes, (speech / "carlo-it.wav").read_bytes())
    assert [event.label for event in events if isinstance(event, RowFailed)] == ["June"]
    assert len(world.sandbox.accepted) == 1


async def test_an_expired_url_fails_its_row_and_a_fresh_one_is_submitted_by_the_next_run(world):
    old = f"{url(1)}?X-Amz-Date=20260101T000000Z&X-Amz-Expires=60&X-Amz-Signature=old"
    report = await world.enroll([Row("a", old), Row("b", url(2))])
    assert (report.failed, report.succeeded, len(world.sandbox.accepted)) == (1, 1, 1)
    assert "expired before the row was submitted. Nothing was sent." in next(iter(report.failures))
    fresh = f"{url(1)}?X-Amz-Date=20270115T080000Z&X-Amz-Expires=604800&X-Amz-Signature=new"
    report = await world.enroll([Row("a", fresh), Row("b", url(2))])
    assert (report.succeeded, report.jobs, len(world.sandbox.accepted)) == (2, 1, 2)


async def test_a_url_that_expires_in_the_wait_queue_is_not_submitted(make_world):
    """The expiry is checked again just before the request is sent."""
    world = await make_world(window="sliding", rate_limit=(1, 60.0), job_seconds=0.0)
    dies = f"{url(1)}?X-Amz-Date=20270115T080000Z&X-Amz-Expires=30&X-Amz-Signature=x"
    report = await world.enroll([Row("first", url(0)), Row("dies", dies)])
    assert (report.succeeded, report.failed) == (1, 1)
    assert [job.url for job in world.sandbox.accepted] == [url(0)]


async def test_resolve_gets_the_row_just_before_its_submission(world):
    resolved = []

    async def resolve(row):
        resolved.append(row)
        if row.label == "bad":
            raise KeyError(row.label)
        return f"https://bucket.example.com/{row.source.removeprefix('s3://b/')}?X-Amz-Signature=secret"

    rows = [Row("a", "s3://b/1.wav", extra={"team": "red"}), Row("bad", "s3://b/2.wav")]
    report = await world.enroll(rows, resolve=resolve)
    assert (report.succeeded, report.failed) == (1, 1)
    assert (resolved[0].source, resolved[0].extra) == ("s3://b/1.wav", {"team": "red"})
    assert world.of(RowFailed)[0].error == "resolve() failed for this row (KeyError)."


@pytest.mark.parametrize("returned", [None, 7, b"https://example.com", "", "ftp://example.com/a.wav", "https://a b"])
async def test_a_resolve_that_returns_no_url_fails_only_its_row(world, returned):
    async def resolve(row):
        return returned if row.label == "bad" else row.source

    report = await world.enroll([Row("bad", "s3://b/1"), Row("good", url(1))], resolve=resolve)
    assert (report.failed, report.succeeded, len(world.sandbox.accepted)) == (1, 1, 1)


async def test_a_resolve_that_raises_cancelled_error_fails_only_its_row(world):
    async def resolve(row):
        if row.label == "bad":
            raise asyncio.CancelledError
        return row.source

    report = await world.enroll([Row("bad", "s3://b/1"), Row("good", url(1))], resolve=resolve)
    assert (report.failed, report.succeeded) == (1, 1)


async def test_a_run_can_be_stopped_while_resolve_hangs(world):
    hangs = asyncio.Event()

    async def resolve(_row):
        hangs.set()
        await asyncio.Event().wait()

    async with enroll(world.client, people(3), world.path, resolve=resolve) as run:
        assert isinstance(await anext(run), RunPlanned)
        taking = asyncio.create_task(anext(run))
        await hangs.wait()
        run.stop()
        assert isinstance(await taking, Finished)
    assert set(world.states().values()) == {"pending"}
