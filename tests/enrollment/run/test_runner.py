"""A run against the sandbox: what it pays, what it keeps, and what it says."""

import asyncio
import sqlite3
import uuid
from pathlib import Path

import pytest
from enrollment_world import people, url

from pyannote_voiceprint_async import (
    AsyncVoiceprintClient,
    ClientClosedError,
    ConfigurationError,
    EnrollmentError,
    LedgerError,
    LedgerInUseError,
    LedgerOriginError,
    ManifestError,
    NotFoundError,
    RetryPolicy,
    SubscriptionRequiredError,
)
from pyannote_voiceprint_async.enrollment import (
    Finished,
    Ledger,
    Paused,
    Resumed,
    Row,
    RowExpired,
    RowFailed,
    RowSkipped,
    RowSubmitted,
    RowSucceeded,
    RowUncertain,
    enroll,
)
from pyannote_voiceprint_async.enrollment.ledger.database import Database
from pyannote_voiceprint_async.sandbox import voiceprint_of
from pyannote_voiceprint_async.secret import Secret


def expected(rows):
    return {row.label: voiceprint_of(row.source) for row in rows}


async def test_every_row_gets_the_voiceprint_of_its_own_source(world):
    report = await world.enroll(people(20))
    assert (report.rows, report.succeeded, report.jobs, report.is_complete) == (20, 20, 20, True)
    assert world.voiceprints() == expected(people(20))
    told = {event.label: event.voiceprint.value for event in world.of(RowSucceeded)}
    assert told == expected(people(20))
    assert {event.label for event in world.of(RowSubmitted)} == told.keys()


async def test_all_voiceprints_can_be_read_from_the_ledger(world):
    """Events tell of this run only."""
    await world.enroll(people(300))
    async with Ledger(world.path) as ledger:
        found = {label: voiceprint.value async for label, voiceprint in ledger.voiceprints()}
    assert found == expected(people(300))


async def test_a_plain_function_may_resolve(world):
    report = await world.enroll([Row("a", "s3://b/1")], resolve=lambda _row: url(1))
    assert report.succeeded == 1


async def test_done_rows_cost_nothing_and_ask_nothing(world):
    await world.enroll()
    before = world.sandbox.state.total.requests
    report = await world.enroll()
    assert (report.succeeded, report.jobs, report.jobs_ever) == (5, 0, 5)
    assert world.sandbox.state.total.requests == before


async def test_files_are_uploaded_and_known_by_their_bytes(world, speech, tmp_path):
    """A file that was moved and renamed is not paid again."""
    moved = tmp_path / "moved.wav"
    moved.write_bytes((speech / "june-fr.wav").read_bytes())
    await world.enroll([Row("June", speech / "june-fr.wav"), Row("Carlo", speech / "carlo-it.wav")])
    first = world.voiceprints()
    report = await world.enroll([Row("June", moved), Row("Carlo", speech / "carlo-it.wav")])
    assert (report.succeeded, report.jobs, len(world.sandbox.accepted)) == (2, 0, 2)
    assert world.voiceprints() == first


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


async def test_a_file_that_changes_while_the_run_goes_on_fails(world, speech, tmp_path):
    """Another recording may be another person."""
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


async def test_a_model_is_that_of_the_row_or_of_the_run(world):
    rows = [Row("a", url(1), "precision-2"), Row("b", url(1)), Row("c", url(2))]
    await world.enroll(rows, model="precision-3", allow_shared_audio=True)
    assert sorted(job.model for job in world.sandbox.accepted) == ["precision-2", "precision-3", "precision-3"]


# What is paid, and what is not


async def test_shared_audio_is_submitted_once(world):
    rows = [Row("a", url(1)), Row("b", url(1))]
    report = await world.enroll(rows, allow_shared_audio=True)
    assert (report.rows, report.succeeded, report.jobs) == (2, 2, 1)
    assert world.voiceprints() == expected(rows)


