"""The watcher: properties against a model of the API in made-up time, then every fault over real sockets."""

import asyncio
import logging
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import chain, cycle, pairwise, repeat

import pytest
from aiohttp import web
from fake_clock import START, settle
from hypothesis import example, given, settings
from hypothesis import strategies as st
from job_poller_model import ENDS, idle, most_in_a_minute, run, world

from pyannote_voiceprint_async import (
    ApiConnectionError,
    ApiTimeoutError,
    AsyncVoiceprintClient,
    AuthenticationError,
    ClientClosedError,
    JobCanceledError,
    JobCreated,
    JobError,
    JobExpiredError,
    JobFailedError,
    JobStatus,
    JobTimeoutError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RetryPolicy,
    ServerError,
    SubscriptionRequiredError,
    UnexpectedResponseError,
    VoiceprintError,
    VoiceprintJob,
    WebhookEvent,
)
from pyannote_voiceprint_async.models import VoiceprintOutput
from pyannote_voiceprint_async.sandbox import Sandbox, voiceprint_of

URL = "https://example.com/voice.wav"
OUTCOMES = {
    "succeeded": VoiceprintJob,
    "failed": JobFailedError,
    "failed without a word": JobFailedError,
    "canceled": JobCanceledError,
    "cancelled": JobCanceledError,
}
FAULTS = [
    ApiTimeoutError("late", retryable=True),
    ApiConnectionError("gone", retryable=True),
    ServerError("502", status=502, retryable=True),
    RateLimitError("429", status=429, retryable=True, retry_after=200.0),
    UnexpectedResponseError("?", retryable=True),
]


# Properties

# How often each fault may come is bounded by the list: a server that never answers well again ends no wait.
faults = st.lists(st.sampled_from([None, None, *FAULTS]), max_size=30)
latencies = st.lists(st.sampled_from([0.0, 0.0, 0.1, 2.0, 30.0]), max_size=30)
durations = st.sampled_from([0.0, 0.5, 3.0, 20.0, 240.0]) | st.floats(0.0, 600.0)
jobs = st.fixed_dictionaries(
    {
        "at": st.sampled_from([0.0, 0.0, 0.0, 1.0, 2.5, 30.0]) | st.floats(0.0, 300.0),
        "seconds": durations,
        "end": st.sampled_from(ENDS),
        "before": st.sampled_from(["running", "pending", "queued-by-a-later-version", "Succeeded"]),
        "output_after": st.sampled_from([0.0, 0.0, 4.0]),
        "foreign": st.sampled_from([0, 0, 0, 1, 120, 350]),
        "waits": st.integers(1, 2),
        "has_webhook": st.sampled_from([False, False, True]),
    }
)


async def tell(made, plan, timeout=86_400.0):
    """Let the jobs of a plan come at their time, and wait for each."""
    waits = []
    for number, how in sorted(enumerate(plan), key=lambda one: one[1]["at"]):
        await made.pass_by(how["at"])
        job = made.api.add(
            f"job-{number}", how["seconds"], end=how["end"], before=how["before"], output_after=how["output_after"]
        )
        made.api.add_foreign(how["foreign"])
        waits += [(job, made.wait(job.job_id, timeout, has_webhook=how["has_webhook"])) for _ in range(how["waits"])]
    return waits


@settings(deadline=None, max_examples=150)
@given(plan=st.lists(jobs, max_size=12), faults=faults, latencies=latencies, has_pages=st.booleans())
def test_every_wait_ends_with_the_outcome_of_its_job(plan, faults, latencies, has_pages):
    """Whatever the team does, in whatever order answers come, whichever looks fail."""

    async def scene():
        async with world(
            faults=chain(faults, repeat(None)), latencies=chain(latencies, repeat(0.0)), has_pages=has_pages
        ) as made:
            waits = await tell(made, plan)
            ended = await made.finish(*(task for _, task in waits))
            for (job, _), outcome in zip(waits, ended, strict=True):
                assert (type(outcome), outcome.job_id) == (OUTCOMES[job.end], job.job_id)
            if not faults:
                # Not even where two wait for it.
                assert set(made.api.useful.values()) <= {1}

    run(scene())


