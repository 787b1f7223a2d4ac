"""The request that uses the headers of its session as they are."""

import aiohttp
import pytest
from hostile_server import HostileServer, answer

from pyannote_voiceprint_async import AsyncVoiceprintClient
from pyannote_voiceprint_async.transport.prepared_request import PreparedRequest

HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip",
    "Content-Type": "application/json",
    "User-Agent": "a test",
    "X-One": "1",
}


@pytest.mark.parametrize("data", [None, b"{}"])
@pytest.mark.parametrize("headers", [None, {"X-One": "2", "X-Two": "2"}])
async def test_it_sends_the_same_headers_as_a_request_of_aiohttp(start, data, headers):
    server = await start(HostileServer(answer()))
    for request_class in (PreparedRequest, aiohttp.ClientRequest):
        async with aiohttp.ClientSession(headers=HEADERS, request_class=request_class) as session:
            for _ in range(2):
                async with session.post(server.url, data=data, headers=headers):
                    pass
    first, again, *others = [sorted(asked.headers.items()) for asked in server.asked]
    assert again == first
    assert others == [first, first]


async def test_a_client_sends_complete_headers(start):
    server = await start(HostileServer(answer()))
    client = await start(AsyncVoiceprintClient("key", base_url=server.url))
    await client.submit("https://example.com/voice.wav")
    asked = server.asked[0].headers
    assert asked["Accept-Encoding"] == aiohttp.ClientRequest.DEFAULT_HEADERS[aiohttp.hdrs.ACCEPT_ENCODING]
    assert sorted(asked) == [
        "Accept", "Accept-Encoding", "Authorization", "Content-Length", "Content-Type", "Host", "User-Agent",
    ]  # fmt: skip
