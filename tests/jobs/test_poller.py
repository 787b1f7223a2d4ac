"""The job poller: properties against a model of the API in simulated time, then every fault over real sockets."""

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
    IdentificationOutput,
    Job,
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
    WebhookEvent,
)
from pyannote_voiceprint_async.models import VoiceprintOutput
from pyannote_voiceprint_async.sandbox import Sandbox, voiceprint_of

URL = "https://example.com/voice.wav"
OUTCOMES = {
    "succeeded": Job,
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

# A finite list bounds the number of faults: with a server that fails for ever, no wait would end.
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


async def add_jobs_and_wait(made, plan, timeout=86_400.0):
    """Add each job of a plan at its time, and wait for it."""
    waits = []
    for number, how in sorted(enumerate(plan), key=lambda one: one[1]["at"]):
        await made.advance(how["at"])
        job = made.api.add(
            f"job-{number}", how["seconds"], end=how["end"], before=how["before"], output_after=how["output_after"]
        )
        made.api.add_foreign(how["foreign"])
        waits += [(job, made.wait(job.job_id, timeout, has_webhook=how["has_webhook"])) for _ in range(how["waits"])]
    return waits


@settings(deadline=None, max_examples=150)
@given(plan=st.lists(jobs, max_size=12), faults=faults, latencies=latencies, has_pages=st.booleans())
def test_every_wait_ends_with_the_outcome_of_its_job(plan, faults, latencies, has_pages):
    """Whatever other jobs the team has, in whatever order responses arrive, whichever polls fail."""

    async def scene():
        async with world(
            faults=chain(faults, repeat(None)), latencies=chain(latencies, repeat(0.0)), has_pages=has_pages
        ) as made:
            waits = await add_jobs_and_wait(made, plan)
            ended = await made.finish(*(task for _, task in waits))
            for (job, _), outcome in zip(waits, ended, strict=True):
                assert (type(outcome), outcome.job_id) == (OUTCOMES[job.end], job.job_id)
            if not faults:
                # Also where two callers wait for the same job.
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
def test_waits_that_are_cancelled_at_any_moment_leave_nothing_behind(plan, patience, leave, latencies, faults):
    """No tasks, timers or futures, which `world` checks at its end. Each timeout comes at its time."""

    async def scene():
        async with world(latencies=chain(latencies, repeat(0.1)), faults=chain(faults, repeat(None))) as made:
            ends = {}

            async def wait(job, seconds):
                until = made.clock.time() + seconds
                try:
                    await made.poller.wait(job.job_id, until)
                except JobTimeoutError as error:
                    ends[job.job_id] = (error.job_id, made.clock.time() - until)
                except VoiceprintError:
                    pass

            tasks = []
            # `plan` comes first because it is the finite one.
            for number, (how, seconds, gone) in enumerate(zip(plan, cycle(patience), cycle(leave), strict=False)):
                job = made.api.add(f"job-{number}", how["seconds"], end=how["end"])
                task = asyncio.create_task(wait(job, seconds))
                tasks.append(task)
                if gone is not None:
                    made.clock.call_at(gone, task.cancel)
            await made.finish(*tasks)
            made.clock.jump(made.clock.time() + 1000.0)  # past the timers that cancel the tasks
            assert ends == {job_id: (job_id, 0.0) for job_id in ends}

    run(scene())


@settings(deadline=None, max_examples=60)
@given(offsets=st.lists(st.floats(0.0, 40.0), min_size=1, max_size=20), busy=st.integers(0, 3))
@example(offsets=[0.0], busy=1)
def test_a_new_job_is_polled_soon(offsets, busy):
    """Within `first` where few jobs are awaited, always within `longest`, however long other jobs have been running."""

    async def scene():
        async with world() as made:
            tasks = []
            for number in range(busy):
                made.api.add(f"long-{number}", 400.0)
                tasks.append(made.wait(f"long-{number}"))
            await made.advance(200.0)
            for number, offset in enumerate(sorted(offsets)):
                await made.advance(200.0 + offset)
                made.api.add(f"job-{number}", 0.0)
                tasks.append(made.wait(f"job-{number}"))
            await made.advance(200.0 + max(offsets) + 10.0)
            seen = {job_id: at for at, job_id in reversed(made.api.reads)}
            late = [seen[f"job-{number}"] - 200.0 - offset for number, offset in enumerate(sorted(offsets))]
            # With three jobs or more, the rest of two seconds after a page may come first.
            assert max(late) <= (3.0 if len(offsets) + busy > 2 else 1.0) + 1e-9
            await made.finish(*tasks)

    run(scene())


# At the API's real scale


@pytest.mark.parametrize(
    # Where jobs are so short that only one or two run at a time, each is read up to twice, and no page is needed.
    ("minutes", "most"),
    [(0.01, 1000), (0.02, 2000), (0.03, 2000), (0.05, 1500), (0.1, 1500), (1.0, 1500), (4.0, 1500)],
)
@pytest.mark.parametrize("latency", [0.0, 0.3])
async def test_a_steady_flow_costs_at_most_one_and_a_half_requests_a_job(minutes, most, latency):
    """1,000 jobs, 100 a minute, however long each takes, within the documented rate limits."""
    async with world(rate_limit=300, latencies=repeat(latency)) as made:
        tasks, delays = [], []

        async def wait(job):
            await made.poller.wait(job.job_id, made.clock.time() + 900.0)
            delays.append(made.clock.time() - job.ends_at)

        for number in range(1000):
            await made.advance(number * 0.6)
            job = made.api.add(f"job-{number}", minutes * 60.0)
            tasks.append(asyncio.create_task(wait(job)))
        await made.finish(*tasks)
        assert (len(delays), set(made.api.useful.values())) == (1000, {1})
        assert len(made.api.lists) + len(made.api.reads) <= most
        assert most_in_a_minute(made.api.lists) <= 60
        # The jobs of four minutes fill five pages, which are fetched every ten seconds.
        assert max(delays) <= 13.0


@pytest.mark.parametrize(
    ("foreign", "seconds", "most_lists"), [(0, 0.0, 5), (0, 300.0, 60), (2000, 300.0, 200), (100_000, 0.0, 300)]
)
async def test_500_waits_stay_within_the_rate_limits(foreign, seconds, most_lists):
    """The documented ones are 300 lists and 300 reads a minute; fewer than 200 leave room for other programs."""
    async with world(rate_limit=300) as made:
        for number in range(500):
            made.api.add(f"job-{number}", seconds)
        made.api.add_foreign(foreign)
        ended = await made.finish(*(made.wait(f"job-{number}") for number in range(500)))
        assert {type(outcome) for outcome in ended} == {Job}
        assert most_in_a_minute(made.api.lists) <= most_lists
        assert most_in_a_minute(at for at, _ in made.api.reads) <= 300
        assert set(made.api.useful.values()) == {1}
        assert made.clock.time() <= seconds + 200.0


async def test_without_pages_every_job_gets_its_turn():
    """However many other jobs are awaited: all are read within ten polls."""
    async with world(has_pages=False) as made:
        for number in range(400):
            made.api.add(f"job-{number}", 0.0 if number > 390 else 1000.0)
        tasks = [made.wait(f"job-{number}") for number in range(400)]
        await made.finish(*tasks[391:])
        assert made.clock.time() <= 90.0
        await made.finish(*tasks)


async def test_without_pages_500_jobs_are_read_in_turn():
    async with world(rate_limit=300, has_pages=False) as made:
        for number in range(500):
            made.api.add(f"job-{number}", 120.0)
        await made.finish(*(made.wait(f"job-{number}") for number in range(500)))
        assert len(made.api.lists) == 1
        assert most_in_a_minute(at for at, _ in made.api.reads) <= 300
        assert made.clock.time() <= 120.0 + 100.0


# When jobs are polled


async def test_the_interval_grows_by_half_up_to_the_longest():
    async with world() as made:
        made.api.add("job", 60.0)
        await made.finish(made.wait("job"))
        times = [at for at, _ in made.api.reads]
        pauses = [after - before for before, after in pairwise([0.0, *times])]
        assert pauses == pytest.approx([1.0, 1.5, 2.25, 3.375, 5.0625, 7.59375, 10.0, 10.0, 10.0, 10.0])


async def test_the_interval_falls_back_when_a_job_finished():
    """Also after more finished jobs than the poller remembers durations of."""
    async with world() as made:
        for number in range(154):
            made.api.add(f"job-{number}", 5.0 if number < 150 else 100.0 if number == 150 else 300.0)
        tasks = [made.wait(job_id) for job_id in made.api.jobs]
        await made.finish(*tasks)
        at = next(at for at, job_id in made.api.reads if job_id == "job-150")
        pauses = [after - before for before, after in pairwise(made.api.lists)]
        found = made.api.lists.index(at)
        # The rest after a page is two seconds; after it, the interval starts at one second again.
        assert pauses[found - 1 : found + 3] == pytest.approx([10.0, 2.0, 2.0, 2.25])


async def test_the_interval_of_a_long_job_does_not_delay_a_short_one():
    async with world() as made:
        made.api.add("long", 1000.0)
        long = made.wait("long")
        await made.advance(500.0)
        made.api.add("short", 2.0)
        await made.finish(made.wait("short"))
        assert made.clock.time() <= 504.0
        await made.finish(long)


async def test_two_jobs_are_read_one_by_one_and_three_by_page():
    for waits, expected in ((2, (0, 2)), (3, (1, 3))):
        async with world() as made:
            for number in range(waits):
                made.api.add(f"job-{number}", 0.0)
            await made.finish(*(made.wait(f"job-{number}") for number in range(waits)))
            assert (len(made.api.lists), len(made.api.reads)) == expected


async def test_jobs_with_an_expected_webhook_are_not_polled_during_the_grace_period():
    async with world() as made:
        for number in range(5):
            made.api.add(f"job-{number}", 1.0)
        tasks = [made.wait(f"job-{number}", has_webhook=True) for number in range(5)]
        await made.advance(59.9)
        assert (made.api.lists, made.api.reads) == ([], [])
        await made.finish(*tasks)
        assert (len(made.api.lists), len(made.api.reads)) == (1, 5)


# Waits


async def test_consecutive_waits():
    """The end of one wait cancels the task of the poller at the moment at which the next wait begins."""
    async with world(latencies=repeat(0.2)) as made:

        async def wait_for_all():
            for number in range(5):
                made.api.add(f"job-{number}", 0.0)
                with pytest.raises(JobTimeoutError):
                    await made.poller.wait(f"job-{number}", made.clock.time() + 0.5)
                await made.poller.wait(f"job-{number}", made.clock.time() + 10.0)

        assert await made.finish(asyncio.create_task(wait_for_all())) == [None]
        assert made.clock.time() == pytest.approx(5 * 1.7)


async def test_two_callers_wait_for_the_same_job_repeatedly():
    """The end of the second caller's wait must not end the next wait of the first caller."""
    async with world() as made:
        made.api.add("job", 0.0)

        async def wait_again():
            return [await made.poller.wait("job", made.clock.time() + 5.0) for _ in range(3)]

        ended = await made.finish(*(asyncio.create_task(wait_again()) for _ in range(2)))
        assert [job.voiceprint for jobs in ended for job in jobs] == ["voice"] * 6
        assert (made.clock.time(), len(made.api.reads)) == (3.0, 3)


async def test_a_second_wait_begins_while_the_read_of_the_first_is_in_progress():
    """The result of the first wait's read must not remove the second wait."""
    async with world(latencies=repeat(4.0)) as made:
        made.api.add("other", 100.0)
        other = made.wait("other")
        made.api.add("job", 0.0)
        (late,) = await made.finish(made.wait("job", timeout=3.0))
        assert isinstance(late, JobTimeoutError)
        (job,) = await made.finish(made.wait("job", timeout=20.0))
        assert job.voiceprint == "voice"
        await made.finish(other)


async def test_a_job_without_a_wait_is_not_read():
    """Also where its read was queued already."""
    async with world(rate_limit=300) as made:
        for number in range(400):
            made.api.add(f"job-{number}", 0.0)
        tasks = [made.wait(f"job-{number}") for number in range(400)]
        await made.advance(30.0)
        for task in tasks[:-1]:
            task.cancel()
        await made.finish(tasks[-1])
        assert len(made.api.reads) == 301


async def test_a_get_job_of_the_caller_does_not_queue_behind_the_reads_of_all_waits():
    async with world(rate_limit=300) as made:
        for number in range(1000):
            made.api.add(f"job-{number}", 0.0)
        for number in range(3):
            made.api.add(f"long-{number}", 1000.0)
        tasks = [made.wait(job_id) for job_id in made.api.jobs]
        await made.advance(30.0)
        await made.finish(asyncio.create_task(made.api.read_job("job-0")))
        assert made.clock.time() <= 61.0
        await made.advance(150.0)
        # As many pages as show 1,003 jobs: while reads are behind, no further page is fetched.
        assert len(made.api.lists) == 11
        await made.finish(*tasks)


async def test_one_task_polls_all_jobs_and_ends_with_the_last_wait():
    async with world() as made:
        made.api.add("job", 100.0)
        tasks = [made.wait("job") for _ in range(50)]
        await made.advance(10.5)
        assert len(asyncio.all_tasks()) == 1 + 50 + 1
        for task in tasks[:-1]:
            task.cancel()
        await idle()
        assert len(asyncio.all_tasks()) == 3
        tasks[-1].cancel()
        await idle()
        assert len(asyncio.all_tasks()) == 1


async def test_a_slow_read_does_not_delay_other_jobs():
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


async def test_jobs_whose_read_is_in_progress_are_not_polled():
    async with world(latencies=chain([0.0], repeat(50.0))) as made:
        for number in range(4):
            made.api.add(f"job-{number}", 0.0)
        await made.finish(*(made.wait(f"job-{number}") for number in range(4)))
        assert (len(made.api.lists), len(made.api.reads)) == (1, 4)


async def test_a_slow_page_does_not_delay_a_webhook():
    async with world(latencies=chain([100.0], repeat(0.0))) as made:
        for number in range(3):
            made.api.add(f"job-{number}", 5.0)
        tasks = [made.wait(f"job-{number}") for number in range(3)]
        await made.advance(10.0)
        made.poller.deliver(event("job-1"))
        await made.finish(tasks[1])
        assert made.clock.time() == 10.0
        await made.finish(*tasks)


# Logging and webhooks


@pytest.mark.parametrize("slow_jobs", [1, 3])
async def test_a_slow_job_is_logged_once(caplog, slow_jobs):
    """Whether the job is read alone or seen in pages."""
    caplog.set_level(logging.WARNING, "pyannote_voiceprint_async")
    async with world() as made:
        for number in range(10):
            made.api.add(f"job-{number}", 4.0)
        for number in range(slow_jobs):
            made.api.add(f"straggler-{number}", 600.0)
        await made.finish(*(made.wait(job_id) for job_id in list(made.api.jobs)))
    assert [record.args[0] for record in caplog.records] == [f"straggler-{number}" for number in range(slow_jobs)]


async def test_jobs_seen_as_finished_are_not_logged_as_slow(caplog):
    """They finished at the moment at which they would have become slow."""
    caplog.set_level(logging.WARNING, "pyannote_voiceprint_async")
    async with world(latencies=cycle([0.0, 0.1])) as made:
        for number in range(13):
            made.api.add(f"job-{number}", 4.0 if number < 10 else 60.0)
        await made.finish(*(made.wait(job_id) for job_id in list(made.api.jobs)))
        assert made.clock.time() > 60.0
    assert caplog.records == []


async def test_jobs_that_wait_for_their_read_are_not_logged_as_slow(caplog):
    caplog.set_level(logging.WARNING, "pyannote_voiceprint_async")
    async with world(rate_limit=300) as made:
        for number in range(1000):
            made.api.add(f"job-{number}", 0.0)
        await made.finish(*(made.wait(f"job-{number}") for number in range(1000)))
        assert made.clock.time() > 120.0
    assert caplog.records == []


def event(job_id, status=JobStatus.SUCCEEDED, output=None):
    return WebhookEvent(job_id, status, output, datetime.fromtimestamp(START, UTC))


@pytest.mark.parametrize("early", [False, True])
async def test_a_webhook_with_an_output_is_the_result(early):
    async with world() as made:
        made.api.add("job", 0.0)
        told = event("job", output=VoiceprintOutput("told"))
        if early:
            made.poller.deliver(told)
        task = made.wait("job", has_webhook=True)
        await idle()
        made.poller.deliver(told)
        (job,) = await made.finish(task)
        assert (job.voiceprint, made.clock.time(), made.api.reads) == ("told", 0.0, [])
        # The second webhook is dropped after a minute, without anything that happens.
        await made.advance(60.0)


async def test_after_a_webhook_without_output_the_job_is_read_at_once_until_a_read_succeeds():
    """Although the grace period of the webhook is a minute."""
    async with world(faults=chain([FAULTS[0], FAULTS[2]], repeat(None))) as made:
        made.api.add("job", 5.0)
        task = made.wait("job", has_webhook=True)
        await made.advance(5.0)
        made.poller.deliver(event("job"))
        await made.finish(task)
        assert [at for at, _ in made.api.reads] == [5.0, 6.0, 7.5]


async def test_a_webhook_that_is_ahead_of_the_api_causes_one_extra_read():
    async with world() as made:
        made.api.add("job", 20.0)
        task = made.wait("job", has_webhook=True)
        await made.advance(5.0)
        made.poller.deliver(event("job"))
        await made.finish(task)
        assert len(made.api.reads) <= 7


async def test_a_webhook_during_a_read_causes_another_read():
    """The server may have answered the read before the job finished."""
    async with world(latencies=repeat(1.0)) as made:
        made.api.add("job", 1.6)
        task = made.wait("job")
        await made.advance(1.7)  # a page showed it at 1.5 s, and the response to its read is on its way
        made.poller.deliver(event("job"))
        await made.finish(task)
        assert made.clock.time() == 3.0


# Outcomes


async def test_a_job_that_the_api_does_not_know_yet():
    """The second 404 in a row ends the wait."""
    async with world() as made:
        task = made.wait("job")
        await made.advance(1.5)
        made.api.add("job", 0.0)
        (job,) = await made.finish(task)
        assert (job.voiceprint, len(made.api.reads)) == ("voice", 2)
        (gone,) = await made.finish(made.wait("other"))
        assert (type(gone), gone.job_id) == (JobExpiredError, "other")


async def test_an_occasional_404_does_not_end_a_wait():
    missing = NotFoundError("404", status=404)
    async with world(faults=cycle([missing, None])) as made:
        made.api.add("job", 30.0)
        (job,) = await made.finish(made.wait("job"))
        assert job.voiceprint == "voice"


@pytest.mark.parametrize("others", [0, 4])
async def test_a_job_that_disappears_during_its_wait(others):
    async with world() as made:
        made.api.add("job", 1000.0, vanishes_at=20.0)
        tasks = [made.wait("job")]
        for number in range(others):
            made.api.add(f"job-{number}", 50.0)
            tasks.append(made.wait(f"job-{number}"))
        gone, *rest = await made.finish(*tasks)
        assert (type(gone), gone.job_id) == (JobExpiredError, "job")
        assert {type(job) for job in rest} <= {Job}


@pytest.mark.parametrize(
    "error", [AuthenticationError("401"), SubscriptionRequiredError("402"), PermissionDeniedError("403")]
)
@pytest.mark.parametrize("waits", [1, 30])
async def test_an_account_error_ends_all_waits_with_their_job_ids(error, waits):
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
    if isinstance(jobs[0].output, IdentificationOutput):
        # The turn has no times.
        assert jobs[0].output.unreadable == 1
        expected = {}
    else:
        expected = output and {name: value for name, value in output.items() if name != "warning"}
    assert [job.output and {**job.output.extra} for job in jobs] == [expected] * waits
    assert clock.time() <= (2.0 if output else 75.0)


async def test_another_kind_of_output_is_never_returned_as_a_voiceprint(start, clock):
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


async def test_a_bug_in_this_package_ends_all_waits(caplog):
    async with world(faults=chain([ZeroDivisionError()], repeat(None))) as made:
        made.api.add("job", 0.0)
        (error,) = await made.finish(made.wait("job"))
        assert (type(error), error.job_id) == (VoiceprintError, "job")
        assert "ZeroDivisionError" in str(error)
        (job,) = await made.finish(made.wait("job"))
        assert job.voiceprint == "voice"


# Over real sockets


async def connect(start, base_url, **how):
    """A client without retries: only the poller can make a wait survive a failure."""
    return await start(
        AsyncVoiceprintClient("sandbox-key", base_url=base_url, **({"retry": RetryPolicy(max_tries=1)} | how))
    )


async def serve(start, clock, **how):
    """A sandbox, by default without rate limits, and a client, both on the fake clock."""
    sandbox = await start(Sandbox(**({"window": "none", "now": clock.wall, "sleep": clock.sleep} | how)))
    return sandbox, await connect(start, sandbox.url, clock=clock)


async def submit(client, number, source=URL):
    return [(await client.submit(source)).job_id for _ in range(number)]


@asynccontextmanager
async def passing(clock):
    """Advance the clock while requests are in flight, so that the sandbox's latencies end."""

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
async def test_no_failed_poll_ends_a_wait(start, clock, waits, operation, fault):
    sandbox, client = await serve(start, clock, job_seconds=20.0)
    job_ids = await submit(client, waits)
    sandbox.fail_next([fault] * 8, operation=operation)
    async with clock.running(client):
        jobs = await asyncio.gather(*map(client.wait, job_ids))
    assert [job.job_id for job in jobs] == job_ids
    assert {job.voiceprint for job in jobs} == {voiceprint_of(URL)}


async def test_waits_survive_an_unreliable_network(start, clock):
    """With latencies, and a fault in one of four requests."""
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


async def test_the_reads_of_many_waits_stay_within_the_rate_limit_of_the_server(start, clock):
    """500 finished jobs at 300 reads a minute draw no 429."""
    sandbox, client = await serve(start, clock, window="sliding", rate_limit=(1_000_000, 60.0), job_seconds=5.0)
    job_ids = await submit(client, 500)
    async with clock.running(client):
        jobs = await asyncio.gather(*map(client.wait, job_ids))
    operations = sandbox.state.operations
    assert (len(jobs), sandbox.state.total.rate_limited) == (500, 0)
    assert operations["job"].requests == 500
    assert operations["jobs"].requests <= 20


async def test_jobs_older_than_many_jobs_of_other_programs_are_found(start, clock):
    """The first pages do not show them."""
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
async def test_failed_and_canceled_jobs_raise_errors_with_their_id(
    start, clock, waits, source, failed_output, error, message
):
    _, client = await serve(start, clock, job_seconds=5.0, failed_output=failed_output)
    job_ids = await submit(client, waits, source)
    async with clock.running(client):
        ended = await asyncio.gather(*map(client.wait, job_ids), return_exceptions=True)
    assert [(type(one), one.job_id, one.message) for one in ended] == [(error, job_id, message) for job_id in job_ids]


@pytest.mark.parametrize("waits", [1, 4])
async def test_a_deleted_output_is_not_reported_as_a_timeout(start, clock, waits):
    _, client = await serve(start, clock, job_seconds=5.0)
    job_ids = await submit(client, waits)
    await clock.advance(24 * 3600.0 + 5.0)
    async with clock.running(client):
        ended = await asyncio.gather(*map(client.wait, job_ids), return_exceptions=True)
    assert [(type(one), one.job_id) for one in ended] == [(JobExpiredError, job_id) for job_id in job_ids]


@pytest.mark.parametrize("waits", [1, 4])
async def test_another_program_continues_a_wait_that_timed_out(start, clock, waits):
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
@pytest.mark.parametrize("polling", [False, True])
async def test_closing_the_client_ends_its_waits_with_their_job_ids(start, clock, waits, polling):
    """While the poller sleeps, and while a request is in flight."""
    _, client = await serve(start, clock, job_seconds=100.0)
    job_ids = await submit(client, waits)
    if polling:
        _, client = await serve(start, clock, latency=50.0)
    tasks = [asyncio.create_task(client.wait(job_id)) for job_id in job_ids]
    await settle()
    await clock.advance(1.0)
    while client.stats.in_flight != polling:
        await asyncio.sleep(0.001)  # the request, if there is one, travels over a real socket
    await client.aclose()
    assert [task for task in asyncio.all_tasks() if "JobPoller" in repr(task) and task not in tasks] == []
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [(type(one), one.job_id) for one in ended] == [(ClientClosedError, job_id) for job_id in job_ids]
    with pytest.raises(ClientClosedError) as closed:
        await client.wait(job_ids[0])
    assert closed.value.job_id == job_ids[0]


async def test_a_voiceprint_that_is_accepted_while_the_client_closes_has_its_job_id(start):
    """Its wait cannot begin any more: the error states how to get the result."""
    sandbox = await start(Sandbox(latency=0.2))
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url))
    call = asyncio.create_task(client.voiceprint("https://example.com/voice.wav"))
    while not client.stats.in_flight:
        await asyncio.sleep(0.001)
    await client.aclose()
    with pytest.raises(ClientClosedError, match="A job that was accepted continues") as closed:
        await call
    assert [job.id for job in sandbox.accepted] == [closed.value.job_id]


async def test_a_wait_in_another_event_loop_raises_an_error_with_advice(client):
    (job_id,) = await submit(client, 1)

    def wait_elsewhere():
        with pytest.raises(ClientClosedError, match="another event loop") as refused:
            asyncio.run(client.wait(job_id, timeout=0.001))  # shorter than a request takes
        return refused.value.job_id

    assert await asyncio.to_thread(wait_elsewhere) == job_id


@asynccontextmanager
async def older_api(clock, jobs):
    """An API without `GET /v2/jobs`, whose jobs have an unknown status until their end."""
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
    """`GET /v2/jobs` is tried once."""
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
    expected = [Job, JobCanceledError, JobCanceledError, JobFailedError, JobFailedError, JobExpiredError]
    assert [type(one) for one in ended] == expected
    assert [one.job_id for one in ended] == list(ends)
    assert [one.message for one in ended[3:5]] == [None, "Could not load audio"]
    assert asked.count("/v2/jobs") == 1
