import asyncio

import pytest

from pyannote_voiceprint_async.sandbox import Limit


async def test_latency_is_measured_on_the_sandboxs_clock(open_sandbox, clock):
    """A part of the latency passes before the request is processed, the rest before its response is sent."""
    client = await open_sandbox(latency=10.0)
    request = asyncio.ensure_future(client.submit())
    await clock.wait_for_sleepers(1)
    assert client.sandbox.accepted == []
    await clock.advance(10.0)
    await clock.wait_for_sleepers(1)
    assert len(client.sandbox.accepted) == 1
    assert not request.done()
    await clock.advance(10.0)
    assert (await request).status == 200
    assert sum(clock.slept) == pytest.approx(10.0)


async def test_latency_lets_requests_overtake_each_other(open_sandbox, clock):
    client = await open_sandbox(latency=(0.0, 1.0), rate_limit=Limit(100), seed=3)
    requests = []
    for index in range(10):
        requests.append(asyncio.ensure_future(client.submit(f"https://example.com/{index}")))
        await clock.wait_for_sleepers(index + 1)
    for _ in range(300):
        await clock.advance(0.01)
    await asyncio.gather(*requests)
    arrived = [job.url for job in client.sandbox.accepted]
    assert sorted(arrived) == [f"https://example.com/{index}" for index in range(10)]
    assert arrived != sorted(arrived)


async def test_rate_limit_headers_may_be_outdated_on_arrival(open_sandbox, clock):
    """The headers are computed when the request is counted, not when the response arrives."""
    client = await open_sandbox(latency=1.0, rate_limit=(5, 60.0))
    request = asyncio.ensure_future(client.submit())
    await clock.wait_for_sleepers(1)
    await clock.advance(1.0)
    await clock.wait_for_sleepers(1)
    await clock.advance(60.0)
    assert (await request).headers["X-RateLimit-Remaining"] == "4"


async def test_requests_in_flight_are_counted(open_sandbox, clock):
    client = await open_sandbox(latency=1.0)
    requests = [asyncio.ensure_future(client.submit()) for _ in range(3)]
    requests.append(asyncio.ensure_future(client.get("/v1/test")))
    await clock.wait_for_sleepers(4)
    during = client.sandbox.state
    await clock.advance(1.0)
    await clock.wait_for_sleepers(4)
    await clock.advance(1.0)
    await asyncio.gather(*requests)
    after = client.sandbox.state
    assert (during.operations["voiceprint"].in_flight, during.total.in_flight) == (3, 4)
    assert (after.operations["voiceprint"].in_flight, after.total.in_flight) == (0, 0)
    assert (after.operations["voiceprint"].highest_in_flight, after.total.highest_in_flight) == (3, 4)


async def test_a_submission_is_accepted_although_its_client_disconnected(open_sandbox, clock):
    """A request that the server has received becomes a job even if the client cancels it."""
    client = await open_sandbox(latency=1.0)
    request = asyncio.ensure_future(client.submit())
    await clock.wait_for_sleepers(1)
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)
    await clock.advance(1.0)
    await clock.wait_for_sleepers(1)
    assert len(client.sandbox.accepted) == 1