@settings(deadline=None, max_examples=100)
@given(
    plan=st.lists(jobs, min_size=1, max_size=12),
    patience=st.lists(st.floats(0.0, 700.0), min_size=1),
    leave=st.lists(st.none() | st.floats(0.0, 300.0), min_size=1),
    latencies=latencies,
    faults=faults,
)
def test_waits_that_are_left_at_any_moment_leave_nothing(plan, patience, leave, latencies, faults):
    """Neither tasks, timers nor futures: `world` looks when it is left. Each timeout comes at its time."""

    async def scene():
        async with world(latencies=chain(latencies, repeat(0.1)), faults=chain(faults, repeat(None))) as made:
            ends = {}

            async def wait(job, seconds):
                until = made.clock.time() + seconds
                try:
                    await made.watcher.wait(job.job_id, until)
                except JobTimeoutError as error:
                    ends[job.job_id] = (error.job_id, made.clock.time() - until)
                except VoiceprintError:
                    pass

            tasks = []
            # The plan comes first: it is what ends.
            for number, (how, seconds, gone) in enumerate(zip(plan, cycle(patience), cycle(leave), strict=False)):
                job = made.api.add(f"job-{number}", how["seconds"], end=how["end"])
                task = asyncio.create_task(wait(job, seconds))
                tasks.append(task)
                if gone is not None:
                    made.clock.call_at(gone, task.cancel)
            await made.finish(*tasks)
            made.clock.jump(made.clock.time() + 1000.0)  # past the calls that cancel
            assert ends == {job_id: (job_id, 0.0) for job_id in ends}

    run(scene())


@settings(deadline=None, max_examples=60)
@given(offsets=st.lists(st.floats(0.0, 40.0), min_size=1, max_size=20), busy=st.integers(0, 3))
@example(offsets=[0.0], busy=1)
def test_a_new_wait_is_looked_at_soon(offsets, busy):
    """Within `first` where few wait, and never later than `longest`, however long others have been waiting."""

    async def scene():
        async with world() as made:
            tasks = []
            for number in range(busy):
                made.api.add(f"long-{number}", 400.0)
                tasks.append(made.wait(f"long-{number}"))
            await made.pass_by(200.0)
            for number, offset in enumerate(sorted(offsets)):
                await made.pass_by(200.0 + offset)
                made.api.add(f"job-{number}", 0.0)
                tasks.append(made.wait(f"job-{number}"))
            await made.pass_by(200.0 + max(offsets) + 10.0)
            seen = {job_id: at for at, job_id in reversed(made.api.reads)}
            late = [seen[f"job-{number}"] - 200.0 - offset for number, offset in enumerate(sorted(offsets))]
            # From three on it may take the two seconds that a page is to be rested from.
            assert max(late) <= (3.0 if len(offsets) + busy > 2 else 1.0) + 1e-9
            await made.finish(*tasks)

    run(scene())


# At the API's real scale


@pytest.mark.parametrize(
    # Where jobs are so short that one or two are there at a time, each is read up to twice, and no list is needed.
    ("minutes", "most"),
    [(0.01, 1000), (0.02, 2000), (0.03, 2000), (0.05, 1500), (0.1, 1500), (1.0, 1500), (4.0, 1500)],
)
@pytest.mark.parametrize("latency", [0.0, 0.3])
async def test_a_steady_flow_costs_at_most_one_and_a_half_requests_a_job(minutes, most, latency):
    """1,000 jobs, 100 a minute, however long each takes; the budgets are those of the documents."""
    async with world(budget=300, latencies=repeat(latency)) as made:
        tasks, delays = [], []

        async def wait(job):
            await made.watcher.wait(job.job_id, made.clock.time() + 900.0)
            delays.append(made.clock.time() - job.ends_at)

        for number in range(1000):
            await made.pass_by(number * 0.6)
            job = made.api.add(f"job-{number}", minutes * 60.0)
            tasks.append(asyncio.create_task(wait(job)))
        await made.finish(*tasks)
        assert (len(delays), set(made.api.useful.values())) == (1000, {1})
        assert len(made.api.lists) + len(made.api.reads) <= most
        assert most_in_a_minute(made.api.lists) <= 60
        # Four minutes of jobs are five pages, which are looked through every ten seconds.
        assert max(delays) <= 13.0


@pytest.mark.parametrize(
    ("foreign", "seconds", "most_lists"), [(0, 0.0, 5), (0, 300.0, 60), (2000, 300.0, 200), (100_000, 0.0, 300)]
)
async def test_500_waits_stay_inside_the_budgets(foreign, seconds, most_lists):
    """Those of the documents are 300 lists and 300 reads a minute; below 200 there is room for others."""
    async with world(budget=300) as made:
        for number in range(500):
            made.api.add(f"job-{number}", seconds)
        made.api.add_foreign(foreign)
        ended = await made.finish(*(made.wait(f"job-{number}") for number in range(500)))
        assert {type(outcome) for outcome in ended} == {VoiceprintJob}
        assert most_in_a_minute(made.api.lists) <= most_lists
        assert most_in_a_minute(at for at, _ in made.api.reads) <= 300
        assert set(made.api.useful.values()) == {1}
        assert made.clock.time() <= seconds + 200.0


