"""Refused rows, revoked keys, blocked networks and faults of the API: which fail a row, pause or stop the run."""

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
from pyannote_voiceprint_async.enrollment import Finished, Paused, Resumed, Row, RowFailed, Stopping
from pyannote_voiceprint_async.sandbox.clock import http_date

REFUSALS = [302, 307, 404, 405, 409, 410, 413, 414, 415, 431, 451]
BAD = "https://example.com/bad"


def bad(many=1):
    """Return rows that `refuse` refuses by default."""
    return [Row(f"bad {number}", f"{BAD}/{number}.wav") for number in range(many)]


def refuse(world, status, *, when=lambda body: BAD in body, html=False):
    """Respond to some submissions with a status, as a proxy does, and return the list of their times."""
    refused = []

    async def handle(request, forward):
        if request.path == "/v1/voiceprint" and when((await request.read()).decode()):
            refused.append(world.clock.time())
            body = "<html>Blocked</html>" if html else '{"message": "refused by a proxy"}'
            return web.Response(status=status, text=body, headers={"Date": http_date(world.clock.wall())})
        return await forward(request)

    world.intercept(handle)
    return refused


@pytest.mark.parametrize("status", REFUSALS)
@pytest.mark.parametrize("place", [0, 10, 20])
async def test_a_refused_row_fails_with_its_status_and_all_others_succeed(world, status, place):
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
async def test_a_401_or_403_for_one_row_does_not_stop_a_run_whose_key_works(world, status, html):
    refuse(world, status, html=html)
    report = await world.enroll([*bad(), *people(20)])
    assert (report.succeeded, report.failed, report.stopped_by) == (20, 1, None)


@pytest.mark.parametrize("many", [2, 4, 7, 30])
@pytest.mark.parametrize("is_last", [False, True])
async def test_many_refused_rows_fail_while_others_are_accepted(world, many, is_last):
    refused = refuse(world, 413)
    rows = people(40)
    mixed = [*rows, *bad(many)] if is_last else [row for pair in zip(rows, bad(many), strict=False) for row in pair]
    report = await world.enroll(mixed)
    assert (report.failed, report.pending) == (many, 0)
    assert report.succeeded == report.rows - many
    assert len(refused) <= 4 * many + 10
    assert world.clock.time() < 7200.0


async def test_the_only_new_row_of_a_later_run_fails_if_it_is_refused(world):
    refuse(world, 413)
    await world.enroll(people(5))
    report = await world.enroll([*people(5), *bad()])
    assert (report.succeeded, report.failed) == (5, 1)


@pytest.mark.parametrize("status", [302, 404, 405, 413])
@pytest.mark.parametrize("many", [1, 3, 30])
async def test_a_run_whose_rows_are_all_refused_stops_with_the_status(world, status, many):
    """A wrong base URL must not fail a whole list."""
    refused = refuse(world, status, when=lambda _body: True)
    with pytest.raises((ApiStatusError, UnexpectedResponseError), match="Check the base URL") as caught:
        await world.enroll(people(many))
    assert caught.value.status == status
    assert str(status) in str(caught.value)
    assert set(world.states().values()) == {"pending"}
    assert len(refused) <= many + 80
    assert world.clock.time() < 60.0


async def test_a_key_without_the_permission_to_submit_stops_the_run(world):
    """The API's check of the key succeeds even without this permission."""
    refuse(world, 403, when=lambda _body: True)
    with pytest.raises(PermissionDeniedError, match="the permissions of the key"):
        await world.enroll(people(30))
    assert set(world.states().values()) == {"pending"}


async def test_temporary_refusals_during_a_run_pause_it_and_fail_no_row(make_world):
    world = await make_world(client={"max_concurrency": 2})
    refused = refuse(world, 404, when=lambda _body: len(world.sandbox.accepted) >= 10 and world.clock.time() < 900.0)
    report = await world.enroll(people(200))
    assert (report.succeeded, report.failed) == (200, 0)
    assert any("404" in paused.reason for paused in world.of(Paused))
    assert world.of(Resumed)
    assert len(refused) < 300


async def test_lasting_refusals_of_a_long_list_stop_the_run_after_an_hour(make_world):
    world = await make_world(client={"max_concurrency": 2})
    refuse(world, 404, when=lambda _body: len(world.sandbox.accepted) >= 10)
    with pytest.raises(NotFoundError, match="none has been accepted since"):
        await world.enroll(people(500))
    assert set(world.states().values()) == {"pending", "succeeded"}
    assert 3600.0 < world.clock.time() < 2 * 3600.0