async def test_fresh_signatures_never_repeat_what_is_done(world):
    await world.enroll([Row("a", f"{url(1)}?X-Amz-Date=20270115T080000Z&X-Amz-Expires=604800&X-Amz-Signature=old")])
    report = await world.enroll(
        [Row("a", f"{url(1)}?X-Amz-Date=20270115T090000Z&X-Amz-Expires=604800&X-Amz-Signature=new")]
    )
    assert (report.succeeded, report.jobs, len(world.sandbox.accepted)) == (1, 0, 1)


async def test_an_expired_url_is_never_submitted_and_a_fresh_one_goes_on(world):
    old = f"{url(1)}?X-Amz-Date=20260101T000000Z&X-Amz-Expires=60&X-Amz-Signature=old"
    report = await world.enroll([Row("a", old), Row("b", url(2))])
    assert (report.failed, report.succeeded, len(world.sandbox.accepted)) == (1, 1, 1)
    assert "expired before its turn; nothing was sent" in next(iter(report.failures))
    fresh = f"{url(1)}?X-Amz-Date=20270115T080000Z&X-Amz-Expires=604800&X-Amz-Signature=new"
    report = await world.enroll([Row("a", fresh), Row("b", url(2))])
    assert (report.succeeded, report.jobs, len(world.sandbox.accepted)) == (2, 1, 2)


async def test_a_url_that_expires_while_it_waits_for_its_turn_is_not_submitted(make_world):
    """What is checked is the moment of sending, not of reading the list."""
    world = await make_world(window="sliding", rate_limit=(1, 60.0), job_seconds=0.0)
    dies = f"{url(1)}?X-Amz-Date=20270115T080000Z&X-Amz-Expires=30&X-Amz-Signature=x"
    report = await world.enroll([Row("first", url(0)), Row("dies", dies)])
    assert (report.succeeded, report.failed) == (1, 1)
    assert [job.url for job in world.sandbox.accepted] == [url(0)]


async def test_resolve_presigns_just_in_time(world):
    asked = []

    async def resolve(row):
        asked.append(row)
        if row.label == "bad":
            raise KeyError(row.label)
        return f"https://bucket.example.com/{row.source.removeprefix('s3://b/')}?X-Amz-Signature=secret"

    rows = [Row("a", "s3://b/1.wav", extra={"team": "red"}), Row("bad", "s3://b/2.wav")]
    report = await world.enroll(rows, resolve=resolve)
    assert (report.succeeded, report.failed) == (1, 1)
    assert (asked[0].source, asked[0].extra) == ("s3://b/1.wav", {"team": "red"})
    assert world.of(RowFailed)[0].error == "resolve() failed for this row (KeyError)."


@pytest.mark.parametrize("gives", [None, 7, b"https://example.com", "", "ftp://example.com/a.wav", "https://a b"])
async def test_what_resolve_must_not_give_fails_the_row_only(world, gives):
    async def resolve(row):
        return gives if row.label == "bad" else row.source

    report = await world.enroll([Row("bad", "s3://b/1"), Row("good", url(1))], resolve=resolve)
    assert (report.failed, report.succeeded, len(world.sandbox.accepted)) == (1, 1, 1)


async def test_a_resolve_that_cancels_itself_fails_the_row_only(world):
    async def resolve(row):
        if row.label == "bad":
            raise asyncio.CancelledError
        return row.source

    report = await world.enroll([Row("bad", "s3://b/1"), Row("good", url(1))], resolve=resolve)
    assert (report.failed, report.succeeded) == (1, 1)


async def test_a_resolve_that_hangs_does_not_hold_up_the_end(world):
    hangs = asyncio.Event()

    async def resolve(_row):
        hangs.set()
        await asyncio.Event().wait()

    async with enroll(world.client, people(3), world.path, resolve=resolve) as run:
        taking = asyncio.create_task(anext(run))
        await hangs.wait()
        run.stop()
        assert isinstance(await taking, Finished)
    assert set(world.states().values()) == {"pending"}


