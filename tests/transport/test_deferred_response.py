"""The response that aiohttp returns before it has arrived."""

import asyncio
import gc

import aiohttp
import pytest
from hostile_server import HostileServer, answer, hang_up, nothing_left_behind, silence

from pyannote_voiceprint_async import ApiTimeoutError, AsyncVoiceprintClient, Timeouts
from pyannote_voiceprint_async.transport.deferred_response import DeferredResponse


@pytest.fixture
async def session(start):
    return await start(aiohttp.ClientSession(response_class=DeferredResponse))


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_it_is_returned_before_it_arrives_and_received_afterwards(start, session, method):
    server = await start(HostileServer(answer(b"the body")))
    response = await session.request(method, server.url)
    assert response.status is None
    await response.receive()
    assert (response.status, await response.read(), response.connection) == (200, b"the body", None)


async def test_the_connection_of_a_lost_response_is_closed(start, session):
    server = await start(HostileServer(hang_up))
    response = await session.get(server.url)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await response.receive()
    assert (response.closed, response.connection) == (True, None)


async def test_a_cancelled_receive_closes_the_connection(start, session):
    server = await start(HostileServer(silence))
    response = await session.get(server.url)
    receiving = asyncio.create_task(response.receive())
    await asyncio.sleep(0)
    receiving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await receiving
    assert (response.closed, response.connection) == (True, None)


async def test_what_aiohttp_needs_for_sending_is_freed_while_the_response_is_awaited():
    async with (
        nothing_left_behind(),
        HostileServer(silence) as server,
        AsyncVoiceprintClient("key", base_url=server.url, timeouts=Timeouts(total=0.2)) as client,
    ):
        submitting = asyncio.create_task(client.submit("https://example.com/voice.wav"))
        while not server.asked:
            await asyncio.sleep(0)
        assert [one for one in gc.get_objects() if isinstance(one, aiohttp.ClientRequest)] == []
        with pytest.raises(ApiTimeoutError):
            await submitting