async def test_a_run_that_had_jobs_accepted_fails_all_rows_left_if_each_was_refused(make_world):
    """The run never stops for the refusals of its last rows, and names each of them."""
    world = await make_world(client={"max_concurrency": 2})
    refused = refuse(world, 404, when=lambda _body: len(world.sandbox.accepted) >= 10)
    report = await world.enroll(people(100))
    assert (report.succeeded, report.failed, report.stopped_by) == (10, 90, None)
    assert len(refused) < 100
    assert {"404" in failed.error for failed in world.of(RowFailed)} == {True}


def statuses_of_bad_rows(world, statuses):
    """Respond to each bad row with a status of its own, always the same, and return the list of refused bodies."""
    refused = []

    async def handle(request, forward):
        body = (await request.read()).decode() if request.path == "/v1/voiceprint" else ""
        if BAD not in body:
            return await forward(request)
        refused.append(body)
        number = int(body.partition(f"{BAD}/")[2].partition(".wav")[0])
        return world.json_response({"message": "no"}, statuses[number % len(statuses)])

    world.intercept(handle)
    return refused


@pytest.mark.parametrize("statuses", [[413], [404, 413], [409, 413, 302, 410, 451], REFUSALS], ids=len)
@pytest.mark.parametrize("many", [1, 4, 5, 6, 20, 60])
async def test_refused_rows_at_the_end_of_a_list_fail_by_name_within_minutes(world, statuses, many):
    refused = statuses_of_bad_rows(world, statuses)
    report = await world.enroll([*people(40), *bad(many)])
    assert (report.succeeded, report.failed, report.pending, report.stopped_by) == (40, many, 0, None)
    failed = {event.label: event.error for event in world.of(RowFailed)}
    assert failed.keys() == {row.label for row in bad(many)}
    assert all(str(statuses[number % len(statuses)]) in failed[f"bad {number}"] for number in range(many))
    # Three tries of each row, and three probes of each kind of refusal when only refused rows are left.
    assert len(refused) <= 3 * many + 3 * len(statuses)
    assert len(world.sandbox.accepted) == 40
    # When only refused rows are left, there are pauses of 10 s. Their number depends on the order of the responses.
    assert world.clock.time() < 600.0


@pytest.mark.parametrize("concurrency", [1, 64])
@pytest.mark.parametrize("statuses", [[413], REFUSALS], ids=len)
async def test_more_refused_rows_than_are_read_ahead_keep_no_row_from_being_accepted(make_world, statuses, concurrency):
    world = await make_world(client={"max_concurrency": concurrency})
    refused = statuses_of_bad_rows(world, statuses)
    report = await world.enroll([*people(10), *bad(100), *people(10, first=10)])
    assert (report.succeeded, report.failed, report.pending, report.stopped_by) == (20, 100, 0, None)
    assert len(world.of(RowFailed)) == 100
    assert len(refused) <= 400
    assert len(world.sandbox.accepted) == 20
    assert world.clock.time() < 1800.0


async def test_a_run_can_be_stopped_while_a_refused_row_waits_for_its_retry(make_world):
    world = await make_world(client={"max_concurrency": 1})
    refuse(world, 413)
    report = await asyncio.wait_for(world.enroll([*bad(), *people(3)], max_jobs=3), 60.0)
    assert report.failed + report.succeeded + report.pending == 4
    assert [job.url for job in world.sandbox.accepted] == [url(number) for number in range(len(world.sandbox.accepted))]


# Faults of the API


@pytest.mark.parametrize("fault", ["unavailable", "rate-limited", "drop-before-read", "server-error", "bad-gateway"])
async def test_a_fault_of_the_api_never_fails_a_row(make_world, fault):
    world = await make_world(faults={fault: 0.2}, seed=3)
    report = await world.enroll(people(40))
    assert (report.succeeded, report.failed, len(world.sandbox.accepted)) == (40, 0, 40)


async def test_an_api_that_is_down_pauses_the_run_with_its_status(world):
    world.sandbox.fail_next(["unavailable"] * 100, operation="voiceprint")
    report = await world.enroll(people(3))
    assert (report.succeeded, report.failed) == (3, 0)
    pauses = world.of(Paused)
    assert "status" in pauses[0].reason or "503" in pauses[0].reason
    assert len(world.of(Resumed)) >= 1