async def test_without_pages_nobody_is_passed_over():
    """However many are waited for longer: all are read within ten looks."""
    async with world(has_pages=False) as made:
        for number in range(400):
            made.api.add(f"job-{number}", 0.0 if number > 390 else 1000.0)
        tasks = [made.wait(f"job-{number}") for number in range(400)]
        await made.finish(*tasks[391:])
        assert made.clock.time() <= 90.0
        await made.finish(*tasks)


async def test_without_pages_500_jobs_are_read_in_turn():
    async with world(budget=300, has_pages=False) as made:
        for number in range(500):
            made.api.add(f"job-{number}", 120.0)
        await made.finish(*(made.wait(f"job-{number}") for number in range(500)))
        assert len(made.api.lists) == 1
        assert most_in_a_minute(at for at, _ in made.api.reads) <= 300
        assert made.clock.time() <= 120.0 + 100.0


# When it looks


async def test_the_pause_grows_by_half_up_to_the_longest():
    async with world() as made:
        made.api.add("job", 60.0)
        await made.finish(made.wait("job"))
        times = [at for at, _ in made.api.reads]
        pauses = [after - before for before, after in pairwise([0.0, *times])]
        assert pauses == pytest.approx([1.0, 1.5, 2.25, 3.375, 5.0625, 7.59375, 10.0, 10.0, 10.0, 10.0])


async def test_the_pause_falls_back_when_something_finished():
    """Also after more jobs than whose durations are remembered."""
    async with world() as made:
        for number in range(154):
            made.api.add(f"job-{number}", 5.0 if number < 150 else 100.0 if number == 150 else 300.0)
        tasks = [made.wait(job_id) for job_id in made.api.jobs]
        await made.finish(*tasks)
        at = next(at for at, job_id in made.api.reads if job_id == "job-150")
        pauses = [after - before for before, after in pairwise(made.api.lists)]
        found = made.api.lists.index(at)
        # Two seconds are the rest after a page; behind it the pause begins at one again.
        assert pauses[found - 1 : found + 3] == pytest.approx([10.0, 2.0, 2.0, 2.25])


async def test_the_pause_of_a_long_job_does_not_slow_down_a_short_one():
    async with world() as made:
        made.api.add("long", 1000.0)
        long = made.wait("long")
        await made.pass_by(500.0)
        made.api.add("short", 2.0)
        await made.finish(made.wait("short"))
        assert made.clock.time() <= 504.0
        await made.finish(long)


async def test_up_to_two_are_read_one_by_one_and_three_by_list():
    for waits, expected in ((2, (0, 2)), (3, (1, 3))):
        async with world() as made:
            for number in range(waits):
                made.api.add(f"job-{number}", 0.0)
            await made.finish(*(made.wait(f"job-{number}") for number in range(waits)))
            assert (len(made.api.lists), len(made.api.reads)) == expected


async def test_jobs_left_to_their_webhooks_are_not_looked_at_before():
    async with world() as made:
        for number in range(5):
            made.api.add(f"job-{number}", 1.0)
        tasks = [made.wait(f"job-{number}", has_webhook=True) for number in range(5)]
        await made.pass_by(59.9)
        assert (made.api.lists, made.api.reads) == ([], [])
        await made.finish(*tasks)
        assert (len(made.api.lists), len(made.api.reads)) == (1, 5)


# Who waits


async def test_waits_one_after_the_other():
    """The end of one wait ends the watcher's task, in the very moment in which the next one begins."""
    async with world(latencies=repeat(0.2)) as made:

        async def wait_for_all():
            for number in range(5):
                made.api.add(f"job-{number}", 0.0)
                with pytest.raises(JobTimeoutError):
                    await made.watcher.wait(f"job-{number}", made.clock.time() + 0.5)
                await made.watcher.wait(f"job-{number}", made.clock.time() + 10.0)

        assert await made.finish(asyncio.create_task(wait_for_all())) == [None]
        assert made.clock.time() == pytest.approx(5 * 1.7)


async def test_two_that_wait_for_the_same_job_again_and_again():
    """The end of the second wait must not take along the first one's next."""
    async with world() as made:
        made.api.add("job", 0.0)

        async def wait_again():
            return [await made.watcher.wait("job", made.clock.time() + 5.0) for _ in range(3)]

        ended = await made.finish(*(asyncio.create_task(wait_again()) for _ in range(2)))
        assert [job.voiceprint for jobs in ended for job in jobs] == ["voice"] * 6
        assert (made.clock.time(), len(made.api.reads)) == (3.0, 3)


