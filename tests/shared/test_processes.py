"""Real processes that share one rate limit, some of which are killed or stopped."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from postgres_relay import PostgresRelay

from pyannote_voiceprint_async.sandbox import Sandbox

PROGRAM = Path(__file__).with_name("member_program.py")
LIMIT, PER = 30, 1.0


@pytest.fixture
async def api(start: Callable[..., Any]) -> Sandbox:
    return await start(Sandbox(rate_limit=(LIMIT, PER), latency=(0.0, 0.1)))


@pytest.fixture
async def start_member(api: Sandbox) -> AsyncIterator[Callable[..., Any]]:
    """Return a function that starts a process which submits a number of jobs with a store."""
    processes: list[Process] = []

    async def run(count: int, address: str, patience: float = 10.0) -> Process:
        arguments = [api.url, address, LIMIT, PER, count, patience]
        process = await asyncio.create_subprocess_exec(sys.executable, PROGRAM, *map(str, arguments), stdout=PIPE)
        processes.append(process)
        return process

    yield run
    for process in processes:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


@pytest.fixture
def run(start_member: Callable[..., Any], address: str) -> Callable[[int], Any]:
    """Return a function that starts a process which submits a number of jobs."""
    return partial(start_member, address=address)


async def finish(process: Process) -> int:
    """Return the number of refusals, once the process has ended."""
    output, _ = await process.communicate()
    assert process.returncode == 0
    return json.loads(output.splitlines()[-1])["rate_limited"]


async def accepted(process: Process, count: int) -> None:
    """Wait until the process has this many accepted jobs."""
    assert process.stdout is not None
    for _ in range(count):
        assert await process.stdout.readline() == b"accepted\n"


async def test_processes_share_one_rate_limit(run: Callable[[int], Any], api: Sandbox):
    processes = [await run(40) for _ in range(3)]
    assert await asyncio.gather(*map(finish, processes)) == [0, 0, 0]
    assert len(api.accepted) == 120


async def test_killed_and_stopped_processes_hold_up_nobody(run: Callable[[int], Any], api: Sandbox):
    killed, stopped, other = await run(200), await run(40), await run(60)
    await accepted(killed, 5)
    await accepted(stopped, 5)
    killed.send_signal(signal.SIGKILL)
    stopped.send_signal(signal.SIGSTOP)
    # The permits of the killed process would return after 63 s.
    assert await finish(other) == 0
    os.kill(stopped.pid, signal.SIGCONT)
    assert await finish(stopped) == 0


async def test_a_process_that_is_cut_off_goes_on_with_its_share(
    start_member: Callable[..., Any], api: Sandbox, database: str, relay: PostgresRelay
):
    """The others use the whole limit meanwhile: refusals of both are accepted, and end when the store is back."""
    lonely, other = await start_member(80, relay.dsn, patience=1.0), await start_member(80, database, patience=1.0)
    await accepted(lonely, 5)
    await accepted(other, 5)
    await relay.cut()
    # The process notices the loss, waits for a second, and then sends its half of 30 a second.
    await accepted(lonely, 40)
    await relay.restore()
    await asyncio.gather(finish(lonely), finish(other))
    assert len(api.accepted) == 160
