"""Refusals that arrive together share one check of the key."""

import asyncio

import pytest
from aiohttp import web

from pyannote_voiceprint_async.enrollment.run.key_check import KeyCheck


@pytest.fixture
def statuses(world) -> list[int]:
    """The statuses of the next checks; without one, the sandbox accepts the key."""
    statuses: list[int] = []

    async def handle(request, forward):
        if request.path == "/v1/test" and statuses:
            return web.Response(status=statuses.pop(0), text='{"message": "refused"}')
        return await forward(request)

    world.intercept(handle)
    return statuses


def checks_of(world) -> int:
    return world.sandbox.state.operations["test"].requests


@pytest.mark.parametrize("status", [401, 402, 403])
async def test_a_refused_key_is_refused_for_all_who_ask_at_once(world, statuses, status):
    statuses.append(status)
    key_check = KeyCheck(world.client)
    assert await asyncio.gather(*(key_check.is_refused() for _ in range(9))) == [True] * 9
    assert (statuses, checks_of(world)) == ([], 0)


async def test_an_accepted_key_is_checked_again_after_five_seconds(world, statuses):
    key_check = KeyCheck(world.client)
    assert not await key_check.is_refused()
    await world.clock.advance(4.0)
    assert not await key_check.is_refused()
    assert checks_of(world) == 1
    await world.clock.advance(2.0)
    statuses.append(401)
    assert await key_check.is_refused()


async def test_a_check_without_a_result_does_not_refuse_the_key(world, statuses):
    statuses.append(404)
    assert not await KeyCheck(world.client).is_refused()