async def test_a_wait_that_begins_anew_while_the_job_is_read():
    """What the first wait's read brings must not make the second one forgotten."""
    async with world(latencies=repeat(4.0)) as made:
        made.api.add("other", 100.0)
        other = made.wait("other")
        made.api.add("job", 0.0)
        (late,) = await made.finish(made.wait("job", timeout=3.0))
        assert isinstance(late, JobTimeoutError)
        (job,) = await made.finish(made.wait("job", timeout=20.0))
        assert job.voiceprint == "voice"
        await made.finish(other)


async def test_a_job_that_nobody_waits_for_any_more_is_not_read():
    """Not even where its read has been waiting for its turn."""
    async with world(budget=300) as made:
        for number in range(400):
            made.api.add(f"job-{number}", 0.0)
        tasks = [made.wait(f"job-{number}") for number in range(400)]
        await made.pass_by(30.0)
        for task in tasks[:-1]:
            task.cancel()
        await made.finish(tasks[-1])
        assert len(made.api.reads) == 301


async def test_a_persons_own_read_has_not_to_wait_for_those_of_all_waits():
    async with world(budget=300) as made:
        for number in range(1000):
            made.api.add(f"job-{number}", 0.0)
        for number in range(3):
            made.api.add(f"long-{number}", 1000.0)
        tasks = [made.wait(job_id) for job_id in made.api.jobs]
        await made.pass_by(30.0)
        await made.finish(asyncio.create_task(made.api.read_job("job-0")))
        assert made.clock.time() <= 61.0
        await made.pass_by(150.0)
        # As many as it takes to see 1,003 jobs: while reads are behind, nothing more is asked.
        assert len(made.api.lists) == 11
        await made.finish(*tasks)


async def test_one_task_watches_for_all_and_ends_with_the_last():
    async with world() as made:
        made.api.add("job", 100.0)
        tasks = [made.wait("job") for _ in range(50)]
        await made.pass_by(10.5)
        assert len(asyncio.all_tasks()) == 1 + 50 + 1
        for task in tasks[:-1]:
            task.cancel()
        await idle()
        assert len(asyncio.all_tasks()) == 3
        tasks[-1].cancel()
        await idle()
        assert len(asyncio.all_tasks()) == 1


async def test_a_read_that_takes_long_holds_up_nobody_else():
    """Each request for one of the jobs takes five minutes."""

    def slow_for_the_first():
        yield from [0.0, 300.0]  # the page, and job 0
        yield from repeat(0.0)

    async with world(latencies=slow_for_the_first()) as made:
        for number in range(5):
            made.api.add(f"job-{number}", 0.0 if number == 0 else number * 20.0)
        tasks = [made.wait(f"job-{number}") for number in range(5)]
        await made.finish(*tasks[1:])
        assert made.clock.time() <= 90.0
        asked = (len(made.api.lists), len(made.api.reads))
        await made.finish(tasks[0])
        assert (len(made.api.lists), len(made.api.reads)) == asked


async def test_jobs_that_are_being_read_are_not_asked_for():
    async with world(latencies=chain([0.0], repeat(50.0))) as made:
        for number in range(4):
            made.api.add(f"job-{number}", 0.0)
        await made.finish(*(made.wait(f"job-{number}") for number in range(4)))
        assert (len(made.api.lists), len(made.api.reads)) == (1, 4)


async def test_a_list_that_takes_long_does_not_hold_up_a_webhook():
    async with world(latencies=chain([100.0], repeat(0.0))) as made:
        for number in range(3):
            made.api.add(f"job-{number}", 5.0)
        tasks = [made.wait(f"job-{number}") for number in range(3)]
        await made.pass_by(10.0)
        made.watcher.deliver(event("job-1"))
        await made.finish(tasks[1])
        assert made.clock.time() == 10.0
        await made.finish(*tasks)


# Logging and webhooks


@pytest.mark.parametrize("stragglers", [1, 3])
async def test_a_job_far_beyond_the_others_is_logged_once(caplog, stragglers):
    """Where it is read, and where it is seen in lists."""
    caplog.set_level(logging.WARNING, "pyannote_voiceprint_async")
    async with world() as made:
        for number in range(10):
            made.api.add(f"job-{number}", 4.0)
        for number in range(stragglers):
            made.api.add(f"straggler-{number}", 600.0)
        await made.finish(*(made.wait(job_id) for job_id in list(made.api.jobs)))
    assert [record.args[0] for record in caplog.records] == [f"straggler-{number}" for number in range(stragglers)]


