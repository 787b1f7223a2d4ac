"""Clocks that are apart: `Date`, `createdAt` and this machine's, fixed, cached or without a zone.

A submission whose response was lost is never paid twice silently, and never gets the voice of another job.
"""

import json
from datetime import datetime, timedelta

import pytest
from aiohttp import web
from enrollment_world import people, url
from fake_clock import START

from pyannote_voiceprint_async import AsyncVoiceprintClient
from pyannote_voiceprint_async.enrollment import Row
from pyannote_voiceprint_async.sandbox import voiceprint_of
from pyannote_voiceprint_async.sandbox.clock import http_date

SKEWS = [-3600.0, -120.0, -30.0, -3.0, 3.0, 30.0, 120.0, 3600.0]


def shifted(seconds):
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


def apart(world, *, created=CREATED["as it is"], date=DATES["as it is"]):
    """Let the API's times be written by other clocks than the sandbox's."""
    server = world.sandbox._runner.server
    real = server.request_handler

    def dated(body):
        if isinstance(body, dict):
            return {
                name: created(datetime.fromisoformat(value)) if name.endswith("At") and value else dated(value)
                for name, value in body.items()
            }
        return [dated(one) for one in body] if isinstance(body, list) else body

    async def handle(request):
        answer = await real(request)
        now = date(world.clock.wall(), request.path)
        headers = {"Date": "unknown" if now is None else http_date(now)}
        if request.path.startswith(("/v1/jobs", "/v2/jobs")):
            return web.Response(body=json.dumps(dated(json.loads(bytes(answer.body)))).encode(), headers=headers)
        answer.headers.update(headers)
        return answer

    server.request_handler = handle


def assert_not_paid_twice(world, report, rows):
    """Each row has one job, and its own voice, or is held as unknown."""
    accepted = [job.url for job in world.sandbox.accepted]
    assert len(accepted) == len(set(accepted))
    assert report.succeeded + report.uncertain == report.rows
    expected = {row.label: voiceprint_of(row.source) for row in rows}
    assert {label: value for label, value in world.voiceprints().items() if value} == {
        label: value for label, value in expected.items() if world.states()[label] == "succeeded"
    }


@pytest.mark.parametrize("skew", SKEWS)
@pytest.mark.parametrize("policy", ["hold", "adopt"])
async def test_a_job_whose_response_was_lost_is_found_whatever_the_skew_of_its_clock(world, skew, policy):
    apart(world, created=shifted(skew))
    world.sandbox.fail_next(["drop-after-accept"], operation="voiceprint")
    report = await world.enroll(on_unknown=policy)
    assert_not_paid_twice(world, report, people(5))
    assert report.uncertain == (policy == "hold")


@pytest.mark.parametrize("created", CREATED.values(), ids=CREATED)
@pytest.mark.parametrize("date", DATES.values(), ids=DATES)
async def test_no_pair_of_clocks_pays_a_lost_response_twice(world, created, date):
    apart(world, created=created, date=date)
    world.sandbox.fail_next(["drop-after-accept"], operation="voiceprint")
    report = await world.enroll()
    assert_not_paid_twice(world, report, people(5))
    assert report.uncertain == 1
    again = await world.enroll()
    assert (again.uncertain, again.jobs) == (1, 0)
    assert world.clock.time() < 1000.0


@pytest.mark.parametrize("created", CREATED.values(), ids=CREATED)
@pytest.mark.parametrize("date", DATES.values(), ids=DATES)
async def test_the_only_row_is_held_where_no_job_of_ours_shows_the_difference(world, created, date):
    apart(world, created=created, date=date)
    world.sandbox.fail_next(["drop-after-accept"], operation="voiceprint")
    report = await world.enroll(people(1))
    assert_not_paid_twice(world, report, people(1))
    assert report.uncertain == 1
    report = await world.enroll(people(5))
    assert_not_paid_twice(world, report, people(5))
    assert (report.succeeded, report.uncertain) == (4, 1)


@pytest.mark.parametrize("created", CREATED.values(), ids=CREATED)
@pytest.mark.parametrize("date", DATES.values(), ids=DATES)
async def test_what_was_never_accepted_is_sent_again_for_free(world, created, date):
    """However far the clocks are apart, as long as nobody else uses the key."""
    apart(world, created=created, date=date)
    world.sandbox.fail_next(["server-error"], operation="voiceprint")
    report = await world.enroll()
    assert (report.succeeded, report.uncertain, len(world.sandbox.accepted)) == (5, 0, 5)


@pytest.mark.parametrize("ours", [-3600.0, -30.0, 30.0, 3600.0])
@pytest.mark.parametrize("date", DATES.values(), ids=DATES)
async def test_a_machine_whose_clock_is_wrong_pays_nothing_twice(world, ours, date):
    real = world.clock.wall
    apart(world, date=lambda _now, path: date(real(), path))
    world.clock.wall = lambda: real() + ours
    world.sandbox.fail_next(["drop-after-accept"], operation="voiceprint")
    assert_not_paid_twice(world, await world.enroll(), people(5))


@pytest.mark.parametrize("skew", [-600.0, 600.0])
async def test_a_job_of_another_list_is_not_adopted_because_of_the_skew(world, start, skew):
    """It was made long before the submission, but by the API's clock at about its time."""
    apart(world, created=shifted(skew))
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
    server = world.sandbox._runner.server
    real = server.request_handler

    async def handle(request):
        answer = await real(request)
        if request.path != "/v2/jobs":
            return answer
        page = json.loads(bytes(answer.body))
        foreign = {job.id for job in world.sandbox.accepted if job.url == url(99)}
        page["items"] = [item | (change if item["id"] in foreign else {}) for item in page["items"]]
        return web.Response(body=json.dumps(page).encode(), headers={"Date": http_date(world.clock.wall())})

    server.request_handler = handle
    other = await start(AsyncVoiceprintClient(world.sandbox.api_key, base_url=world.sandbox.url, clock=world.clock))
    await other.submit(url(99))
    world.sandbox.fail_next(["server-error"], operation="voiceprint")
    report = await world.enroll(on_unknown="hold")
    assert report.uncertain == is_held
    assert report.unknown_jobs == is_held


async def test_a_list_dated_in_one_zone_and_read_in_another_finds_the_job_of_a_killed_run(world):
    """The first run ends before anything is known; the second one has only the ledger."""
    apart(world, created=CREATED["without its zone, east"])
    await world.enroll(people(2))
    world.sandbox.fail_next(["drop-after-accept"], operation="voiceprint")
    rows = [*people(2), Row("lost", url(7))]
    report = await world.enroll(rows)
    assert (report.uncertain, len(world.sandbox.accepted)) == (1, 3)
    world.ask("UPDATE recordings SET state = 'submitting' WHERE state = 'uncertain'")
    report = await world.enroll(rows, on_unknown="adopt")
    assert (report.succeeded, len(world.sandbox.accepted)) == (3, 3)
    assert world.voiceprints()["lost"] == voiceprint_of(url(7))
