"""An API or a machine that misleads a run: no job is paid twice uncounted, lost, or recorded under a wrong label."""

import asyncio
import json
import os

import pytest
from aiohttp import web
from enrollment_world import people, url

from pyannote_voiceprint_async import EnrollmentError, LedgerInUseError, ManifestError
from pyannote_voiceprint_async.enrollment import Ledger, Manifest, Paused, Row, enroll
from pyannote_voiceprint_async.enrollment.ledger.store import LedgerStore
from pyannote_voiceprint_async.sandbox import voiceprint_of


def intercept(world, *, before=None, after=None):
    """Respond instead of the sandbox if `before` returns a response, or change its responses by `after`."""

    async def handle(request, forward):
        if before is not None and (response := before(request)) is not None:
            return response
        response = await forward(request)
        return response if after is None else after(request, response)

    world.intercept(handle)


def without(name):
    """Return a function that removes a field from each job of a page."""
    return lambda page: {**page, "items": [{k: v for k, v in item.items() if k != name} for item in page["items"]]}


LISTS = {
    "as it is": lambda page: page,
    "nothing": lambda page: {},
    "null": lambda page: {"items": None},
    "empty": lambda page: {"items": [], "nextCursor": None},
    "by another name": lambda page: {"data": page["items"]},
    "without ids": without("id"),
    "with ids by another name": lambda page: {"items": [{**item, "jobId": item.pop("id")} for item in page["items"]]},
    "without status": without("status"),
    "without times": without("createdAt"),
    "without our last jobs": lambda page: {"items": page["items"][3:]},
    "the same cursor for ever": lambda page: {"items": [], "nextCursor": "same"},
}


@pytest.mark.parametrize("change", LISTS.values(), ids=LISTS)
async def test_a_misleading_list_of_jobs_never_proves_that_a_submission_was_not_accepted(world, change):
    def after(request, response):
        if request.path != "/v2/jobs":
            return response
        return world.json_response(change(json.loads(bytes(response.body))))

    intercept(world, after=after)
    world.sandbox.fail_next(["drop-after-accept"], operation="voiceprint")
    report = await world.enroll(people(3))
    assert (report.succeeded, report.uncertain, len(world.sandbox.accepted)) == (2, 1, 3)


@pytest.mark.parametrize("skew", [0.0, 600.0, -600.0])
async def test_a_submission_is_held_if_the_server_sends_no_date(world, skew):
    def after(_request, response):
        response.headers["Date"] = "garbage"
        return response

    intercept(world, after=after)
    real = world.clock.wall
    world.clock.wall = lambda: real() + skew
    world.sandbox.fail_next(["drop-after-accept"], operation="voiceprint")
    report = await world.enroll(people(3))
    assert (report.uncertain, len(world.sandbox.accepted)) == (1, 3)


@pytest.mark.parametrize("step", [-86400.0, 86400.0])
async def test_a_clock_that_is_set_by_a_day_does_not_delay_the_run(world, step):
    real, offset = world.clock.wall, 0.0
    world.clock.wall = lambda: real() + offset
    world.sandbox.fail_next(["server-error"], operation="voiceprint")
    async with world.clock.running(world.client), enroll(world.client, people(3), world.path) as run:
        async for event in run:
            if isinstance(event, Paused):
                offset = step
    assert (run.report.succeeded, len(world.sandbox.accepted)) == (3, 3)
    assert world.clock.time() < 3600


async def test_a_process_that_is_suspended_between_intent_and_first_byte_holds_the_row(world, monkeypatch):
    real, sleeps = LedgerStore.record_intent, [600.0]

    async def intend(self, *arguments):
        await real(self, *arguments)
        if sleeps:
            world.clock.jump(world.clock.time() + sleeps.pop())

    monkeypatch.setattr(LedgerStore, "record_intent", intend)
    world.sandbox.fail_next(["drop-after-accept"], operation="voiceprint")
    report = await world.enroll(people(1))
    assert (report.uncertain, len(world.sandbox.accepted)) == (1, 1)


async def test_a_run_stops_if_the_api_accepts_jobs_and_never_responds(make_world):
    world = await make_world(client={"max_concurrency": 1})
    world.sandbox.fail_next(["drop-after-accept"] * 500, operation="voiceprint")
    with pytest.raises(EnrollmentError, match="responses do not arrive") as caught:
        await world.enroll(people(150))
    assert caught.value.outcome_unknown
    assert len(world.sandbox.accepted) <= 10