async def test_jobs_that_are_seen_to_have_finished_are_no_stragglers(caplog):
    """They ended in the very moment in which they would have become some."""
    caplog.set_level(logging.WARNING, "pyannote_voiceprint_async")
    async with world(latencies=cycle([0.0, 0.1])) as made:
        for number in range(13):
            made.api.add(f"job-{number}", 4.0 if number < 10 else 60.0)
        await made.finish(*(made.wait(job_id) for job_id in list(made.api.jobs)))
        assert made.clock.time() > 60.0
    assert caplog.records == []


async def test_jobs_that_only_wait_to_be_read_are_no_stragglers(caplog):
    caplog.set_level(logging.WARNING, "pyannote_voiceprint_async")
    async with world(budget=300) as made:
        for number in range(1000):
            made.api.add(f"job-{number}", 0.0)
        await made.finish(*(made.wait(f"job-{number}") for number in range(1000)))
        assert made.clock.time() > 120.0
    assert caplog.records == []


def event(job_id, status=JobStatus.SUCCEEDED, output=None):
    return WebhookEvent(job_id, status, output, datetime.fromtimestamp(START, UTC))


@pytest.mark.parametrize("early", [False, True])
async def test_a_webhook_with_an_output_is_the_answer(early):
    async with world() as made:
        made.api.add("job", 0.0)
        told = event("job", output=VoiceprintOutput("told"))
        if early:
            made.watcher.deliver(told)
        task = made.wait("job", has_webhook=True)
        await idle()
        made.watcher.deliver(told)
        (job,) = await made.finish(task)
        assert (job.voiceprint, made.clock.time(), made.api.reads) == ("told", 0.0, [])


async def test_a_webhook_without_output_has_the_job_read_at_once_until_that_works():
    """Though the job was left to its webhook for a minute."""
    async with world(faults=chain([FAULTS[0], FAULTS[2]], repeat(None))) as made:
        made.api.add("job", 5.0)
        task = made.wait("job", has_webhook=True)
        await made.pass_by(5.0)
        made.watcher.deliver(event("job"))
        await made.finish(task)
        assert [at for at, _ in made.api.reads] == [5.0, 6.0, 7.5]


async def test_a_webhook_that_is_ahead_of_the_api_is_not_insisted_on():
    async with world() as made:
        made.api.add("job", 20.0)
        task = made.wait("job", has_webhook=True)
        await made.pass_by(5.0)
        made.watcher.deliver(event("job"))
        await made.finish(task)
        assert len(made.api.reads) <= 7


async def test_a_webhook_that_comes_while_the_job_is_read_has_it_read_again():
    """The read may have been answered before the job ended."""
    async with world(latencies=repeat(1.0)) as made:
        made.api.add("job", 1.6)
        task = made.wait("job")
        await made.pass_by(1.7)  # it was seen at 1.5, its answer is on the way
        made.watcher.deliver(event("job"))
        await made.finish(task)
        assert made.clock.time() == 3.0


# Ends


async def test_a_job_that_the_api_does_not_know_at_first():
    """A 404 is believed the second time."""
    async with world() as made:
        task = made.wait("job")
        await made.pass_by(1.5)
        made.api.add("job", 0.0)
        (job,) = await made.finish(task)
        assert (job.voiceprint, len(made.api.reads)) == ("voice", 2)
        (gone,) = await made.finish(made.wait("other"))
        assert (type(gone), gone.job_id) == (JobExpiredError, "other")


async def test_a_404_now_and_then_is_not_believed():
    missing = NotFoundError("404", status=404)
    async with world(faults=cycle([missing, None])) as made:
        made.api.add("job", 30.0)
        (job,) = await made.finish(made.wait("job"))
        assert job.voiceprint == "voice"


@pytest.mark.parametrize("others", [0, 4])
async def test_a_job_that_vanishes_while_it_is_waited_for(others):
    async with world() as made:
        made.api.add("job", 1000.0, vanishes_at=20.0)
        tasks = [made.wait("job")]
        for number in range(others):
            made.api.add(f"job-{number}", 50.0)
            tasks.append(made.wait(f"job-{number}"))
        gone, *rest = await made.finish(*tasks)
        assert (type(gone), gone.job_id) == (JobExpiredError, "job")
        assert {type(job) for job in rest} <= {VoiceprintJob}


