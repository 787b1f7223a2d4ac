"""Rows that are refused, keys that are revoked, and ways to the API that are blocked."""

import asyncio

import pytest
from aiohttp import web
from enrollment_world import people, url

from pyannote_voiceprint_async import (
    ApiConnectionError,
    ApiStatusError,
    AuthenticationError,
    ConfigurationError,
    NotFoundError,
    PermissionDeniedError,
    SubscriptionRequiredError,
    UnexpectedResponseError,
)
from pyannote_voiceprint_async.enrollment import Paused, Resumed, Row, RowFailed, Stopping
from pyannote_voiceprint_async.sandbox.clock import http_date

REFUSALS = [302, 307, 404, 405, 409, 410, 413, 414, 415, 431, 451]
BAD = "https://example.com/bad"


def bad(many=1):
    return [Row(f"bad {number}", f"{BAD}/{number}.wav") for number in range(many)]


def refuse(world, status, *, when=lambda request: BAD in request["body"], html=False):
    """Answer some submissions with a status, as a proxy does; count them."""
    server = world.sandbox._runner.server
    real, refused = server.request_handler, []

    async def handle(request):
        if request.path == "/v1/voiceprint" and when({"body": (await request.read()).decode()}):
            refused.append(world.clock.time())
            body = "<html>Blocked</html>" if html else '{"message": "refused by a proxy"}'
            return web.Response(status=status, text=body, headers={"Date": http_date(world.clock.wall())})
        return await real(request)

    server.request_handler = handle
    return refused


@pytest.mark.parametrize("status", REFUSALS)
@pytest.mark.parametrize("place", [0, 10, 20])
async def test_a_refused_row_fails_with_its_reason_and_all_others_pass(world, status, place):
    refused = refuse(world, status)
    rows = people(20)
    report = await world.enroll([*rows[:place], *bad(), *rows[place:]])
    assert (report.succeeded, report.failed, report.pending) == (20, 1, 0)
    (failed,) = world.of(RowFailed)
    assert (failed.label, str(status) in failed.error) == ("bad 0", True)
    assert len(refused) == 3
    assert world.clock.time() < 60.0


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("html", [False, True])
async def test_a_row_that_is_refused_like_a_key_says_nothing_about_the_key(world, status, html):
    refuse(world, status, html=html)
    report = await world.enroll([*bad(), *people(20)])
    assert (report.succeeded, report.failed, report.stopped_by) == (20, 1, None)


@pytest.mark.parametrize("many", [2, 4, 7, 30])
@pytest.mark.parametrize("is_last", [False, True])
async def test_many_refused_rows_fail_while_others_pass(world, many, is_last):
    refused = refuse(world, 413)
    rows = people(40)
    mixed = [*rows, *bad(many)] if is_last else [row for pair in zip(rows, bad(many), strict=False) for row in pair]
    report = await world.enroll(mixed)
    assert (report.failed, report.pending) == (many, 0)
    assert report.succeeded == report.rows - many
    assert len(refused) <= 4 * many + 10
    assert world.clock.time() < 7200.0


async def test_the_last_row_of_a_list_is_refused_in_a_later_run(world):
    refuse(world, 413)
    await world.enroll(people(5))
    report = await world.enroll([*people(5), *bad()])
    assert (report.succeeded, report.failed) == (5, 1)


@pytest.mark.parametrize("status", [302, 404, 405, 413])
@pytest.mark.parametrize("many", [1, 3, 30])
async def test_where_all_rows_are_refused_the_run_stops_and_names_it(world, status, many):
    """A wrong base URL must not fail a list."""
    refused = refuse(world, status, when=lambda _request: True)
    with pytest.raises((ApiStatusError, UnexpectedResponseError), match="Check the base URL") as caught:
        await world.enroll(people(many))
    assert caught.value.status == status
    assert str(status) in str(caught.value)
    assert set(world.states().values()) == {"pending"}
    assert len(refused) <= many + 80
    assert world.clock.time() < 60.0


async def test_a_key_without_the_right_to_submit_stops_the_run(world):
    """The API's check of a key does not show that right."""
    refuse(world, 403, when=lambda _request: True)
    with pytest.raises(PermissionDeniedError, match="the permissions of the key"):
        await world.enroll(people(30))
    assert set(world.states().values()) == {"pending"}


async def test_refusals_in_the_middle_of_a_run_pause_it_and_fail_none(make_world):
    world = await make_world(client={"max_concurrency": 2})
    refused = refuse(world, 404, when=lambda _request: len(world.sandbox.accepted) >= 10 and world.clock.time() < 900.0)
    report = await world.enroll(people(200))
    assert (report.succeeded, report.failed) == (200, 0)
    assert any("404" in paused.reason for paused in world.of(Paused))
    assert world.of(Resumed)
    assert len(refused) < 300


