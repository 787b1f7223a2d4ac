"""Clocks that differ: `Date`, `createdAt` and this machine's clock; skewed, cached, or without a zone.

A submission whose response was lost is never billed twice unreported, and never gets the voiceprint of another job.
"""

import json
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from enrollment_world import expected_voiceprints, people, url
from fake_clock import START

from pyannote_voiceprint_async import AsyncVoiceprintClient
from pyannote_voiceprint_async.enrollment import Row
from pyannote_voiceprint_async.sandbox import voiceprint_of
from pyannote_voiceprint_async.sandbox.clock import http_date

SKEWS = [-3600.0, -120.0, -30.0, -3.0, 3.0, 30.0, 120.0, 3600.0]


def shifted(seconds):
    """Return a function that formats a time, shifted by some seconds."""
    return lambda at: (at + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


CREATED = {
    "as it is": shifted(0.0),
    "an hour behind": shifted(-3600.0),
    "half an hour ahead": shifted(1800.0),
    "without its zone, east": lambda at: (at + timedelta(hours=5.5)).replace(tzinfo=None).isoformat(),
    "without its zone, west": lambda at: (at - timedelta(hours=8)).replace(tzinfo=None).isoformat(),
}
DATES = {
    "as it is": lambda now, _path: now,
    "an hour behind": lambda now, _path: now - 3600.0,
    "half an hour ahead": lambda now, _path: now + 1800.0,
    "standing still": lambda _now, _path: START,
    "standing still, an hour ago": lambda _now, _path: START - 3600.0,
    "cached where it is a GET": lambda now, path: now if path == "/v1/voiceprint" else START - 1800.0,
    "missing": lambda _now, _path: None,
}


def skew_clocks(world, *, created=CREATED["as it is"], date=DATES["as it is"]):
    """Replace the times in the sandbox's jobs and its `Date` headers by those of other clocks."""

    def with_other_times(body):
        if isinstance(body, dict):
            return {
                name: created(datetime.fromisoformat(value))
                if name.endswith("At") and value
                else with_other_times(value)
                for name, value in body.items()
            }
        return [with_other_times(item) for item in body] if isinstance(body, list) else body

    async def handle(request, forward):
        response = await forward(request)
        now = date(world.clock.wall(), request.path)
        headers = {"Date": "unknown" if now is None else http_date(now)}
        if request.path.startswith(("/v1/jobs", "/v2/jobs")):
            body = with_other_times(json.loads(bytes(response.body)))
            return web.Response(body=json.dumps(body).encode(), headers=headers)
        response.headers.update(headers)
        return response

    world.intercept(handle)


def assert_not_paid_twice(world, report, rows):
    """Check that each row has one job and its own voiceprint, or is uncertain."""
    accepted = [job.url for job in world.sandbox.accepted]
    assert len(accepted) == len(set(accepted))
    assert report.succeeded + report.uncertain == report.rows
    expected = expected_voiceprints(rows)
    assert {label: value for label, value in world.voiceprints().items() if value} == {
        label: value for label, value in expected.items() if world.states()[label] == "succeeded"
    }


@pytest.mark.parametrize("skew", SKEWS)
@pytest.mark.parametrize("policy", ["hold", "adopt"])
async def test_the_job_of_a_lost_response_is_found_whatever_the_skew(world, skew, policy):
    skew_clocks(world, created=shifted(skew))
    world.sandbox.fail_next(["drop-after-accept"], operation="voiceprint")
    report = await world.enroll(on_unknown=policy)
    assert_not_paid_twice(world, report, people(5))
    assert report.uncertain == (policy == "hold")


@pytest.mark.parametrize("created", CREATED.values(), ids=CREATED)
@pytest.mark.parametrize("date", DATES.values(), ids=DATES)
async def test_a_lost_response_is_not_billed_twice_for_any_pair_of_clocks(world, created, date):
    skew_clocks(world, created=created, date=date)
    world.sandbox.fail_next(["drop-after-accept"], operation="voiceprint")
    report = await world.enroll()
    assert_not_paid_twice(world, report, people(5))
    assert report.uncertain == 1
    again = await world.enroll()
    assert (again.uncertain, again.jobs) == (1, 0)
    assert world.clock.time() < 1000.0


@pytest.mark.parametrize("created", CREATED.values(), ids=CREATED)
@pytest.mark.parametrize("date", DATES.values(), ids=DATES)
async def test_the_only_row_is_held_because_no_own_job_shows_the_clock_offset(world, created, date):
    skew_clocks(world, created=created, date=date)
    world.sandbox.fail_next(["drop-after-accept"], operation="voiceprint")
    report = await world.enroll(people(1))
    assert_not_paid_twice(world, report, people(1))
    assert report.uncertain == 1
    report = await world.enroll(people(5))
    assert_not_paid_twice(world, report, people(5))
    assert (report.succeeded, report.uncertain) == (4, 1)


@pytest.mark.parametrize("created", CREATED.values(), ids=CREATED)
@pytest.mark.parametrize("date", DATES.values(), ids=DATES)
async def test_a_submission_that_was_not_accepted_is_sent_again(world, created, date):
    """Whatever the clocks, as long as no other program uses the key."""
    skew_clocks(world, created=created, date=date)
    world.sandbox.fail_next(["server-error"], operation="voiceprint")
    report = await world.enroll()
    assert (report.succeeded, report.uncertain, len(world.sandbox.accepted)) == (5, 0, 5)


@pytest.mark.parametrize("ours", [-3600.0, -30.0, 30.0, 3600.0])
@pytest.mark.parametrize("date", DATES.values(), ids=DATES)
async def test_a_wrong_local_clock_does_not_bill_a_row_twice(world, ours, date):
    real = world.clock.wall
    skew_clocks(world, date=lambda _now, path: date(real(), path))
    world.clock.wall = lambda: real() + ours
    world.sandbox.fail_next(["drop-after-accept"], operation="voiceprint")
    assert_not_paid_twice(world, await world.enroll(), people(5))


@pytest.mark.parametrize("skew", [-60.0, -30.0, 120.0, 500.0])
@pytest.mark.parametrize("policy", ["hold", "adopt"])
async def test_a_lost_job_dated_by_another_clock_than_all_other_jobs_is_not_paid_twice(world, skew, policy):
    """The API's clock was set after the job was created, or another application server created it."""

    async def handle(request, forward):
        response = await forward(request)
        if request.path != "/v2/jobs":
            return response
        page = json.loads(bytes(response.body))
        for item in page["items"]:
            if item["id"] == world.sandbox.accepted[0].id:
                item["createdAt"] = shifted(skew)(datetime.fromisoformat(item["createdAt"]))
        page["items"].sort(key=lambda item: item["createdAt"], reverse=True)
        return world.json_response(page)

    world.intercept(handle)
    world.sandbox.fail_next(["drop-after-accept"], operation="voiceprint")
    report = await world.enroll(on_unknown=policy)
    assert_not_paid_twice(world, report, people(5))
    assert len(world.sandbox.accepted) == 5
    assert report.unknown_jobs == report.uncertain == 1 or (policy, report.succeeded) == ("adopt", 5)


async def test_the_list_is_read_back_to_a_lost_job_that_is_dated_early(world):
    """The jobs of other programs that are listed before it do not end the list."""

    async def handle(request, forward):
        response = await forward(request)
        if request.path != "/v2/jobs":
            return response
        if "cursor" in request.query:
            at = shifted(-500.0)(lost_at)
            lost = world.sandbox.accepted[0].id
            return world.json_response({"items": [{"id": lost, "status": "succeeded", "createdAt": at}]})
        items = json.loads(bytes(response.body))["items"]
        items = [item for item in items if item["id"] != world.sandbox.accepted[0].id]
        at = shifted(-300.0)(lost_at)
        items += [{"id": f"{n}", "status": "succeeded", "type": "diarize", "createdAt": at} for n in range(300)]
        return world.json_response({"items": items, "nextCursor": "2"})

    world.sandbox.fail_next(["drop-after-accept"], operation="voiceprint")
    lost_at = datetime.fromtimestamp(world.clock.wall(), UTC)
    world.intercept(handle)
    report = await world.enroll()
    assert_not_paid_twice(world, report, people(5))
    assert (report.uncertain, len(world.sandbox.accepted)) == (1, 5)


@pytest.mark.parametrize("skew", [-600.0, 600.0])
async def test_a_job_of_another_program_is_not_adopted_because_of_the_skew(world, start, skew):
    """The job was created long before the submission, but by the API's clock at about the same time."""
    skew_clocks(world, created=shifted(skew))
    other = await start(AsyncVoiceprintClient(world.sandbox.api_key, base_url=world.sandbox.url, clock=world.clock))
    await other.submit(url(99))
    await world.clock.advance(600.0)
    world.sandbox.fail_next(["server-error"], operation="voiceprint")
    report = await world.enroll(on_unknown="adopt")
    assert_not_paid_twice(world, report, people(5))
    assert voiceprint_of(url(99)) not in world.voiceprints().values()


@pytest.mark.parametrize(
    ("change", "is_held"),
    [({}, True), ({"type": "diarize"}, False), ({"model": "precision-3"}, False), ({"type": "voiceprint"}, True)],
    ids=["the same kind", "another type", "another model", "its own type"],
)
async def test_jobs_of_another_type_or_model_hold_no_row(world, start, change, is_held):
    async def handle(request, forward):
        response = await forward(request)
        if request.path != "/v2/jobs":
            return response
        page = json.loads(bytes(response.body))
        foreign = {job.id for job in world.sandbox.accepted if job.url == url(99)}
        page["items"] = [item | (change if item["id"] in foreign else {}) for item in page["items"]]
        return world.json_response(page)

    world.intercept(handle)
    other = await start(AsyncVoiceprintClient(world.sandbox.api_key, base_url=world.sandbox.url, clock=world.clock))
    await other.submit(url(99))
    world.sandbox.fail_next(["server-error"], operation="voiceprint")
    report = await world.enroll(on_unknown="hold")
    assert report.uncertain == is_held
    assert report.unknown_jobs == is_held


async def test_a_list_without_time_zone_shows_the_job_of_a_killed_run(world):
    """The first run ends before the outcome is resolved, so the second run has only the ledger."""
    skew_clocks(world, created=CREATED["without its zone, east"])
    await world.enroll(people(2))
    world.sandbox.fail_next(["drop-after-accept"], operation="voiceprint")
    rows = [*people(2), Row("lost", url(7))]
    report = await world.enroll(rows)
    assert (report.uncertain, len(world.sandbox.accepted)) == (1, 3)
    world.ask("UPDATE recordings SET state = 'submitting' WHERE state = 'uncertain'")
    report = await world.enroll(rows, on_unknown="adopt")
    assert (report.succeeded, len(world.sandbox.accepted)) == (3, 3)
    assert world.voiceprints()["lost"] == voiceprint_of(url(7))