@pytest.mark.parametrize(
    "error", [AuthenticationError("401"), SubscriptionRequiredError("402"), PermissionDeniedError("403")]
)
@pytest.mark.parametrize("waits", [1, 30])
async def test_an_error_of_the_account_ends_the_waits_with_their_job_ids(error, waits):
    async with world(faults=repeat(error)) as made:
        for number in range(waits):
            made.api.add(f"job-{number}", 5.0)
        ended = await made.finish(*(made.wait(f"job-{number}") for number in range(waits)))
        assert [type(one) for one in ended] == [type(error)] * waits
        assert [one.job_id for one in ended] == [f"job-{number}" for number in range(waits)]


@pytest.mark.parametrize("error", [AuthenticationError("401"), PermissionDeniedError("403")])
async def test_a_revoked_key_ends_all_waits_after_one_round_of_reads(error):
    """1,500 jobs must not cost 1,500 refused requests."""
    async with world(faults=chain([None] * 20, repeat(error)), latencies=repeat(0.1)) as made:
        for number in range(1500):
            made.api.add(f"job-{number}", 600.0)
        tasks = [made.wait(f"job-{number}") for number in range(1500)]
        ended = await made.finish(*tasks)
        assert {type(one) for one in ended} == {type(error)}
        assert [one.job_id for one in ended] == [f"job-{number}" for number in range(1500)]
        assert 20 < len(made.api.reads) + len(made.api.lists) <= 20 + 33


async def test_a_key_that_may_not_list_jobs_reads_them_one_by_one():
    denied = PermissionDeniedError("403", status=403)
    async with world() as made:
        send = made.api.send

        async def refuse(endpoint, *, query):
            await send(endpoint, query=query)
            raise denied

        made.api.send = refuse
        for number in range(5):
            made.api.add(f"job-{number}", 5.0)
        jobs = await made.finish(*(made.wait(f"job-{number}") for number in range(5)))
        assert {job.voiceprint for job in jobs} == {"voice"}


@asynccontextmanager
async def serving(*routes):
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


OUTPUTS = {
    "diarize": {"diarization": [{"speaker": "SPEAKER_00", "start": 0.0, "end": 1.0}]},
    "identify": {"diarization": [], "identification": [{"speaker": "Ada", "match": None}], "voiceprints": []},
    "a later kind": {"transcript": "…"},
    "nothing that this version knows": {"warning": "short", "segments": None},
}


@pytest.mark.parametrize("output", [*OUTPUTS.values(), {}, None], ids=[*OUTPUTS, "an empty output", "no output"])
@pytest.mark.parametrize("waits", [1, 4])
async def test_a_job_of_any_kind_ends_its_wait(start, clock, output, waits):
    at = datetime.fromtimestamp(START, UTC).isoformat()

    async def job(request):
        fields = {"jobId": request.match_info["job_id"], "status": "succeeded", "createdAt": at, "updatedAt": at}
        return web.json_response(fields | {"output": output})

    client = await connect(start, await start(serving(web.get("/v1/jobs/{job_id}", job))), clock=clock)
    async with clock.running(client):
        jobs = await asyncio.gather(*(client.wait(f"job-{number}") for number in range(waits)))
    assert {job.status for job in jobs} == {"succeeded"}
    assert [job.output and {**job.output.extra} for job in jobs] == [
        output and {name: value for name, value in output.items() if name != "warning"}
    ] * waits
    assert clock.time() <= (2.0 if output else 75.0)


async def test_a_voiceprint_is_never_made_of_another_kind_of_output(start, clock):
    async def submitted(_request):
        return web.json_response({"jobId": "job-1", "status": "created"})

    async def job(_request):
        return web.json_response({"jobId": "job-1", "status": "succeeded", "output": OUTPUTS["diarize"]})

    api = serving(web.post("/v1/voiceprint", submitted), web.get("/v1/jobs/job-1", job))
    client = await connect(start, await start(api), clock=clock)
    async with clock.running(client):
        with pytest.raises(JobError, match="a job of another kind") as caught:
            await client.voiceprint(URL)
    assert (type(caught.value), caught.value.job_id) == (JobError, "job-1")


async def test_a_defect_of_ours_leaves_nobody_waiting(caplog):
    async with world(faults=chain([ZeroDivisionError()], repeat(None))) as made:
        made.api.add("job", 0.0)
        (error,) = await made.finish(made.wait("job"))
        assert (type(error), error.job_id) == (VoiceprintError, "job")
        assert "ZeroDivisionError" in str(error)
        (job,) = await made.finish(made.wait("job"))
        assert job.voiceprint == "voice"


# Over real sockets


async def connect(start, base_url, **how):
    """A client that repeats nothing by itself: what a wait survives is then the watcher's doing."""
    return await start(
        AsyncVoiceprintClient("sandbox-key", base_url=base_url, **({"retry": RetryPolicy(max_tries=1)} | how))
    )


