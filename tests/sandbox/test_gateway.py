import asyncio

import pytest

from pyannote_voiceprint_async.sandbox import Limit


async def test_latency_passes_on_the_sandboxs_clock(open_sandbox, time):
    """Part of it before the request counts, the rest before its answer arrives."""
    caller = await open_sandbox(latency=10.0)
    request = asyncio.ensure_future(caller.submit())
    await time.until_sleepers(1)
    assert caller.sandbox.accepted == []
    await time.advance(10.0)
    await time.until_sleepers(1)
    assert len(caller.sandbox.accepted) == 1
    assert not request.done()
    await time.advance(10.0)
    assert (await request).status == 200
    assert sum(time.slept) == pytest.approx(10.0)


async def test_latency_lets_requests_overtake_each_other(open_sandbox, time):
    caller = await open_sandbox(latency=(0.0, 1.0), rate_limit=Limit(100), seed=3)
    requests = []
    for index in range(10):
        requests.append(asyncio.ensure_future(caller.submit(f"https://example.com/{index}")))
        await time.until_sleepers(index + 1)
    for _ in range(300):
        await time.advance(0.01)
    await asyncio.gather(*requests)
    arrived = [job.url for job in caller.sandbox.accepted]
    assert sorted(arrived) == [f"https://example.com/{index}" for index in range(10)]
    assert arrived != sorted(arrived)


async def test_what_an_answer_says_of_the_budget_may_be_stale(open_sandbox, time):
    """It was true when the request was counted, not when the answer arrives."""
    caller = await open_sandbox(latency=1.0, rate_limit=(5, 60.0))
    request = asyncio.ensure_future(caller.submit())
    await time.until_sleepers(1)
    await time.advance(1.0)
    await time.until_sleepers(1)
    await time.advance(60.0)
    assert (await request).headers["X-RateLimit-Remaining"] == "4"


async def test_requests_in_flight_are_counted(open_sandbox, time):
    caller = await open_sandbox(latency=1.0)
    requests = [asyncio.ensure_future(caller.submit()) for _ in range(3)]
    requests.append(asyncio.ensure_future(caller.get("/v1/test")))
    await time.until_sleepers(4)
    during = caller.sandbox.state
    await time.advance(1.0)
    await time.until_sleepers(4)
    await time.advance(1.0)
    await asyncio.gather(*requests)
    after = caller.sandbox.state
    assert (during.operations["voiceprint"].in_flight, during.total.in_flight) == (3, 4)
    assert (after.operations["voiceprint"].in_flight, after.total.in_flight) == (0, 0)
    assert (after.operations["voiceprint"].highest_in_flight, after.total.highest_in_flight) == (3, 4)


async def test_a_client_that_leaves_has_submitted_all_the_same(open_sandbox, time):
    """Nobody can take back what the server has: a cancelled request still becomes a job."""
    caller = await open_sandbox(latency=1.0)
    request = asyncio.ensure_future(caller.submit())
    await time.until_sleepers(1)
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)
    await time.advance(1.0)
    await time.until_sleepers(1)
    assert len(caller.sandbox.accepted) == 1


async def test_half_a_submission_is_none(caller, caplog):
    """The client leaves before its last byte, which is nothing to make a noise about."""
    host, port = caller.sandbox.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"POST /v1/voiceprint HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sandbox-key\r\n"
        b'Content-Length: 100\r\n\r\n{"url": "https://example.com"}'
    )
    while not caller.sandbox.state.total.in_flight:
        await asyncio.sleep(0.001)
    writer.close()
    while caller.sandbox.state.total.in_flight:
        await asyncio.sleep(0.001)
    assert (caller.sandbox.state.total.requests, caller.sandbox.accepted) == (1, [])
    assert caplog.messages == []
