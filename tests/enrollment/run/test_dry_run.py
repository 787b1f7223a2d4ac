"""A dry run predicts what a run would do, and changes nothing."""

from asyncio import to_thread
from datetime import UTC, datetime

import pytest
from enrollment_world import people, url

from pyannote_voiceprint_async import LedgerError, LedgerOriginError, ManifestError, RateLimit
from pyannote_voiceprint_async.enrollment import Problem, Row
from pyannote_voiceprint_async.enrollment.ledger.snapshot import copy_ledger
from pyannote_voiceprint_async.enrollment.options import Options
from pyannote_voiceprint_async.enrollment.run.dry_run import DryRun, dry_run
from pyannote_voiceprint_async.sandbox import voiceprint_of

_LIMIT = RateLimit(100, per=60.0)


async def predict(world, rows, limit=_LIMIT, **options) -> DryRun:
    """Return the dry run of a list on the ledger of `world`."""
    return await dry_run(world.client, rows, world.path, Options(**options), limit)


async def test_every_row_of_a_new_list_would_be_submitted(world, speech, tmp_path):
    found = await predict(world, [*people(3), Row("June", speech / "june-fr.wav")])
    assert found == DryRun(rows=4, jobs=4, uploads=1)
    assert found.euros == pytest.approx(0.06)
    assert list(tmp_path.iterdir()) == []
    assert world.sandbox.state.total.requests == 0


async def test_rows_of_earlier_runs_are_counted_by_their_state(world):
    await world.enroll(people(6))
    for number, state in enumerate(("submitted", "submitting", "uncertain", "failed", "expired"), 1):
        world.ask("UPDATE recordings SET state = ?, intended_from = 1, intended_until = 1 WHERE id = ?", state, number)
    found = await predict(world, people(8))
    assert found == DryRun(rows=8, succeeded=1, submitted=1, unresolved=2, failed=1, expired=1, jobs=2)
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
    assert await predict(world, [Row("Ada", known.format(2))]) == DryRun(rows=1, succeeded=1)
    for run in (predict, type(world).enroll):
        with pytest.raises(ManifestError, match="only in its query"):
            await run(world, [Row("Bea", unknown.format(2))])
    found = await predict(world, [Row("Bea", unknown.format(2))], replace=True)
    assert found == DryRun(rows=1, jobs=1, replaced=1)
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


@pytest.mark.parametrize(
    ("many", "limit", "seconds"),
    [
        (0, _LIMIT, 0),
        (1, _LIMIT, 0),
        (100, _LIMIT, 0),
        (101, _LIMIT, 60),
        (250, _LIMIT, 120),
        (10, RateLimit(1, per=2.0), 18),
    ],
)
async def test_seconds_is_the_least_time_that_the_rate_limit_allows(world, many, limit, seconds):
    assert (await predict(world, people(many), limit)).seconds == seconds


async def test_recordings_beyond_max_jobs_are_counted_as_left(world):
    found = await predict(world, people(250), max_jobs=120)
    assert (found.jobs, found.left, found.seconds) == (120, 130, 60)


async def test_presigned_urls_that_expire_before_their_turn_are_counted(world):
    """All URLs are valid for 90 seconds, and the third rate-limit window begins after 120."""
    signed = datetime.fromtimestamp(world.clock.wall(), UTC).strftime("%Y%m%dT%H%M%SZ")
    query = f"X-Amz-Date={signed}&X-Amz-Expires=90&X-Amz-Signature=s"
    rows = [Row(f"person {n}", f"{url(n)}?{query}") for n in range(250)]
    assert (await predict(world, rows)).expiring == 50


async def test_an_invalid_list_or_ledger_is_refused_as_by_a_run(world):
    await world.enroll(people(1))
    with pytest.raises(ManifestError, match="2 things are wrong"):
        await predict(world, [Row("a", "s3://b"), Row("", url(1))])
    with pytest.raises(LedgerOriginError):
        await predict(world, people(1), origin="sandbox")
    world.path.write_bytes(b"no ledger at all")
    with pytest.raises(LedgerError, match="is not a ledger"):
        await predict(world, people(1))