async def test_refusals_in_the_middle_of_a_run_that_never_end_stop_it(make_world):
    world = await make_world(client={"max_concurrency": 2})
    refuse(world, 404, when=lambda _request: len(world.sandbox.accepted) >= 10)
    with pytest.raises(NotFoundError, match="none has been accepted since"):
        await world.enroll(people(200))
    assert set(world.states().values()) == {"pending", "succeeded"}
    assert world.clock.time() < 2 * 3600.0


# A key that is revoked


@pytest.mark.parametrize("status", [401, 403])
async def test_a_revoked_key_ends_all_waits_at_once_and_keeps_the_jobs(make_world, status):
    world = await make_world(job_seconds=600.0)
    server = world.sandbox._runner.server
    real, refused = server.request_handler, []

    async def handle(request):
        if is_mended or len(world.sandbox.accepted) < 300:
            return await real(request)
        refused.append(world.clock.time())
        return web.json_response({"message": "no"}, status=status)

    server.request_handler, is_mended = handle, False
    with pytest.raises((AuthenticationError, PermissionDeniedError)):
        await world.enroll(people(300))
    assert len(refused) <= 50
    assert set(world.states().values()) == {"submitted"}
    assert [str(status) in stopping.reason for stopping in world.of(Stopping)] == [True]
    assert world.clock.time() - refused[0] < 10.0
    is_mended = True
    assert (await world.enroll(people(300))).succeeded == 300
    assert len(world.sandbox.accepted) == 300


async def test_a_key_that_is_revoked_while_rows_are_sent_ends_all_waits_at_once(make_world):
    world = await make_world(job_seconds=600.0, rate_limit=(20, 60.0), window="sliding")
    server = world.sandbox._runner.server
    real, refused = server.request_handler, []

    async def handle(request):
        if len(world.sandbox.accepted) < 20:
            return await real(request)
        refused.append(request.path)
        return web.json_response({"message": "no"}, status=401)

    server.request_handler = handle
    with pytest.raises(AuthenticationError):
        await world.enroll(people(100))
    assert len(refused) <= 50
    assert set(world.states().values()) == {"pending", "submitted"}


async def test_without_credit_what_is_paid_is_read_and_the_reason_comes_first(make_world):
    world = await make_world(credit=3, job_seconds=300.0)
    with pytest.raises(SubscriptionRequiredError):
        await world.enroll(people(10))
    assert sorted(world.states().values()) == ["pending"] * 7 + ["succeeded"] * 3
    kinds = [type(event).__name__ for event in world.events]
    assert kinds.index("Stopping") < kinds.index("RowSucceeded")


# A way to the API that is blocked until somebody changes this machine


def block(world, monkeypatch, error, *, after):
    real, begun, done = world.client.engine.submit, 0, asyncio.Semaphore(0)

    async def submit(*arguments, **options):
        nonlocal begun
        begun += 1
        if begun <= after or world.clock.time() > 900.0:
            job = await real(*arguments, **options)
            done.release()
            return job
        if after:
            async with done:
                pass
        raise error

    monkeypatch.setattr(world.client.engine, "submit", submit)


BLOCKED = ApiConnectionError("The proxy wants a password: see HTTPS_PROXY.")


async def test_a_blocked_way_stops_a_run_that_had_nothing_accepted(world, monkeypatch):
    block(world, monkeypatch, BLOCKED, after=0)
    with pytest.raises(ApiConnectionError, match="HTTPS_PROXY"):
        await world.enroll()
    assert set(world.states().values()) == {"pending"}
    assert world.clock.time() < 10.0


async def test_a_blocked_way_pauses_a_run_that_had_jobs_accepted_and_says_why(make_world, monkeypatch):
    world = await make_world(client={"max_concurrency": 1})
    block(world, monkeypatch, BLOCKED, after=3)
    report = await world.enroll(people(10))
    assert (report.succeeded, report.failed) == (10, 0)
    assert any("HTTPS_PROXY" in paused.reason for paused in world.of(Paused))


async def test_a_configuration_that_cannot_work_stops_a_run(make_world, monkeypatch):
    world = await make_world(client={"max_concurrency": 1})
    block(world, monkeypatch, ConfigurationError("The session is closed."), after=3)
    with pytest.raises(ConfigurationError):
        await world.enroll(people(10))
    assert set(world.states().values()) <= {"pending", "submitted", "succeeded"}


async def test_a_blocked_way_stops_a_run_before_the_key_is_checked(world, monkeypatch):
    async def check_key():
        raise BLOCKED

    monkeypatch.setattr(world.client, "check_key", check_key)
    with pytest.raises(ApiConnectionError, match="HTTPS_PROXY"):
        await world.enroll()
    assert world.sandbox.accepted == []


async def test_a_run_can_be_stopped_while_a_refused_row_is_held_back(make_world):
    world = await make_world(client={"max_concurrency": 1})
    refuse(world, 413)
    report = await asyncio.wait_for(world.enroll([*bad(), *people(3)], max_jobs=3), 60.0)
    assert report.failed + report.succeeded + report.pending == 4
    assert [job.url for job in world.sandbox.accepted] == [url(number) for number in range(len(world.sandbox.accepted))]