async def serve(start, clock, **how):
    """A sandbox without limits, unless they are given, and a client, both on the clock."""
    sandbox = await start(Sandbox(**({"window": "none", "now": clock.wall, "sleep": clock.sleep} | how)))
    return sandbox, await connect(start, sandbox.url, clock=clock)


async def submit(client, number, source=URL):
    return [(await client.submit(source)).job_id for _ in range(number)]


@asynccontextmanager
async def passing(clock):
    """Let time pass while requests are on the wire: latencies of the sandbox are part of it."""

    async def run():
        while True:
            await asyncio.sleep(0.001)
            clock.jump(clock.time() + 0.25)

    task = asyncio.create_task(run())
    try:
        yield
    finally:
        task.cancel()


@pytest.mark.parametrize("waits", [1, 30])
@pytest.mark.parametrize("operation", ["job", "jobs"])
@pytest.mark.parametrize("fault", ["drop-before-read", "server-error", "bad-gateway", "unavailable", "rate-limited"])
async def test_no_failed_look_ends_a_wait(start, clock, waits, operation, fault):
    sandbox, client = await serve(start, clock, job_seconds=20.0)
    job_ids = await submit(client, waits)
    sandbox.fail_next([fault] * 8, operation=operation)
    async with clock.running(client):
        jobs = await asyncio.gather(*map(client.wait, job_ids))
    assert [job.job_id for job in jobs] == job_ids
    assert {job.voiceprint for job in jobs} == {voiceprint_of(URL)}


async def test_a_rough_network_is_waited_through(start, clock):
    """Latencies, and one in four requests fails in one way or another."""
    _, client = await serve(
        start,
        clock,
        job_seconds=(0.0, 60.0),
        latency=(0.01, 2.0),
        faults={"drop-before-read": 0.1, "server-error": 0.05, "bad-gateway": 0.05, "unavailable": 0.05},
    )
    async with passing(clock):
        job_ids = []
        while len(job_ids) < 60:
            tried = await asyncio.gather(*(client.submit(URL) for _ in range(20)), return_exceptions=True)
            job_ids += [job.job_id for job in tried if isinstance(job, JobCreated)]
        jobs = await asyncio.gather(*map(client.wait, job_ids))
    assert [job.job_id for job in jobs] == job_ids


async def test_the_reads_of_many_waits_stay_inside_the_servers_limit(start, clock):
    """500 finished jobs at 300 reads a minute: not one 429."""
    sandbox, client = await serve(start, clock, window="sliding", rate_limit=(1_000_000, 60.0), job_seconds=5.0)
    job_ids = await submit(client, 500)
    async with clock.running(client):
        jobs = await asyncio.gather(*map(client.wait, job_ids))
    operations = sandbox.state.operations
    assert (len(jobs), sandbox.state.total.rate_limited) == (500, 0)
    assert operations["job"].requests == 500
    assert operations["jobs"].requests <= 20


async def test_jobs_beneath_those_of_other_programs_are_found(start, clock):
    """Older than the first pages, finished long ago."""
    sandbox, client = await serve(start, clock, window="sliding", rate_limit=(1_000_000, 60.0), job_seconds=1.0)
    job_ids = await submit(client, 20)
    other = await connect(start, sandbox.url, clock=clock)
    await submit(other, 450)
    async with clock.running(client):
        jobs = await asyncio.gather(*map(client.wait, job_ids))
    assert [job.job_id for job in jobs] == job_ids
    operations = sandbox.state.operations
    assert (operations["jobs"].requests, operations["job"].requests) == (5, 20)


@pytest.mark.parametrize(
    ("source", "failed_output", "error", "message"),
    [
        ("https://example.com/unreachable.wav", "error", JobFailedError, "Could not load audio"),
        ("https://example.com/unreachable.wav", "null", JobFailedError, None),
        ("https://example.com/unreachable.wav", "missing", JobFailedError, None),
        ("https://example.com/canceled.wav", "error", JobCanceledError, None),
    ],
)
@pytest.mark.parametrize("waits", [1, 4])
async def test_jobs_that_end_badly_say_so_with_their_id(start, clock, waits, source, failed_output, error, message):
    _, client = await serve(start, clock, job_seconds=5.0, failed_output=failed_output)
    job_ids = await submit(client, waits, source)
    async with clock.running(client):
        ended = await asyncio.gather(*map(client.wait, job_ids), return_exceptions=True)
    assert [(type(one), one.job_id, one.message) for one in ended] == [(error, job_id, message) for job_id in job_ids]


