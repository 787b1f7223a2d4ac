"""What the client and the package's own wings share, one step at a time."""

import pytest

from pyannote_voiceprint_async import (
    AsyncVoiceprintClient,
    ConfigurationError,
    JobCreated,
    JobStatus,
    JobTimeoutError,
    Polling,
    VoiceprintRequest,
)
from pyannote_voiceprint_async.sandbox import Sandbox, voiceprint_of
from pyannote_voiceprint_async.transport.request import SubmissionHooks

URL = "https://example.com/voice.wav"


async def test_a_submission_and_its_wait_share_a_deadline(client):
    deadline = client.engine.deadline_after(60.0)
    job = await client.engine.submit(VoiceprintRequest(URL), deadline=deadline)
    done = await client.engine.wait_for_voiceprint(job.job_id, deadline)
    assert done.voiceprint == voiceprint_of(URL)


async def test_before_send_is_awaited_once_for_an_accepted_submission(client, sandbox):
    accepted = []

    async def before_send():
        accepted.append(len(sandbox.accepted))

    await client.engine.submit(VoiceprintRequest(URL), hooks=SubmissionHooks(before_send, lambda: None))
    assert (accepted, len(sandbox.accepted)) == ([0], 1)


async def test_on_refused_is_called_for_each_429(start, clock):
    """The next try then calls `before_send` again."""
    sandbox = await start(Sandbox(window="none", now=clock.wall, sleep=clock.sleep))
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, clock=clock))
    sandbox.fail_next(["rate-limited"] * 2, operation="voiceprint")
    calls = []

    async def before_send():
        calls.append("before_send")

    async with clock.running(client):
        await client.engine.submit(
            VoiceprintRequest(URL), hooks=SubmissionHooks(before_send, lambda: calls.append("on_refused"))
        )
    assert calls == ["before_send", "on_refused", "before_send", "on_refused", "before_send"]


async def test_a_deadline_ends_a_wait_on_the_clock_of_the_client(start, clock):
    sandbox = await start(Sandbox(job_seconds=1000.0, now=clock.wall, sleep=clock.sleep))
    client = await start(
        AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, clock=clock, polling=Polling(first=1.0))
    )
    job = await client.submit(URL)
    async with clock.running(client):
        with pytest.raises(JobTimeoutError):
            await client.engine.wait(job.job_id, clock.time() + 30.0)
    assert clock.time() == pytest.approx(30.0)


@pytest.mark.parametrize(("timeout", "seconds"), [(1.5, 1.5), (7, 7), (None, 24 * 3600.0)])
def test_a_deadline_is_a_time_on_the_clock(clock, timeout, seconds):
    """Without a timeout it is as far away as the output of a job can exist."""
    engine = AsyncVoiceprintClient("key", clock=clock).engine
    assert engine.deadline_after(timeout) == clock.time() + seconds


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), "60", True])
def test_an_invalid_timeout_is_refused(timeout):
    with pytest.raises(ConfigurationError, match="timeout"):
        AsyncVoiceprintClient("key").engine.deadline_after(timeout)


def test_a_job_is_abandoned_once():
    engine = AsyncVoiceprintClient("key").engine
    for job_id in ("job-1", "job-2", "job-1"):
        engine.abandon(JobCreated(job_id, JobStatus.CREATED))
    assert [job.job_id for job in engine.abandoned] == ["job-1", "job-2"]


def test_the_settings_that_enrollment_reads():
    engine = AsyncVoiceprintClient("key", base_url="https://api.example.com/", max_concurrency=5).engine
    assert (engine.api_key.reveal(), engine.base_url, engine.max_concurrency) == ("key", "https://api.example.com", 5)
    assert (engine.retry_policy.replay_unknown, engine.timeouts.total) == (False, 60.0)


async def test_the_server_time_is_known_after_a_response(client):
    assert not client.engine.has_server_time
    await client.engine.check_key()
    earliest, latest = client.engine.server_time()
    assert (client.engine.has_server_time, earliest <= latest) == (True, True)
