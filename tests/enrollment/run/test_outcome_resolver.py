"""Submissions of unknown outcome, resolved by the list of jobs."""

import pytest
from enrollment_world import expected_voiceprints, people

from pyannote_voiceprint_async import (
    NotFoundError,
)
from pyannote_voiceprint_async.enrollment import (
    Paused,
    Resumed,
    RowUncertain,
)


async def test_a_submission_without_a_job_in_the_list_is_sent_again(world):
    """It was not accepted, so it is billed once."""
    world.sandbox.fail_next(["server-error"], operation="voiceprint")
    report = await world.enroll()
    assert (report.succeeded, report.possibly_paid_twice, len(world.sandbox.accepted)) == (5, 0, 5)
    (paused,) = world.of(Paused)
    assert "The outcome of a submission is unknown" in paused.reason
    assert 60.0 < paused.seconds <= 90.0
    assert len(world.of(Resumed)) == 1


@pytest.mark.parametrize("fault", ["drop-after-accept", "accept-late", "truncated-json"])
async def test_a_submission_that_may_have_been_accepted_is_held(world, fault):
    world.sandbox.fail_next([fault], operation="voiceprint")
    report = await world.enroll()
    assert (report.succeeded, report.uncertain, report.unknown_jobs) == (4, 1, 1)
    assert len(world.of(RowUncertain)) == 1
    assert len(world.sandbox.accepted) == 5
    again = await world.enroll()
    assert (again.uncertain, again.jobs) == (1, 0)
    settled = await world.enroll(on_unknown="resubmit")
    assert (settled.succeeded, settled.possibly_paid_twice, len(world.sandbox.accepted)) == (5, 1, 6)
    assert world.voiceprints() == expected_voiceprints(people(5))


async def test_without_a_list_of_jobs_the_row_is_held(world, monkeypatch):
    def no_list(**_):
        raise NotFoundError("There is no such list.", status=404)

    world.sandbox.fail_next(["server-error"], operation="voiceprint")
    monkeypatch.setattr(world.client, "list_jobs", no_list)
    report = await world.enroll()
    assert (report.succeeded, report.uncertain, report.stopped_by) == (4, 1, None)
    assert (await world.enroll(on_unknown="resubmit")).succeeded == 5


async def test_resubmit_counts_what_may_be_billed_twice(world):
    world.sandbox.fail_next(["drop-after-accept"], operation="voiceprint")
    report = await world.enroll(on_unknown="resubmit")
    assert (report.succeeded, report.possibly_paid_twice, len(world.sandbox.accepted)) == (5, 1, 6)


async def test_a_row_is_resubmitted_once_in_a_run(world):
    world.sandbox.fail_next(["drop-after-accept", "drop-after-accept"], operation="voiceprint")
    report = await world.enroll(people(1), on_unknown="resubmit")
    assert (report.uncertain, report.possibly_paid_twice, len(world.sandbox.accepted)) == (1, 1, 2)


async def test_adopt_uses_the_unknown_job_of_a_row(world):
    world.sandbox.fail_next(["drop-after-accept"], operation="voiceprint")
    report = await world.enroll(on_unknown="adopt")
    assert (report.succeeded, report.possibly_paid_twice, len(world.sandbox.accepted)) == (5, 0, 5)
    assert world.voiceprints() == expected_voiceprints(people(5))


async def test_a_job_that_may_belong_to_two_rows_is_not_adopted(world):
    world.sandbox.fail_next(["drop-after-accept", "server-error"], operation="voiceprint")
    report = await world.enroll(people(2), on_unknown="adopt")
    assert (report.succeeded, report.uncertain) == (0, 2)


async def test_a_job_that_may_belong_to_an_unresolvable_intent_is_not_adopted(world):
    """A row that was resubmitted has an earlier job, which may be in the window of another row."""
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