async def test_max_jobs_bounds_what_is_paid(world):
    report = await world.enroll(people(10), max_jobs=3)
    assert (report.jobs, report.succeeded, report.pending, len(world.sandbox.accepted)) == (3, 3, 7, 3)
    report = await world.enroll(people(10))
    assert (report.succeeded, len(world.sandbox.accepted)) == (10, 10)


async def test_failed_rows_stay_failed_unless_they_are_asked_for(world):
    rows = [Row("a", "https://example.com/unreachable/a.wav"), Row("b", "https://example.com/canceled/b.wav")]
    report = await world.enroll(rows)
    assert (report.failed, report.failures) == (
        2,
        {"The job failed: Could not load audio": 1, "The job was canceled.": 1},
    )
    assert (await world.enroll(rows)).jobs == 0
    assert (await world.enroll(rows, retry_failed="LOAD AUDIO")).jobs == 1
    assert (await world.enroll(rows, retry_failed="")).jobs == 2
    assert len(world.sandbox.accepted) == 5


async def test_a_changed_list_adds_and_updates_rows(world):
    await world.enroll([Row("a", url(1)), Row("b", url(2))])
    rows = [Row("a", url(3)), Row("c", url(2), extra={"x": 1})]
    report = await world.enroll(rows, allow_shared_audio=True)
    assert (report.rows, report.jobs) == (2, 1)
    assert world.voiceprints() == expected([*rows, Row("b", url(2))])


async def test_rows_that_are_not_listed_any_more_are_not_sent(world):
    await world.enroll(people(4), max_jobs=1)
    report = await world.enroll([*people(2), Row("new", url(99))])
    assert (report.rows, report.succeeded, len(world.sandbox.accepted)) == (3, 3, 3)


# Going on


async def test_a_run_that_is_stopped_leaves_its_jobs_to_the_next_one(make_world):
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


async def test_a_canceled_consumer_leaves_nothing_behind(make_world):
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


async def test_a_job_whose_output_is_gone_is_expired_and_paid_again_only_when_asked_for(make_world):
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


async def test_jobs_of_the_last_run_are_awaited_before_new_ones_are_sent(make_world):
    world = await make_world(job_seconds=60.0)
    async with world.clock.running(world.client), enroll(world.client, people(2), world.path, max_jobs=1) as run:
        async for event in run:
            if isinstance(event, RowSubmitted):
                run.stop()
    await world.enroll(people(2))
    kinds = [type(event).__name__ for event in world.events]
    assert kinds.index("RowSucceeded") < kinds.index("RowSubmitted")


# Whose it is


async def test_a_ledger_belongs_to_one_api(world):
    await world.enroll()
    with pytest.raises(LedgerOriginError, match="belongs to the API at"):
        await world.enroll(origin="https://elsewhere.example.com")


async def test_a_slash_at_the_end_of_the_base_url_makes_no_other_api(world):
    """Ledgers of earlier versions keep the base URL as it was given."""
    with_slash = f"{world.sandbox.url}/"
    await world.enroll(origin=with_slash)
    assert (await world.enroll()).succeeded == 5
    assert (await world.enroll(origin=with_slash)).succeeded == 5


async def test_there_is_no_report_before_the_end(world):
    async with world.clock.running(world.client), enroll(world.client, people(1), world.path) as run:
        with pytest.raises(EnrollmentError, match="There is no report yet"):
            run.report  # noqa: B018 - reading it raises
        async for _ in run:
            pass
    assert run.report.succeeded == 1


async def test_a_ledger_that_has_nothing_belongs_to_nobody(world):
    with pytest.raises(ManifestError):
        await world.enroll([Row("", url(1))], origin="https://elsewhere.example.com")
    assert (await world.enroll()).succeeded == 5


async def test_another_key_is_noticed_although_keys_hide_their_value(world):
    """A fingerprint of the text that hides a key would be the same for all keys."""
    await world.enroll()
    world.client._transport.key = Secret("another")
    with pytest.raises(LedgerOriginError, match="--new-key"):
        await world.enroll()


