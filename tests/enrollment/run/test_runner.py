"""The course of a run against the sandbox: what it submits, what it keeps, and what it reports."""

import pytest
from enrollment_world import expected_voiceprints, people, url

from pyannote_voiceprint_async import (
    AsyncVoiceprintClient,
    AuthenticationError,
    LedgerOriginError,
    ManifestError,
)
from pyannote_voiceprint_async.enrollment import (
    Ledger,
    Paused,
    Row,
    RowSkipped,
    RowSubmitted,
    RowSucceeded,
    enroll,
)
from pyannote_voiceprint_async.secret import Secret


async def test_every_row_gets_the_voiceprint_of_its_own_source(world):
    report = await world.enroll(people(20))
    assert (report.rows, report.succeeded, report.jobs, report.is_complete) == (20, 20, 20, True)
    assert world.voiceprints() == expected_voiceprints(people(20))
    reported = {event.label: event.voiceprint.value for event in world.of(RowSucceeded)}
    assert reported == expected_voiceprints(people(20))
    assert {event.label for event in world.of(RowSubmitted)} == reported.keys()


async def test_the_ledger_contains_all_voiceprints_of_a_run(world):
    await world.enroll(people(300))
    async with Ledger(world.path) as ledger:
        found = {label: voiceprint.value async for label, voiceprint in ledger.voiceprints()}
    assert found == expected_voiceprints(people(300))


async def test_a_second_run_over_finished_rows_sends_no_request(world):
    await world.enroll()
    before = world.sandbox.state.total.requests
    report = await world.enroll()
    assert (report.succeeded, report.jobs, report.jobs_ever) == (5, 0, 5)
    assert world.sandbox.state.total.requests == before


async def test_a_file_that_was_moved_and_renamed_is_not_paid_again(world, speech, tmp_path):
    moved = tmp_path / "moved.wav"
    moved.write_bytes((speech / "june-fr.wav").read_bytes())
    await world.enroll([Row("June", speech / "june-fr.wav"), Row("Carlo", speech / "carlo-it.wav")])
    first = world.voiceprints()
    report = await world.enroll([Row("June", moved), Row("Carlo", speech / "carlo-it.wav")])
    assert (report.succeeded, report.jobs, len(world.sandbox.accepted)) == (2, 0, 2)
    assert world.voiceprints() == first


async def test_shared_audio_is_submitted_once(world):
    rows = [Row("a", url(1)), Row("b", url(1))]
    report = await world.enroll(rows, allow_shared_audio=True)
    assert (report.rows, report.succeeded, report.jobs) == (2, 2, 1)
    assert world.voiceprints() == expected_voiceprints(rows)


async def test_a_url_that_was_signed_anew_is_not_paid_again(world):
    await world.enroll([Row("a", f"{url(1)}?X-Amz-Date=20270115T080000Z&X-Amz-Expires=604800&X-Amz-Signature=old")])
    report = await world.enroll(
        [Row("a", f"{url(1)}?X-Amz-Date=20270115T090000Z&X-Amz-Expires=604800&X-Amz-Signature=new")]
    )
    assert (report.succeeded, report.jobs, len(world.sandbox.accepted)) == (1, 0, 1)


async def test_failed_rows_are_submitted_again_only_with_retry_failed(world):
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
    assert world.voiceprints() == expected_voiceprints([*rows, Row("b", url(2))])


async def test_rows_that_were_removed_from_the_list_are_not_submitted(world):
    await world.enroll(people(4), max_jobs=1)
    report = await world.enroll([*people(2), Row("new", url(99))])
    assert (report.rows, report.succeeded, len(world.sandbox.accepted)) == (3, 3, 3)


async def test_jobs_of_earlier_runs_finish_before_new_rows_are_submitted(make_world):
    world = await make_world(job_seconds=60.0)
    async with world.clock.running(world.client), enroll(world.client, people(2), world.path, max_jobs=1) as run:
        async for event in run:
            if isinstance(event, RowSubmitted):
                run.stop()
    await world.enroll(people(2))
    kinds = [type(event).__name__ for event in world.events]
    assert kinds.index("RowSucceeded") < kinds.index("RowSubmitted")


async def test_a_ledger_belongs_to_one_api(world):
    await world.enroll()
    with pytest.raises(LedgerOriginError, match="has the jobs of the API at"):
        await world.enroll(origin="https://elsewhere.example.com")


async def test_a_trailing_slash_of_the_base_url_names_the_same_api(world):
    """Ledgers of earlier versions contain the base URL as it was written."""
    with_slash = f"{world.sandbox.url}/"
    await world.enroll(origin=with_slash)
    assert (await world.enroll()).succeeded == 5
    assert (await world.enroll(origin=with_slash)).succeeded == 5


async def test_an_empty_ledger_accepts_any_api(world):
    with pytest.raises(ManifestError):
        await world.enroll([Row("", url(1))], origin="https://elsewhere.example.com")
    assert (await world.enroll()).succeeded == 5


async def test_another_key_is_refused_although_repr_hides_keys(world):
    """The fingerprint is made from the value: the redacted text is the same for all keys."""
    await world.enroll()
    world.client.engine.api_key = Secret("another")
    with pytest.raises(LedgerOriginError, match="--new-key"):
        await world.enroll()


async def test_another_key_needs_new_key(world):
    await world.enroll()
    world.client.engine.api_key = "another"
    with pytest.raises(LedgerOriginError, match="--new-key"):
        await world.enroll()
    assert (await world.enroll(new_key=True)).succeeded == 5
    assert (await world.enroll()).succeeded == 5


async def test_an_invalid_list_is_refused_before_any_request(world, tmp_path):
    rows = [Row("", url(1)), Row("a", url(2)), Row("a", url(3)), Row("b", url(2)), Row("speaker_1", url(4))]
    with pytest.raises(ManifestError) as caught:
        await world.enroll(rows)
    assert len(caught.value.problems) == 4
    assert world.sandbox.state.total.requests == 0
    assert world.states() == {}
    report = await world.enroll([*rows, Row("c", url(9))], skip_invalid=True)
    assert (report.rows, report.succeeded, report.invalid) == (1, 1, 5)
    assert [event.problem for event in world.of(RowSkipped)] == list(caught.value.problems)


async def test_a_wrong_key_stops_the_run_before_any_submission(world):
    async with AsyncVoiceprintClient("wrong", base_url=world.sandbox.url, clock=world.clock) as world.client:
        with pytest.raises(AuthenticationError, match="401"):
            await world.enroll()
    assert world.states() == dict.fromkeys((row.label for row in people(5)), "pending")
    assert world.sandbox.state.operations["voiceprint"].requests == 0


@pytest.mark.parametrize("text", ["Ada\x00", "x" * 101, " SPEAKER_1 "])
async def test_a_label_that_identification_would_refuse_is_refused_before_any_request(world, text):
    with pytest.raises(ManifestError):
        await world.enroll([Row(text, url(1))])
    assert world.sandbox.accepted == []


async def test_several_unknown_outcomes_in_a_row_pause_submissions(make_world):
    """No more rows become unknown than were in flight."""
    world = await make_world(client={"max_concurrency": 1})
    world.sandbox.fail_next(["server-error"] * 3, operation="voiceprint")
    report = await world.enroll(people(100))
    assert report.succeeded == 100
    assert any("several submissions in a row" in pause.reason for pause in world.of(Paused))
