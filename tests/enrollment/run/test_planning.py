"""The plan of a run: what its dry run reports, what it states itself, and what it then does."""

from datetime import UTC, datetime

import pytest
from enrollment_world import World, people, url
from fake_clock import START, FakeClock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyannote_voiceprint_async import AsyncVoiceprintClient, EnrollmentError, ManifestError, RateLimit
from pyannote_voiceprint_async.enrollment import Problem, Report, Row, RowSkipped, RowWarning, RunPlan, RunPlanned
from pyannote_voiceprint_async.enrollment.ledger.unsent import UnsentRecording
from pyannote_voiceprint_async.enrollment.options import Options
from pyannote_voiceprint_async.enrollment.run.dry_run import DryRun
from pyannote_voiceprint_async.enrollment.run.planning import plan_submissions
from pyannote_voiceprint_async.sandbox import Sandbox


def presigned(number: int, seconds: float, at: float = START) -> str:
    """Return a URL that is valid for some seconds; negative: it has expired."""
    signed = datetime.fromtimestamp(at - 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
    return f"{url(number)}?X-Amz-Date={signed}&X-Amz-Expires={round(1000 + seconds)}&X-Amz-Signature=s"


def unsent(*, is_pending=True, is_file=False, expires_at=None, media_url=None, uploaded_at=None, rows=1):
    return UnsentRecording(is_pending, is_file, expires_at, media_url, uploaded_at, rows)


def plan(*recordings, now=0.0, limit=None, **options) -> RunPlan:
    begun = RunPlan(limit=limit or RateLimit(100))
    return plan_submissions(recordings, plan=begun, options=Options(**options), now=now)


# The pure decision


@pytest.mark.parametrize(
    ("many", "limit", "seconds"),
    [
        (0, RateLimit(100), 0),
        (1, RateLimit(100), 0),
        (100, RateLimit(100), 0),
        (101, RateLimit(100), 60),
        (250, RateLimit(100), 120),
        (10, RateLimit(1, per=2.0), 18),
    ],
)
def test_seconds_is_the_least_time_that_the_rate_limit_allows(many, limit, seconds):
    assert plan(*[unsent()] * many, limit=limit).seconds == seconds


def test_urls_that_expire_before_their_turn_are_neither_jobs_nor_billed():
    """All URLs are valid for 90 seconds, and the third rate-limit window begins after 120."""
    found = plan(*[unsent(expires_at=90.0, rows=2)] * 250)
    assert (found.jobs, found.expiring) == (200, 100)
    assert found.cost == pytest.approx(3.0)
    assert not found.is_complete


def test_expired_urls_do_not_count_towards_max_jobs_and_those_behind_the_last_job_are_left():
    gone, good = unsent(expires_at=-1.0), unsent()
    found = plan(gone, good, gone, good, gone, good, max_jobs=2)
    assert (found.jobs, found.expiring, found.left) == (2, 2, 2)


def test_a_url_that_is_presigned_just_in_time_does_not_expire():
    assert plan(unsent(expires_at=-1.0), resolve=str).jobs == 1


def test_a_file_that_is_still_at_the_api_needs_no_upload():
    uploaded = {"is_file": True, "media_url": "media://x", "uploaded_at": 0.0}
    assert plan(unsent(**uploaded), unsent(is_file=True)).uploads == 1
    assert plan(unsent(**uploaded), now=30 * 3600.0).uploads == 1


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (2, 2, 0, 3, 0)),
        ({"max_jobs": 3}, (2, 1, 0, 3, 0)),
        ({"on_unknown": "adopt"}, (2, 2, 0, 3, 0)),
        ({"on_unknown": "resubmit"}, (4, 0, 3, 0, 0)),
        ({"on_unknown": "resubmit", "max_jobs": 1}, (1, 0, 2, 0, 3)),
    ],
)
def test_rows_of_unknown_outcome_are_possible_jobs_unless_they_are_resubmitted(options, expected):
    unknown = unsent(is_pending=False, rows=2), unsent(is_pending=False)
    found = plan(*unknown, unsent(), unsent(), **options)
    assert (found.jobs, found.possible_jobs, found.resubmitted, found.unresolved, found.left) == expected


# The plan of a run


