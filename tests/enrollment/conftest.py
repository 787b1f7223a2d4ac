"""Fixtures with a sandbox, its client and a ledger, all on the fake clock."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from enrollment_world import World

from pyannote_voiceprint_async import AsyncVoiceprintClient
from pyannote_voiceprint_async.sandbox import Sandbox


@pytest.fixture
async def make_world(clock, tmp_path) -> AsyncIterator[Callable[..., Any]]:
    async with AsyncExitStack() as stack:

        async def make(*, client=None, **settings) -> World:
            settings = {"window": "none", "job_seconds": 1.0, **settings}
            sandbox = await stack.enter_async_context(Sandbox(now=clock.wall, sleep=clock.sleep, **settings))
            made = AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, clock=clock, **(client or {}))
            return World(clock, sandbox, await stack.enter_async_context(made), tmp_path / "speakers.ledger")

        yield make


@pytest.fixture
async def world(make_world) -> World:
    return await make_world()