@pytest.mark.parametrize("waits", [1, 4])
async def test_outputs_that_are_deleted_are_told_apart_from_jobs_that_take_long(start, clock, waits):
    _, client = await serve(start, clock, job_seconds=5.0)
    job_ids = await submit(client, waits)
    await clock.advance(24 * 3600.0 + 5.0)
    async with clock.running(client):
        ended = await asyncio.gather(*map(client.wait, job_ids), return_exceptions=True)
    assert [(type(one), one.job_id) for one in ended] == [(JobExpiredError, job_id) for job_id in job_ids]


@pytest.mark.parametrize("waits", [1, 4])
async def test_a_wait_that_was_too_short_is_picked_up_by_another_program(start, clock, waits):
    sandbox, client = await serve(start, clock, job_seconds=100.0)
    job_ids = await submit(client, waits)
    async with clock.running(client):
        ended = await asyncio.gather(*(client.wait(job_id, timeout=30.0) for job_id in job_ids), return_exceptions=True)
    assert [(type(one), one.job_id) for one in ended] == [(JobTimeoutError, job_id) for job_id in job_ids]
    assert clock.time() == 30.0
    other = await connect(start, sandbox.url, clock=clock)
    async with clock.running(other):
        jobs = await asyncio.gather(*(other.wait(one.job_id) for one in ended))
    assert {job.voiceprint for job in jobs} == {voiceprint_of(URL)}


@pytest.mark.parametrize("waits", [1, 4])
@pytest.mark.parametrize("looking", [False, True])
async def test_closing_the_client_ends_its_waits_with_their_job_ids(start, clock, waits, looking):
    """While it rests, and while a request is on the wire."""
    _, client = await serve(start, clock, job_seconds=100.0)
    job_ids = await submit(client, waits)
    if looking:
        _, client = await serve(start, clock, latency=50.0)
    tasks = [asyncio.create_task(client.wait(job_id)) for job_id in job_ids]
    await settle()
    await clock.advance(1.0)
    while client.stats.in_flight != looking:
        await asyncio.sleep(0.001)  # the request, if there is one, is on its way over a real socket
    await client.aclose()
    assert [task for task in asyncio.all_tasks() if "JobPoller" in repr(task) and task not in tasks] == []
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [(type(one), one.job_id) for one in ended] == [(ClientClosedError, job_id) for job_id in job_ids]
    with pytest.raises(ClientClosedError) as closed:
        await client.wait(job_ids[0])
    assert closed.value.job_id == job_ids[0]


async def test_a_wait_in_another_event_loop_says_what_to_do(client):
    (job_id,) = await submit(client, 1)

    def wait_elsewhere():
        with pytest.raises(ClientClosedError, match="another event loop") as refused:
            asyncio.run(client.wait(job_id, timeout=0.001))  # sooner than any request would tell
        return refused.value.job_id

    assert await asyncio.to_thread(wait_elsewhere) == job_id


@asynccontextmanager
async def older_api(clock, jobs):
    """An API without lists, whose jobs have statuses that nobody knows until they end as they are told to."""
    asked = []

    async def answer(request):
        asked.append(request.path)
        *where, job_id = request.path.split("/")
        if where != ["", "v1", "jobs"]:
            raise web.HTTPNotFound
        ends_at, end = jobs[job_id]
        job = {"jobId": job_id, "status": "analysing", "updatedAt": None, "output": None}
        return web.json_response(job | (end if clock.time() >= ends_at else {}))

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", asked
    finally:
        await runner.cleanup()


async def test_an_api_without_lists_and_with_its_own_spelling(start, clock):
    """It is asked for a list once."""
    ends = {
        "done": (5.0, {"status": "succeeded", "output": {"voiceprint": "voice"}}),
        "british": (20.0, {"status": "cancelled"}),
        "american": (20.0, {"status": "canceled"}),
        "failed": (30.0, {"status": "failed", "output": None}),
        "told": (30.0, {"status": "failed", "output": {"error": "Could not load audio"}}),
        "empty": (40.0, {"status": "succeeded"}),
    }
    url, asked = await start(older_api(clock, ends))
    client = await connect(start, url, clock=clock)
    async with clock.running(client):
        ended = await asyncio.gather(*map(client.wait, ends), return_exceptions=True)
    expected = [VoiceprintJob, JobCanceledError, JobCanceledError, JobFailedError, JobFailedError, JobExpiredError]
    assert [type(one) for one in ended] == expected
    assert [one.job_id for one in ended] == list(ends)
    assert [one.message for one in ended[3:5]] == [None, "Could not load audio"]
    assert asked.count("/v2/jobs") == 1