@pytest.mark.parametrize("fault", ["drop-after-accept", "server-error", "truncated-json"])
@pytest.mark.parametrize("policy", ["hold", "resubmit", "adopt"])
async def test_max_jobs_counts_submissions_that_may_have_been_accepted(world, policy, fault):
    world.sandbox.fail_next([fault] * 2, operation="voiceprint")
    await world.enroll(people(10), max_jobs=3, on_unknown=policy)
    assert len(world.sandbox.accepted) <= 3


async def test_jobs_survive_a_gateway_that_responds_404_for_ten_minutes(make_world):
    world = await make_world(job_seconds=30.0)
    began = []

    def before(request):
        if request.path.startswith("/v1/jobs/") or request.path == "/v2/jobs":
            began.append(world.clock.time())
            if 2 < world.clock.time() - began[0] < 600:
                return web.Response(status=404, text="<html>404")
        return None

    intercept(world, before=before)
    report = await world.enroll(people(10))
    assert (report.succeeded, report.expired, len(world.sandbox.accepted)) == (10, 0, 10)


async def test_a_run_can_be_stopped_while_every_submission_is_refused(make_world):
    world = await make_world(client={"max_concurrency": 4})
    posts = []

    def before(request):
        if request.path == "/v1/voiceprint":
            posts.append(1)
            return world.json_response({"message": "no route"}, 404) if len(posts) > 5 else None
        return None

    intercept(world, before=before)
    async with world.clock.running(world.client), enroll(world.client, people(20), world.path) as run:
        async for event in run:
            if isinstance(event, Paused):
                run.stop()
    assert run.report.interrupted
    assert len(posts) < 30
    assert set(world.states().values()) <= {"pending", "submitted", "succeeded"}


async def test_two_runs_of_one_program_may_not_share_a_ledger(world):
    async with Ledger(world.path) as ledger, world.clock.running(world.client):
        async with enroll(world.client, people(30), ledger) as first:
            await anext(first)
            with pytest.raises(LedgerInUseError, match="Another run of this program"):
                await anext(enroll(world.client, people(30), ledger))
            assert [event async for event in first][-1].report.succeeded == 30
        assert (await world.enroll(people(30), ledger=ledger)).jobs == 0
    assert len(world.sandbox.accepted) == 30


async def test_a_label_that_was_corrected_before_its_submission_gets_no_voiceprint(world):
    await world.enroll([Row("Alice", url(1)), Row("Carl", url(3))], max_jobs=0)
    await world.enroll([Row("Bob", url(1)), Row("Carl", url(3))])
    assert world.voiceprints() == {"Bob": voiceprint_of(url(1)), "Carl": voiceprint_of(url(3))}


async def test_a_row_with_another_recording_than_before_is_counted_as_replaced(world):
    await world.enroll([Row("Ada", url(1))])
    report = await world.enroll([Row("Ada", url(2))])
    assert (report.replaced, world.voiceprints()["Ada"]) == (1, voiceprint_of(url(2)))


async def test_a_file_that_was_replaced_with_the_same_size_and_time_is_another_recording(world, tmp_path):
    """`cp -p`, `tar` and `rsync -t` keep the modification time of the original."""
    path = tmp_path / "a.wav"

    def put(data):
        (tmp_path / "new").write_bytes(data)
        os.utime(tmp_path / "new", (1e9, 1e9))
        (tmp_path / "new").replace(path)

    await asyncio.to_thread(put, b"RIFF" + bytes(100))
    await world.enroll([Row("Ann", path)], preflight=False)
    await asyncio.to_thread(put, b"RIFF" + bytes(99) + b"x")
    report = await world.enroll([Row("Ann", path)], preflight=False)
    assert report.replaced + report.jobs >= 1
    assert world.ask("SELECT count(*) FROM recordings") == [(2,)]


async def test_a_list_that_is_overwritten_while_it_is_read_is_refused(tmp_path):
    def read():
        path = tmp_path / "speakers.csv"
        path.write_text("label,source\n" + "".join(f"p{n:05},https://e.com/{n:05}.wav\n" for n in range(9000)))
        rows = iter(Manifest(path))
        next(rows)
        with path.open("r+") as file:
            file.write("label,source\nnew,https://e.com/new.wav\n")
        return list(rows)

    with pytest.raises(ManifestError, match="changed while it was read"):
        await asyncio.to_thread(read)
