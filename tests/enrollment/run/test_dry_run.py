"""A dry run predicts what a run would do, and changes nothing."""

import asyncio
from asyncio import to_thread

import pytest
from enrollment_world import people, url

from pyannote_voiceprint_async import LedgerError, LedgerOriginError, ManifestError, RateLimit, RateLimits
from pyannote_voiceprint_async.enrollment import Problem, Row, RunPlan
from pyannote_voiceprint_async.enrollment.ledger.snapshot import copy_ledger
from pyannote_voiceprint_async.enrollment.options import Options
from pyannote_voiceprint_async.enrollment.run.dry_run import DryRun
from pyannote_voiceprint_async.sandbox import voiceprint_of


async def predict(world, rows, **options) -> RunPlan:
    """Return the plan of a list on the ledger of `world`."""
    return await DryRun(world.client, rows, world.path, Options(**options)).run()


async def test_every_row_of_a_new_list_would_be_submitted(world, speech, tmp_path):
    found = await predict(world, [*people(3), Row("June", speech / "june-fr.wav")])
    assert found == RunPlan(rows=4, jobs=4, new_jobs=4, uploads=1)
    assert found.cost == pytest.approx(0.06)
    assert list(tmp_path.iterdir()) == []
    assert world.sandbox.state.total.requests == 0


async def test_rows_of_earlier_runs_are_counted_by_their_state(world):
    await world.enroll(people(6))
    for number, state in enumerate(("submitted", "submitting", "uncertain", "failed", "expired"), 1):
        world.ask("UPDATE recordings SET state = ?, intended_from = 1, intended_until = 1 WHERE id = ?", state, number)
    found = await predict(world, people(8))
    assert (found.rows, found.succeeded, found.submitted, found.unresolved) == (8, 1, 1, 2)
    assert (found.failed, found.expired, found.jobs, found.possible_jobs) == (1, 1, 2, 2)
    assert (await predict(world, people(8), retry_failed="", retry_expired=True)).jobs == 4


async def test_the_ledger_is_not_changed_and_no_request_is_sent(world):
    await world.enroll(people(3))
    before = world.path.read_bytes()
    requests = world.sandbox.state.total.requests
    await predict(world, [Row("person 0", url(7))], retry_failed="")
    assert world.path.read_bytes() == before
    assert world.states().keys() == {"person 0", "person 1", "person 2"}
    assert world.sandbox.state.total.requests == requests


async def test_a_dry_run_predicts_the_counts_of_the_run(world):
    rows = [*people(4), Row("Ada", url(1)), Problem("nonsense", line=9)]
    found = await predict(world, rows, allow_shared_audio=True, skip_invalid=True)
    report = await world.enroll(rows, allow_shared_audio=True, skip_invalid=True)
    assert (found.rows, found.jobs, found.invalid) == (report.rows, report.jobs, report.invalid) == (5, 4, 1)
    assert found.problems == (Problem("nonsense", line=9),)
    assert not found.is_complete


async def test_urls_that_were_signed_anew_are_judged_as_by_a_run(world):
    """Known signers cost nothing; unknown ones are refused, unless `replace` allows to pay again."""
    known = "https://p.supabase.co/storage/v1/object/sign/a.wav?token={}"
    unknown = "https://example.com/a.wav?ticket={}"
    await world.enroll([Row("Ada", known.format(1)), Row("Bea", unknown.format(1))])
    assert await predict(world, [Row("Ada", known.format(2))]) == RunPlan(rows=1, succeeded=1)
    for run in (predict, type(world).enroll):
        with pytest.raises(ManifestError, match="only in its query"):
            await run(world, [Row("Bea", unknown.format(2))])
    found = await predict(world, [Row("Bea", unknown.format(2))], replace=True)
    assert (found.rows, found.jobs, found.replaced) == (1, 1, 1)
    report = await world.enroll([Row("Bea", unknown.format(2))], replace=True)
    assert (report.jobs, report.replaced) == (1, 1)


async def test_is_complete_predicts_whether_each_row_would_have_its_voiceprint(world):
    assert (await predict(world, people(2))).is_complete
    assert not (await predict(world, people(2), max_jobs=1)).is_complete
    await world.enroll(people(2))
    world.ask("UPDATE recordings SET state = 'failed' WHERE id = 1")
    assert not (await predict(world, people(2))).is_complete
    assert (await predict(world, people(2), retry_failed="")).is_complete


async def test_no_voiceprint_is_copied(world, tmp_path):
    await world.enroll(people(2))
    await to_thread(copy_ledger, world.path, tmp_path / "copy.ledger")
    copied = b"".join(path.read_bytes() for path in tmp_path.glob("copy.ledger*"))
    assert b"person 1" in copied
    assert voiceprint_of(url(1)).encode() not in copied


async def test_the_estimate_follows_the_rate_limit_and_max_jobs(make_world):
    world = await make_world(client={"rate_limits": RateLimits(submissions=RateLimit(50, per=60.0))})
    assert (await predict(world, people(101))).seconds == 120
    found = await predict(world, people(101), max_jobs=70)
    assert (found.jobs, found.left, found.seconds, found.limit) == (70, 31, 60, RateLimit(50, per=60.0))


async def test_a_ceiling_above_the_documented_limit_does_not_shorten_the_estimate(make_world):
    world = await make_world(client={"rate_limits": RateLimits(submissions=RateLimit(10_000, per=60.0))})
    assert (await predict(world, people(101))).seconds == 60


async def test_progress_is_known_while_the_list_is_read(world):
    read, go_on = asyncio.Event(), asyncio.Event()

    async def rows():
        for row in people(600):
            yield row
        read.set()
        await go_on.wait()

    dry = DryRun(world.client, rows(), world.path, Options())
    assert dry.progress.read == 0
    running = asyncio.create_task(dry.run())
    await read.wait()
    assert dry.progress.read == 500
    go_on.set()
    assert (await running).rows == 600


async def test_an_invalid_list_or_ledger_is_refused_as_by_a_run(world):
    await world.enroll(people(1))
    with pytest.raises(ManifestError, match="2 things are wrong"):
        await predict(world, [Row("a", "s3://b"), Row("", url(1))])
    with pytest.raises(LedgerOriginError):
        await predict(world, people(1), origin="sandbox")
    world.path.write_bytes(b"no ledger at all")
    with pytest.raises(LedgerError, match="is not a ledger"):
        await predict(world, people(1))