async def test_a_run_continues_after_429s_for_longer_than_max_elapsed(world):
    """The client returned up one submission after `max_elapsed`; the run pauses and submits it again."""
    world.sandbox.fail_next(["rate-limited"] * 600, operation="voiceprint")
    report = await world.enroll(people(3))
    assert (report.succeeded, report.failed, len(world.sandbox.accepted)) == (3, 0, 3)
    assert world.clock.time() > 300.0
    assert any("429" in pause.reason for pause in world.of(Paused))
    assert len(world.of(Resumed)) >= 1


async def test_without_credit_the_run_stops_and_keeps_all_results(make_world):
    world = await make_world(credit=3)
    with pytest.raises(SubscriptionRequiredError):
        await world.enroll(people(10))
    assert isinstance(world.events[-1], Finished)
    report = world.events[-1].report
    assert (report.succeeded, report.pending, report.failed) == (3, 7, 0)
    assert "402" in report.stopped_by


# A revoked key


@pytest.mark.parametrize("status", [401, 403])
async def test_a_revoked_key_ends_all_waits_at_once_and_keeps_the_jobs(make_world, status):
    world = await make_world(job_seconds=600.0)
    refused, is_restored = [], False

    async def handle(request, forward):
        if is_restored or len(world.sandbox.accepted) < 300:
            return await forward(request)
        refused.append(world.clock.time())
        return web.json_response({"message": "no"}, status=status)

    world.intercept(handle)
    with pytest.raises((AuthenticationError, PermissionDeniedError)):
        await world.enroll(people(300))
    assert len(refused) <= 50
    assert set(world.states().values()) == {"submitted"}
    assert [str(status) in stopping.reason for stopping in world.of(Stopping)] == [True]
    assert world.clock.time() - refused[0] < 10.0
    is_restored = True
    assert (await world.enroll(people(300))).succeeded == 300
    assert len(world.sandbox.accepted) == 300


async def test_a_key_that_is_revoked_during_submissions_ends_all_waits_at_once(make_world):
    world = await make_world(job_seconds=600.0, rate_limit=(20, 60.0), window="sliding")
    refused = []

    async def handle(request, forward):
        if len(world.sandbox.accepted) < 20:
            return await forward(request)
        refused.append(request.path)
        return web.json_response({"message": "no"}, status=401)

    world.intercept(handle)
    with pytest.raises(AuthenticationError):
        await world.enroll(people(100))
    assert len(refused) <= 50
    assert set(world.states().values()) == {"pending", "submitted"}


async def test_without_credit_the_run_reports_the_reason_first_and_fetches_what_is_paid(make_world):
    world = await make_world(credit=3, job_seconds=300.0)
    with pytest.raises(SubscriptionRequiredError):
        await world.enroll(people(10))
    assert sorted(world.states().values()) == ["pending"] * 7 + ["succeeded"] * 3
    kinds = [type(event).__name__ for event in world.events]
    assert kinds.index("Stopping") < kinds.index("RowSucceeded")


# A proxy or certificate of this machine that is wrong


BLOCKED = ApiConnectionError("The proxy wants a password: see HTTPS_PROXY.")


def block(world, monkeypatch, error, *, after):
    """Raise an error instead of submitting, after a number of accepted jobs and up to a fixed time."""
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


async def test_a_blocked_network_stops_a_run_before_its_first_accepted_job(world, monkeypatch):
    block(world, monkeypatch, BLOCKED, after=0)
    with pytest.raises(ApiConnectionError, match="HTTPS_PROXY"):
        await world.enroll()
    assert set(world.states().values()) == {"pending"}
    assert world.clock.time() < 10.0


async def test_a_blocked_network_pauses_a_run_after_its_first_accepted_job(make_world, monkeypatch):
    world = await make_world(client={"max_concurrency": 1})
    block(world, monkeypatch, BLOCKED, after=3)
    report = await world.enroll(people(10))
    assert (report.succeeded, report.failed) == (10, 0)
    assert any("HTTPS_PROXY" in paused.reason for paused in world.of(Paused))


async def test_a_configuration_error_stops_a_run_that_had_jobs_accepted(make_world, monkeypatch):
    world = await make_world(client={"max_concurrency": 1})
    block(world, monkeypatch, ConfigurationError("The session is closed."), after=3)
    with pytest.raises(ConfigurationError):
        await world.enroll(people(10))
    assert set(world.states().values()) <= {"pending", "submitted", "succeeded"}


async def test_a_blocked_network_stops_a_run_at_the_check_of_the_key(world, monkeypatch):
    async def check_key():
        raise BLOCKED

    monkeypatch.setattr(world.client, "check_key", check_key)
    with pytest.raises(ApiConnectionError, match="HTTPS_PROXY"):
        await world.enroll()
    assert world.sandbox.accepted == []