async def test_another_key_must_be_confirmed(world):
    await world.enroll()
    world.client._transport.key = "another"
    with pytest.raises(LedgerOriginError, match="--new-key"):
        await world.enroll()
    assert (await world.enroll(new_key=True)).succeeded == 5
    assert (await world.enroll()).succeeded == 5


async def test_one_run_at_a_time(world):
    async with Ledger(world.path):
        with pytest.raises(LedgerInUseError, match="Another run has this ledger"):
            await world.enroll()
    assert (await world.enroll()).succeeded == 5


async def test_an_opened_ledger_stays_open(world):
    async with Ledger(world.path) as ledger:
        await world.enroll(ledger=ledger)
        assert ledger.is_open
        assert (await world.enroll(ledger=ledger)).succeeded == 5


async def test_a_wrong_list_is_refused_before_anything_is_sent(world, tmp_path):
    rows = [Row("", url(1)), Row("a", url(2)), Row("a", url(3)), Row("b", url(2)), Row("speaker_1", url(4))]
    with pytest.raises(ManifestError) as caught:
        await world.enroll(rows)
    assert len(caught.value.problems) == 4
    assert world.sandbox.state.total.requests == 0
    assert world.states() == {}
    report = await world.enroll([*rows, Row("c", url(9))], skip_invalid=True)
    assert (report.rows, report.succeeded, report.invalid) == (1, 1, 5)
    assert [event.problem for event in world.of(RowSkipped)] == list(caught.value.problems)


async def test_a_client_that_repeats_by_itself_is_refused(make_world):
    """The ledger would not know what is paid twice."""
    world = await make_world(client={"retry": RetryPolicy(replay_unknown=True)})
    with pytest.raises(ConfigurationError, match="on_unknown='resubmit'"):
        await world.enroll()


@pytest.mark.parametrize("rows", ["speakers.csv", b"speakers.csv", Path("speakers.csv")])
def test_a_path_is_no_list_of_rows(rows):
    with pytest.raises(TypeError, match="Manifest"):
        enroll(None, rows, "x.ledger")


@pytest.mark.parametrize("options", [{"on_unknown": "guess"}, {"max_jobs": -1}, {"max_jobs": True}, {"model": " "}])
async def test_options_that_cannot_work_are_refused_at_once(world, options):
    with pytest.raises(ConfigurationError):
        await world.enroll(**options)


# Trouble that is not a row's own


@pytest.mark.parametrize("fault", ["unavailable", "rate-limited", "drop-before-read", "server-error", "bad-gateway"])
async def test_trouble_never_fails_a_row(make_world, fault):
    world = await make_world(faults={fault: 0.2}, seed=3)
    report = await world.enroll(people(40))
    assert (report.succeeded, report.failed, len(world.sandbox.accepted)) == (40, 0, 40)


async def test_a_server_that_is_down_for_hours_pauses_the_run_and_says_so(world):
    world.sandbox.fail_next(["unavailable"] * 100, operation="voiceprint")
    report = await world.enroll(people(3))
    assert (report.succeeded, report.failed) == (3, 0)
    pauses = world.of(Paused)
    assert "status" in pauses[0].reason or "503" in pauses[0].reason
    assert len(world.of(Resumed)) >= 1


async def test_a_run_goes_on_waiting_while_the_api_refuses_for_its_rate_limit(world):
    """One call is refused for `max_elapsed` at most; the run reports it as a pause, and tries again."""
    world.sandbox.fail_next(["rate-limited"] * 600, operation="voiceprint")
    report = await world.enroll(people(3))
    assert (report.succeeded, report.failed, len(world.sandbox.accepted)) == (3, 0, 3)
    assert world.clock.time() > 300.0
    assert any("429" in pause.reason for pause in world.of(Paused))
    assert len(world.of(Resumed)) >= 1


async def test_without_credit_the_run_stops_with_everything_saved(make_world):
    world = await make_world(credit=3)
    with pytest.raises(SubscriptionRequiredError):
        await world.enroll(people(10))
    assert isinstance(world.events[-1], Finished)
    report = world.events[-1].report
    assert (report.succeeded, report.pending, report.failed) == (3, 7, 0)
    assert "402" in report.stopped_by


