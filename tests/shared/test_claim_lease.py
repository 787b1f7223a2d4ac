"""How long a claim lasts: a process that did not run for a while must not send with it."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from fake_clock import FakeClock
from warm_process import WarmProcess

from pyannote_voiceprint_async import (
    AsyncVoiceprintClient,
    RetryPolicy,
    SharedStateError,
    UnknownOutcomeError,
)
from pyannote_voiceprint_async.sandbox import Sandbox
from pyannote_voiceprint_async.shared import claim_lease, key_table, submission_keys
from pyannote_voiceprint_async.shared.claim_lease import SENDING_TIME, ClaimLease, ClockReading
from pyannote_voiceprint_async.shared.connection import open_store
from pyannote_voiceprint_async.shared.state import SharedState

URL = "https://files.example.org/a.wav"


async def free(client: AsyncVoiceprintClient) -> str:
    await client.resolve_key("a", job_id=None)
    return ""


async def adopt(client: AsyncVoiceprintClient) -> str:
    job = await client.submit(URL)
    await client.resolve_key("a", job_id=job.job_id)
    return job.job_id


async def free_and_submit(client: AsyncVoiceprintClient) -> str:
    await client.resolve_key("a", job_id=None)
    return (await client.submit(URL, key="a")).job_id


async def leave(_: AsyncVoiceprintClient) -> str:
    return ""


# What happens to the key meanwhile, and the number of jobs in the end.
@pytest.mark.parametrize(("resolve", "jobs"), [(free_and_submit, 1), (adopt, 1), (free, 0), (leave, 1)])
async def test_a_process_that_was_stopped_before_the_first_byte_does_not_send(
    address: str,
    start: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    no_grace: None,
    resolve: Callable[[AsyncVoiceprintClient], Awaitable[str]],
    jobs: int,
):
    """Only if it still has its key, its next try is sent."""
    monkeypatch.setattr(key_table, "LEASE", 600)
    api = await start(Sandbox())
    other = await start(AsyncVoiceprintClient(api.api_key, base_url=api.url, shared=address))
    with WarmProcess("shared.stopping_program", api.url, address) as process:
        assert await asyncio.to_thread(process.stdout.readline) == "stopping\n"
        # Returns when the claim of the stopped process has ended.
        with pytest.raises(UnknownOutcomeError):
            await other.submit(URL, key="a")
        await resolve(other)
        process.send_signal(signal.SIGCONT)
        output, errors = await asyncio.to_thread(process.communicate, timeout=60)
    assert output == ("accepted\n" if resolve is leave else "SubmissionInProgressError, 1 retries\n"), errors
    assert len(api.accepted) == jobs


def test_a_lease_lasts_until_the_store_has_not_confirmed_it_for_a_while(clock: FakeClock):
    lease = ClaimLease(clock)
    clock.jump(SENDING_TIME)
    assert not lease.has_ended()
    called = ClockReading.of(clock)
    clock.jump(SENDING_TIME + 1)
    assert lease.has_ended()
    # The reply of a store that took a second: the lease counts from the call.
    lease.confirm(called)
    assert lease.age() == 1.0
    clock.jump(2 * SENDING_TIME + 0.1)
    assert lease.has_ended()


@pytest.mark.parametrize("still", ["time", "wall"])
def test_one_clock_is_enough_to_end_a_lease(clock: FakeClock, monkeypatch: pytest.MonkeyPatch, still: str):
    """The monotonic clock stands still while the machine sleeps; the wall clock may be set back."""
    lease = ClaimLease(clock)
    reading = getattr(clock, still)()
    monkeypatch.setattr(clock, still, lambda: reading)
    clock.jump(60.0)
    assert lease.has_ended()


@pytest.mark.parametrize(("renews", "retries"), [(True, 0), (False, 1)])
async def test_a_slow_connection_ends_no_lease(
    address: str,
    start: Callable[..., Any],
    sandbox: Sandbox,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    no_grace: None,
    *,
    renews: bool,
    retries: int,
):
    """The lease ends only if the process or the store did not run meanwhile."""
    monkeypatch.setattr(submission_keys, "_RENEWAL_INTERVAL", 0.01 if renews else 1000.0)
    store = open_store(SharedState(address))
    delays = [SENDING_TIME - 1] * 2

    async def alive_until() -> int:
        return (await store.run(("SELECT max(alive_until) FROM voiceprint_keys", {})))[0][0]

    async def wait(*_: object) -> None:
        while delays:
            await clock.advance(delays.pop())
            # The reply to the first renewal has arrived when there is a second one.
            for _ in range(2 * renews):
                before = await alive_until()
                while await alive_until() == before:
                    await asyncio.sleep(0.001)

    trace = aiohttp.TraceConfig()
    trace.on_request_headers_sent.append(wait)
    async with aiohttp.ClientSession(trace_configs=[trace]) as session:
        client = await start(
            AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, shared=address, session=session, clock=clock)
        )
        async with clock.running(client):
            await client.submit(URL, key="a")
    await store.aclose()
    assert client.stats.retries == retries
    assert len(sandbox.accepted) == 1


async def test_a_try_that_is_not_repeated_reports_why_it_was_not_sent(
    address: str,
    start: Callable[..., Any],
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    no_grace: None,
):
    monkeypatch.setattr(claim_lease, "SENDING_TIME", -1.0)
    retry = RetryPolicy(max_tries=1)
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, shared=address, retry=retry))
    with pytest.raises(SharedStateError, match="another process may have the key now") as raised:
        await client.submit(URL, key="a")
    assert (raised.value.retryable, raised.value.outcome_unknown) == (True, False)
    # The key is free, and submissions without a key need no claim.
    await client.submit(URL)
    assert await client.engine.keys.jobs() == set()
    assert len(sandbox.accepted) == 1
