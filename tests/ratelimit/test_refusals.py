"""The client's behaviour after a 429: which requests wait, how long, and what is logged."""

import asyncio
import itertools
import logging

import pytest
from aiohttp import web
from fake_clock import settle

from pyannote_voiceprint_async import (
    AsyncVoiceprintClient,
    QueueTooLongError,
    RateLimitError,
    RetryPolicy,
)

URL = "https://example.com/voice.wav"


class OddServer:
    """Accepts submissions, or refuses them with the headers of a test."""

    def __init__(self):
        self.requests = 0
        self.refuses = False
        self.refusal = {}
        self._numbers = itertools.count()
        self._runner = web.ServerRunner(web.Server(self._respond))

    async def __aenter__(self):
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return self

    async def __aexit__(self, *_):
        await self._runner.cleanup()

    @property
    def url(self):
        return "http://127.0.0.1:{1}".format(*self._runner.addresses[0])

    async def _respond(self, request):
        await request.read()
        self.requests += 1
        if self.refuses:
            return web.json_response({"message": "Slow down."}, status=429, headers=self.refusal)
        return web.json_response({"jobId": f"job-{next(self._numbers)}", "status": "created"})


@pytest.fixture
async def odd_server(start):
    return await start(OddServer())


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


async def assert_nothing_waits(client):
    await settle()
    assert (client.stats.in_flight, client.stats.queued, len(client.engine._waiters)) == (0, 0, 0)


@pytest.mark.parametrize("retry_after", ["Fri, 31 Dec 9999 23:59:59 GMT", "86400", str(int(4e9)), str(int(4e15))])
async def test_no_header_stops_a_client_for_ever(start, clock, odd_server, retry_after):
    """All waiting requests get the error at once; after ten minutes one probe is sent."""
    odd_server.refusal = {"Retry-After": retry_after}
    client = await start(AsyncVoiceprintClient("key", base_url=odd_server.url, clock=clock))
    await client.submit(URL)
    odd_server.refuses = True
    errors = await asyncio.gather(*(client.submit(URL) for _ in range(3)), return_exceptions=True)
    assert [type(error) for error in errors] == [RateLimitError] * 3
    assert [error.retryable for error in errors] == [True] * 3
    with pytest.raises(RateLimitError) as later:
        await client.submit(URL)
    assert later.value.retry_after == 600.0
    seen = odd_server.requests
    odd_server.refuses = False
    await clock.advance(500.0)
    async with clock.running(client):
        jobs = await asyncio.gather(*(client.submit(URL) for _ in range(3)))
    assert (len(jobs), odd_server.requests, clock.time()) == (3, seen + 3, 600.0)
    await assert_nothing_waits(client)


@pytest.mark.parametrize("headers", [{"Retry-After": "100"}, {"Retry-After": "1"}, {}])
async def test_a_request_is_refused_no_longer_than_max_elapsed(start, clock, odd_server, headers):
    """`max_elapsed` starts at the first 429 in a row, also for requests that were never sent."""
    odd_server.refuses, odd_server.refusal = True, headers
    client = await start(AsyncVoiceprintClient("key", base_url=odd_server.url, clock=clock))
    async with clock.running(client):
        errors = await asyncio.gather(*(client.submit(URL) for _ in range(3)), return_exceptions=True)
    assert [type(error) for error in errors] == [RateLimitError] * 3
    assert [(error.retryable, error.outcome_unknown) for error in errors] == [(True, False)] * 3
    assert 300.0 - 100.0 <= clock.time() <= 300.0
    await assert_nothing_waits(client)


async def test_a_pause_longer_than_max_elapsed_refuses_new_requests(start, clock, odd_server):
    odd_server.refuses, odd_server.refusal = True, {"Retry-After": "100"}
    retry = RetryPolicy(max_elapsed=50.0)
    client = await start(AsyncVoiceprintClient("key", base_url=odd_server.url, clock=clock, retry=retry))
    waits = []
    for _ in range(3):
        with pytest.raises(RateLimitError) as refused:
            await client.submit(URL)
        waits.append(refused.value.retry_after)
        await clock.advance(20.0)
    assert (waits, odd_server.requests) == ([100.0, 80.0, 60.0], 1)
    odd_server.refuses = False
    async with clock.running(client):
        await client.submit(URL)
    assert clock.time() == 100.0


async def test_after_a_429_requests_that_would_wait_too_long_are_refused_at_once(start, clock, odd_server, caplog):
    """This includes the refused request; patient requests wait. One pause logs one warning."""
    odd_server.refuses, odd_server.refusal = True, {"Retry-After": "40"}
    client = await start(AsyncVoiceprintClient("key", base_url=odd_server.url, clock=clock, max_queue_wait=5.0))
    impatient = [asyncio.create_task(client.submit(URL)) for _ in range(5)]
    patient = [asyncio.create_task(client.voiceprint(URL, max_queue_wait=50.0, timeout=60.0)) for _ in range(2)]
    errors = await asyncio.gather(*impatient, return_exceptions=True)
    assert [type(error) for error in errors] == [QueueTooLongError] * 5
    assert [(one.expected_wait, one.retryable, one.outcome_unknown) for one in errors] == [(40.0, True, False)] * 5
    assert (clock.time(), client.stats.queued, odd_server.requests) == (0.0, 2, 1)
    with pytest.raises(QueueTooLongError):
        await client.submit(URL)
    assert warnings(caplog) == ["The API requests a pause of 40 s for POST /v1/voiceprint."]
    for task in patient:
        task.cancel()
    await asyncio.gather(*patient, return_exceptions=True)
    await assert_nothing_waits(client)


async def test_a_burst_of_429s_logs_one_warning(start, clock, odd_server, caplog):
    client = await start(AsyncVoiceprintClient("key", base_url=odd_server.url, clock=clock, max_queue_wait=5.0))
    await client.submit(URL)
    odd_server.refuses, odd_server.refusal = True, {"Retry-After": "40"}
    errors = await asyncio.gather(*(client.submit(URL) for _ in range(20)), return_exceptions=True)
    assert [type(error) for error in errors] == [QueueTooLongError] * 20
    assert (odd_server.requests, client.stats.rate_limited) == (21, 20)
    assert len(warnings(caplog)) == 1