async def test_a_wrong_key_stops_before_anything_is_submitted(world):
    world.client._transport.wire._authorization["Authorization"] = "Bearer wrong"
    with pytest.raises(Exception, match="401"):
        await world.enroll()
    assert world.states() == dict.fromkeys((row.label for row in people(5)), "pending")
    assert world.sandbox.state.operations["voiceprint"].requests == 0


async def test_a_client_that_is_closed_ends_the_run_and_the_next_one_goes_on(make_world, start):
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


async def until_it_stands_still(world):
    """Wait until some rows were accepted, and no more are."""
    accepted, polls = 0, 0
    while not accepted or polls < 100:
        await asyncio.sleep(0.001)
        polls = polls + 1 if accepted == len(world.sandbox.accepted) else 0
        accepted = len(world.sandbox.accepted)


async def test_whoever_takes_no_events_holds_up_the_run_and_leaving_ends_it(world):
    async with world.clock.running(world.client), enroll(world.client, people(3000), world.path) as run:
        await anext(run)
        await until_it_stands_still(world)
        assert len(world.sandbox.accepted) < 3000
    assert "submitting" not in world.states().values()


async def test_stopping_while_nobody_takes_events_does_not_hang(world):
    async with world.clock.running(world.client), enroll(world.client, people(3000), world.path) as run:
        await anext(run)
        await until_it_stands_still(world)
        run.stop()
        kinds = [type(event).__name__ async for event in run]
    assert kinds[-1] == "Finished"
    assert run.report.interrupted


async def test_a_run_that_is_over_stays_over(world):
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


async def test_a_job_id_that_comes_twice_is_filed_under_one_row_only(world, monkeypatch):
    """A proxy that answers from its memory must not put one voice under two names."""
    monkeypatch.setattr(uuid, "uuid4", lambda: uuid.UUID(int=1))
    report = await world.enroll(people(2))
    assert (report.succeeded, report.uncertain) == (1, 1)


@pytest.mark.parametrize("text", ["Ada\x00", "x" * 101, " SPEAKER_1 "])
async def test_a_label_that_identification_would_refuse_costs_nothing(world, text):
    with pytest.raises(ManifestError):
        await world.enroll([Row(text, url(1))])
    assert world.sandbox.accepted == []


# Outcomes that are not known


async def test_what_was_cut_off_is_found_out_by_the_list_of_jobs(world):
    """Nothing was accepted, so it is sent again, for free."""
    world.sandbox.fail_next(["server-error"], operation="voiceprint")
    report = await world.enroll()
    assert (report.succeeded, report.possibly_paid_twice, len(world.sandbox.accepted)) == (5, 0, 5)
    (paused,) = world.of(Paused)
    assert "Nobody knows yet what became of a submission" in paused.reason
    assert 60.0 < paused.seconds <= 90.0
    assert len(world.of(Resumed)) == 1


@pytest.mark.parametrize("fault", ["drop-after-accept", "accept-late", "truncated-json"])
async def test_what_may_have_been_accepted_is_held(world, fault):
    world.sandbox.fail_next([fault], operation="voiceprint")
    report = await world.enroll()
    assert (report.succeeded, report.uncertain, report.unknown_jobs) == (4, 1, 1)
    assert len(world.of(RowUncertain)) == 1
    assert len(world.sandbox.accepted) == 5
    again = await world.enroll()
    assert (again.uncertain, again.jobs) == (1, 0)
    settled = await world.enroll(on_unknown="resubmit")
    assert (settled.succeeded, settled.possibly_paid_twice, len(world.sandbox.accepted)) == (5, 1, 6)
    assert world.voiceprints() == expected(people(5))