async def test_a_run_states_the_plan_of_its_dry_run_before_it_sends_anything(world):
    rows = [*people(3), Row("late", presigned(7, -10)), Row("Ada", "s3://b")]
    expected = await DryRun(world.client, rows, world.path, Options(skip_invalid=True)).run()
    confirmed = []

    def confirm(plan):
        confirmed.append((plan, world.sandbox.state.total.requests))
        return True

    await world.enroll(rows, skip_invalid=True, confirm=confirm)
    assert confirmed == [(expected, 0)]
    assert [event.plan for event in world.of(RunPlanned)] == [expected]
    kinds = [type(event) for event in world.events]
    assert kinds.index(RowSkipped) < kinds.index(RunPlanned) == 1


async def test_a_run_that_is_not_confirmed_sends_nothing_and_may_be_started_again(world):
    async def decline(plan):
        assert plan.jobs == 2
        return False

    with pytest.raises(EnrollmentError, match="Nothing was sent: the plan of the run was not confirmed"):
        await world.enroll(people(2), confirm=decline)
    assert world.sandbox.state.total.requests == 0
    found = await DryRun(world.client, people(2), world.path, Options()).run()
    assert (found.jobs, found.new_jobs) == (2, 2)
    assert (await world.enroll(people(2))).succeeded == 2


async def test_the_rest_of_a_list_that_was_begun_is_not_new(world):
    """Neither after `max_jobs`, nor when failed jobs are retried, which were not billed."""

    async def new_jobs(rows, **options):
        return (await DryRun(world.client, rows, world.path, Options(**options)).run()).new_jobs

    rows = [*people(4), Row("lost", "https://e.com/unreachable")]
    assert await new_jobs(rows) == 5
    await world.enroll(rows, max_jobs=2)
    assert await new_jobs(rows) == 0
    report = await world.enroll(rows)
    assert (report.succeeded, report.failed) == (4, 1)
    assert await new_jobs(rows, retry_failed="") == 0
    await world.enroll(rows, retry_failed="")
    assert await new_jobs(rows, retry_failed="") == 0
    assert await new_jobs([*rows, *people(3, first=10)], retry_failed="") == 3


async def test_a_job_of_two_days_ago_is_not_promised(world):
    await world.enroll(people(2))
    world.ask("UPDATE recordings SET state = 'submitted', voiceprint = NULL WHERE id = 1")
    rows = people(2)
    assert (await DryRun(world.client, rows, world.path, Options()).run()).is_complete
    world.clock.jump(world.clock.time() + 48 * 3600.0)
    found = await DryRun(world.client, rows, world.path, Options()).run()
    assert (found.submitted, found.overdue, found.is_complete) == (1, 1, False)
    report = await world.enroll(rows)
    assert (report.expired, report.is_complete) == (1, False)


async def test_a_paid_label_with_another_recording_is_named(world):
    await world.enroll([Row("Ada", url(1)), Row("Bea", url(2))])
    rows = [Row("Ada", url(3)), Row("Bea", url(2))]
    found = await DryRun(world.client, rows, world.path, Options()).run()
    assert (found.replaced, found.jobs) == (1, 1)
    [warning] = found.warnings
    assert warning.label == "Ada"
    assert "is not the one that was billed for this label: it is submitted and billed" in warning.message
    await world.enroll(rows)
    assert world.of(RowWarning) == [warning]
    [back] = (await DryRun(world.client, [Row("Ada", url(1))], world.path, Options()).run()).warnings
    assert "billed" not in back.message


async def test_the_cost_counts_no_failed_job_of_this_run_or_an_earlier_one(world):
    rows = [*people(2), Row("lost", "https://e.com/unreachable")]
    report = await world.enroll(rows, price=0.5)
    assert (report.jobs, report.failed_jobs, report.cost, report.cost_ever) == (3, 1, 1.0, 1.0)
    report = await world.enroll([*rows, *people(1, first=5)], retry_failed="", price=0.5)
    assert (report.jobs, report.failed_jobs, report.cost) == (2, 1, 0.5)
    assert (report.jobs_ever, report.failed_jobs_ever, report.cost_ever) == (5, 2, 1.5)


