"""Processes that submit the same keys and are killed at any point: at most one accepted job for each key."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from shared.forked_program import FORKS
from warm_process import WarmProcess

from pyannote_voiceprint_async import AsyncVoiceprintClient
from pyannote_voiceprint_async.sandbox import Sandbox

KEYS = 60


@pytest.mark.slow
async def test_killed_processes_never_pay_for_a_key_twice(address: str, start: Callable[..., Any]):
    api = await start(Sandbox(rate_limit=(1_000_000, 60.0), latency=(0.0, 0.05)))
    rng = random.Random(1)

    def run(lines: int | None = None, seconds: float = 0.0) -> str:
        """Run the program, and return its output. Kill it that many seconds after a number of lines."""
        with WarmProcess("shared.keys_program", api.url, address, KEYS) as process:
            if lines is not None:
                for _ in range(lines):
                    process.stdout.readline()
                time.sleep(seconds)
                process.kill()
            output, _ = process.communicate(timeout=60)
            return output

    for _ in range(2):
        kills = [(rng.randrange(1, 15), rng.random() * 0.02) for _ in range(2)]
        await asyncio.gather(*(asyncio.to_thread(run, *kill) for kill in kills))
    # The submissions of killed processes may have been accepted: their keys are reported, and never sent again.
    output = await asyncio.to_thread(run)
    outcomes = Counter(output.split())
    assert outcomes.total() == KEYS
    assert outcomes["accepted"] > 0
    accepted = Counter(job.url for job in api.accepted)
    assert set(accepted.values()) == {1}
    assert outcomes["accepted"] <= len(accepted) <= KEYS


async def test_forks_of_one_client_submit_a_key_once(address: str, start: Callable[..., Any]):
    api = await start(Sandbox(rate_limit=(1_000_000, 60.0), latency=(0.2, 0.2)))
    client = await start(AsyncVoiceprintClient(api.api_key, base_url=api.url, shared=address))
    # From now on, requests are sent at the same time: the limit is known.
    await client.submit("https://files.example.org/first.wav")

    def run() -> str:
        with WarmProcess("shared.forked_program", api.url, address) as process:
            return process.communicate(timeout=60)[0]

    jobs = (await asyncio.to_thread(run)).split()
    assert jobs == [api.accepted[-1].id] * FORKS
    assert len(api.accepted) == 2