async def test_without_a_list_of_jobs_nobody_can_know(world, monkeypatch):
    def no_list(**_):
        raise NotFoundError("There is no such list.", status=404)

    world.sandbox.fail_next(["server-error"], operation="voiceprint")
    monkeypatch.setattr(world.client, "list_jobs", no_list)
    report = await world.enroll()
    assert (report.succeeded, report.uncertain, report.stopped_by) == (4, 1, None)
    assert (await world.enroll(on_unknown="resubmit")).succeeded == 5


async def test_resubmit_counts_what_may_be_paid_twice(world):
    world.sandbox.fail_next(["drop-after-accept"], operation="voiceprint")
    report = await world.enroll(on_unknown="resubmit")
    assert (report.succeeded, report.possibly_paid_twice, len(world.sandbox.accepted)) == (5, 1, 6)


async def test_resubmit_is_once_for_a_row_in_a_run(world):
    world.sandbox.fail_next(["drop-after-accept", "drop-after-accept"], operation="voiceprint")
    report = await world.enroll(people(1), on_unknown="resubmit")
    assert (report.uncertain, report.possibly_paid_twice, len(world.sandbox.accepted)) == (1, 1, 2)


async def test_adopt_takes_the_job_of_a_row(world):
    world.sandbox.fail_next(["drop-after-accept"], operation="voiceprint")
    report = await world.enroll(on_unknown="adopt")
    assert (report.succeeded, report.possibly_paid_twice, len(world.sandbox.accepted)) == (5, 0, 5)
    assert world.voiceprints() == expected(people(5))


async def test_adopt_takes_nothing_that_could_be_of_two_rows(world):
    world.sandbox.fail_next(["drop-after-accept", "server-error"], operation="voiceprint")
    report = await world.enroll(people(2), on_unknown="adopt")
    assert (report.succeeded, report.uncertain) == (0, 2)


async def test_adopt_takes_nothing_that_may_belong_to_what_was_given_up(world):
    """A row that was resubmitted had a job, too; another row whose window has that job must not get it."""
    world.sandbox.fail_next(["drop-after-accept", "server-error"], operation="voiceprint")
    await world.enroll(people(2))
    world.ask(
        "INSERT INTO lost_intents (was_resubmitted, intended_from, intended_until) "
        "SELECT 1, intended_from, intended_until FROM recordings WHERE id = 1"
    )
    world.ask("UPDATE recordings SET state = 'pending', intended_from = NULL WHERE id = 1")
    report = await world.enroll(people(2), on_unknown="adopt")
    assert world.states()["person 1"] == "uncertain"
    assert report.succeeded == 1


async def test_several_unknown_outcomes_in_a_row_pause_submissions(make_world):
    """No more rows become unknown than were on the wire."""
    world = await make_world(client={"max_concurrency": 1})
    world.sandbox.fail_next(["server-error"] * 3, operation="voiceprint")
    report = await world.enroll(people(100))
    assert report.succeeded == 100
    assert any("several submissions in a row" in pause.reason for pause in world.of(Paused))


# A disk that is full


async def test_a_full_disk_stops_submitting_and_keeps_the_ids(world, monkeypatch):
    """The id that could not be written is in the report."""
    real, refused = Database._commit, 0

    def commit(self, works):
        nonlocal refused
        if refused or len(world.sandbox.accepted) >= 10:
            refused += 1
            raise sqlite3.OperationalError("database or disk is full")
        return real(self, works)

    monkeypatch.setattr(Database, "_commit", commit)
    with pytest.raises(LedgerError, match="disk is full"):
        await world.enroll(people(50))
    report = world.events[-1].report
    known = {job_id for (job_id,) in world.ask("SELECT job_id FROM jobs")}
    assert report.unsaved_jobs.keys() | known == {job.id for job in world.sandbox.accepted}
    assert report.unsaved_jobs.keys().isdisjoint(known)
    monkeypatch.undo()
    before = len(world.sandbox.accepted)
    report = await world.enroll(people(50))
    assert report.succeeded + report.uncertain == 50
    assert len(world.sandbox.accepted) == before + 50 - len(known) - report.uncertain