async def test_a_report_has_the_times_of_its_run(world):
    report = await world.enroll(people(1))
    record = report.to_dict()
    assert record["started_at"].startswith("2027-01-15T08:00:00")
    assert record["duration"] == report.duration > 0


# Properties: for any list and ledger, the dry run and the run agree

_PAID = ("succeeded", "submitted", "expired")
_STATES = st.sampled_from([*_PAID, "pending", "failed", "submitting", "uncertain", "lost"])
_SOURCES = st.one_of(
    st.integers(0, 5).map(url),
    st.integers(0, 5).map(lambda number: presigned(number, 86_400)),
    st.integers(6, 8).map(lambda number: presigned(number, -10)),
    st.sampled_from(["s3://bucket/key", "https://example.com/a.wav?ticket=1", "https://example.com/a.wav?ticket=2"]),
)
_ROWS = st.one_of(
    st.builds(Row, st.sampled_from([f"person {number}" for number in range(8)]), _SOURCES),
    st.just(Problem("is not a row", line=3)),
)
_OPTIONS = st.fixed_dictionaries(
    {
        "skip_invalid": st.sampled_from([True, True, False]),
        "allow_shared_audio": st.booleans(),
        "replace": st.booleans(),
        "retry_expired": st.booleans(),
        "retry_failed": st.sampled_from([None, "", "no such text"]),
        "on_unknown": st.sampled_from(["hold", "resubmit"]),
        "max_jobs": st.one_of(st.none(), st.integers(0, 4)),
    }
)


def set_states(world: World, states: list[str]) -> None:
    """Change the rows of a finished run to the given states, with the traces that each leaves in a ledger."""
    now = world.clock.wall()
    for number, state in enumerate(states, 1):
        if state == "succeeded":
            continue
        stored = "submitting" if state == "lost" else state
        world.ask("UPDATE recordings SET state = ?, voiceprint = NULL WHERE id = ?", stored, number)
        if state in ("submitting", "uncertain", "lost"):
            world.ask("UPDATE recordings SET intended_from = ?, intended_until = ? WHERE id = ?", now, now, number)
        if state == "lost":  # the job exists, and its id never reached the ledger
            world.ask("DELETE FROM jobs WHERE recording_id = ?", number)
        if state not in _PAID:
            world.ask("UPDATE recordings SET job_id = NULL WHERE id = ?", number)


async def result_of(run) -> RunPlan | Report | str:
    """Return the result of a run or a dry run; the message, if it refuses the list."""
    try:
        return await run
    except ManifestError as error:
        return str(error)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    earlier=st.lists(_STATES, max_size=4),
    rows=st.lists(_ROWS, max_size=7),
    options=_OPTIONS,
)
async def test_a_dry_run_and_its_run_agree(tmp_path_factory, earlier, rows, options):
    clock = FakeClock()
    sandbox = Sandbox(now=clock.wall, sleep=clock.sleep, window="none", job_seconds=1.0)
    async with sandbox, AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, clock=clock) as client:
        world = World(clock, sandbox, client, tmp_path_factory.mktemp("run") / "speakers.ledger")
        if earlier:
            await world.enroll(people(len(earlier)))
            set_states(world, earlier)
        jobs_before = sandbox.state.jobs
        found = await result_of(DryRun(client, rows, world.path, Options(**options)).run())
        report = await result_of(world.enroll(rows, **options))
    if isinstance(found, str):
        assert report == found
        return
    assert [event.plan for event in world.of(RunPlanned)] == [found]
    assert tuple(world.of(RowWarning)) == found.warnings == report.warnings
    assert [event.problem for event in world.of(RowSkipped)] == [*found.problems]
    counts = ("rows", "invalid", "forgotten", "replaced", "expired")
    assert [getattr(report, name) for name in counts] == [getattr(found, name) for name in counts]
    assert found.jobs <= report.jobs <= found.jobs + found.possible_jobs
    assert report.jobs == sandbox.state.jobs - jobs_before
    assert found.cost <= report.cost <= found.cost + found.possible_jobs * found.price
    if not found.unresolved:
        assert (report.jobs, report.cost) == (found.jobs, found.cost)
        assert (report.failed, report.pending) == (found.failed + found.expiring, found.left)
        assert report.is_complete == found.is_complete
    assert report.is_complete or not found.is_complete
