"""Processes that submit the same keys and are killed at any point: at most one accepted job for each key."""

import asyncio
import random
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyannote_voiceprint_async.sandbox import Sandbox

PROGRAM = Path(__file__).with_name("keys_program.py")
KEYS = 60


async def test_killed_processes_never_pay_for_a_key_twice(address: str, start: Callable[..., Any]):
    api = await start(Sandbox(rate_limit=(1_000_000, 60.0), latency=(0.0, 0.05)))
    rng = random.Random(1)

    async def run() -> Process:
        return await asyncio.create_subprocess_exec(sys.executable, PROGRAM, api.url, address, str(KEYS), stdout=PIPE)

    async def run_and_kill() -> None:
        process = await run()
        assert process.stdout is not None
        for _ in range(rng.randrange(1, 15)):
            await process.stdout.readline()
        await asyncio.sleep(rng.random() * 0.02)
        process.kill()
        await process.communicate()

    for _ in range(2):
        await asyncio.gather(run_and_kill(), run_and_kill())
    # The submissions of killed processes may have been accepted: their keys are reported, and never sent again.
    process = await run()
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    outcomes = Counter(output.decode().split())
    assert outcomes.total() == KEYS
    assert outcomes["accepted"] > 0
    accepted = Counter(job.url for job in api.accepted)
    assert set(accepted.values()) == {1}
    assert outcomes["accepted"] <= len(accepted) <= KEYS
