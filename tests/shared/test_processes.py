"""Real processes that share one rate limit, some of which are killed or stopped."""

import asyncio
import json
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
from postgres_relay import PostgresRelay
from warm_process import WarmProcess

from pyannote_voiceprint_async.sandbox import Sandbox

LIMIT, PER = 30, 1.0


@pytest.fixture
async def api(start: Callable[..., Any]) -> Sandbox:
    return await start(Sandbox(rate_limit=(LIMIT, PER), latency=(0.0, 0.1)))


@pytest.fixture
def start_member(api: Sandbox) -> Iterator[Callable[..., WarmProcess]]:
    """Return a function that starts a process which submits a number of jobs with a store."""
    with ExitStack() as stack:

        def run(count: int, address: str, patience: float = 10.0) -> WarmProcess:
            process = stack.enter_context(
                WarmProcess("shared.member_program", api.url, address, LIMIT, PER, count, patience)
            )
            stack.callback(process.kill)
            return process

        yield run


@pytest.fixture
def run(start_member: Callable[..., WarmProcess], address: str) -> Callable[[int], WarmProcess]:
    """Return a function that starts a process which submits a number of jobs."""
    return partial(start_member, address=address)


async def finish(process: WarmProcess) -> int:
    """Return the number of refusals, once the process has ended."""
    output, errors = await asyncio.to_thread(process.communicate, timeout=60)
    assert process.returncode == 0, errors
    return json.loads(output.splitlines()[-1])["rate_limited"]


async def accepted(process: WarmProcess, count: int) -> None:
    """Wait until the process has this many accepted jobs."""
    for _ in range(count):
        assert await asyncio.to_thread(process.stdout.readline) == "accepted\n"


@pytest.mark.slow
async def test_processes_share_one_rate_limit(run: Callable[[int], WarmProcess], api: Sandbox):
    processes = [run(40) for _ in range(3)]
    assert await asyncio.gather(*map(finish, processes)) == [0, 0, 0]
    assert len(api.accepted) == 120


@pytest.mark.slow
async def test_killed_and_stopped_processes_hold_up_nobody(run: Callable[[int], WarmProcess], api: Sandbox):
    killed, stopped, other = run(200), run(40), run(60)
    await accepted(killed, 5)
    await accepted(stopped, 5)
    killed.send_signal(signal.SIGKILL)
    stopped.send_signal(signal.SIGSTOP)
    # The permits of the killed process would return after 63 s.
    assert await finish(other) == 0
    stopped.send_signal(signal.SIGCONT)
    assert await finish(stopped) == 0


@pytest.mark.slow
async def test_processes_that_start_without_the_store_do_not_exceed_the_limit_together(
    start: Callable[..., Any], relay: PostgresRelay
):
    api = await start(Sandbox(rate_limit=(4, PER), latency=(0.0, 0.1)))
    await relay.cut()
    arguments = ("shared.member_program", api.url, relay.dsn, 4, PER, 4, 0.2)
    with ExitStack() as stack:
        processes = [stack.enter_context(WarmProcess(*arguments)) for _ in range(3)]
        for process in processes:
            stack.callback(process.kill)
        assert await asyncio.gather(*map(finish, processes)) == [0, 0, 0]
    assert len(api.accepted) == 12


@pytest.mark.slow
async def test_a_process_that_is_cut_off_goes_on_with_its_share(
    start_member: Callable[..., Any], api: Sandbox, database: str, relay: PostgresRelay
):
    """The others use the whole limit meanwhile: refusals of both are accepted, and end when the store is back."""
    lonely, other = start_member(80, relay.dsn, patience=1.0), start_member(80, database, patience=1.0)
    await accepted(lonely, 5)
    await accepted(other, 5)
    await relay.cut()
    # The process notices the loss, waits for a second, and then sends its half of 30 a second.
    await accepted(lonely, 40)
    await relay.restore()
    await asyncio.gather(finish(lonely), finish(other))
    assert len(api.accepted) == 160
