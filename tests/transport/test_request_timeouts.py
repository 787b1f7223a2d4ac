"""The timeouts of requests in flight, and time in which the event loop did not run."""

import asyncio
import time
from types import SimpleNamespace

import pytest

from pyannote_voiceprint_async import AsyncVoiceprintClient, Timeouts
from pyannote_voiceprint_async.sandbox import Sandbox
from pyannote_voiceprint_async.transport import request_timeouts
from pyannote_voiceprint_async.transport.request_timeouts import RequestTimeouts

URL = "https://example.com/voice.wav"
TIMEOUTS = Timeouts(connect=10.0, read=20.0, total=40.0)


class Request:
    """A request whose test decides whether its timeouts count."""

    def __init__(self, *, is_timed: bool = True) -> None:
        self.started_at = self.last_received_at = 0.0
        self.overdue = False
        self.is_timed = is_timed
        self.aborts = 0

    def abort(self) -> None:
        self.aborts += 1


class Time:
    """Advances the time of `RequestTimeouts`, tick by tick."""

    def __init__(self, timeouts: RequestTimeouts, clock: SimpleNamespace) -> None:
        self.timeouts = timeouts
        self.clock = clock

    def run(self, seconds: float, step: float = 0.5) -> None:
        for _ in range(round(seconds / step)):
            self.suspend(step)

    def suspend(self, seconds: float) -> None:
        self.clock.now += seconds
        self.timeouts._tick()


@pytest.fixture
async def moving(monkeypatch):
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(request_timeouts, "time", SimpleNamespace(monotonic=lambda: clock.now))
    timeouts = RequestTimeouts(TIMEOUTS)
    yield Time(timeouts, clock)
    timeouts._requests.clear()
    timeouts.close()


async def test_a_request_without_a_response_is_aborted_once_after_the_read_timeout(moving):
    request = Request()
    moving.timeouts.start(request)
    moving.run(20.0)
    assert (request.overdue, request.aborts) == (False, 0)
    moving.run(5.0)
    assert (request.overdue, request.aborts) == (True, 1)


async def test_a_slow_response_is_aborted_after_the_total_timeout(moving):
    request = Request()
    moving.timeouts.start(request)
    for _ in range(40):
        moving.run(1.0)
        request.last_received_at = moving.timeouts.now
    assert not request.overdue
    moving.run(1.0)
    assert request.overdue


async def test_timeouts_count_only_while_the_request_is_timed(moving):
    """Connecting has its own timeout, and an upload only a stall timeout until its body is complete."""
    request = Request(is_timed=False)
    moving.timeouts.start(request)
    moving.run(500.0)
    request.is_timed = True
    moving.run(20.0)
    assert not request.overdue
    moving.run(1.0)
    assert request.overdue


async def test_time_in_which_the_event_loop_did_not_run_does_not_count(moving):
    request = Request()
    moving.timeouts.start(request)
    standstill = moving.timeouts.standstill()
    moving.run(10.0)
    assert not moving.timeouts.was_suspended(standstill)
    moving.suspend(3600.0)
    assert (request.overdue, moving.timeouts.was_suspended(standstill)) == (False, True)
    moving.run(9.0)
    assert not request.overdue
    moving.run(2.0)
    assert request.overdue


async def test_an_event_loop_that_is_always_late_still_aborts_requests(moving):
    request = Request()
    moving.timeouts.start(request)
    for _ in range(25):
        moving.suspend(5.0)
    assert request.overdue


async def test_a_request_whose_timeouts_were_stopped_is_not_aborted(moving):
    request = Request()
    moving.timeouts.start(request)
    moving.timeouts.stop(request)
    moving.run(100.0)
    assert request.aborts == 0


@pytest.mark.parametrize("how", ["submit", "read"])
async def test_a_response_that_arrived_while_the_process_was_suspended_is_read(start, how):
    sandbox = await start(Sandbox(window="none"))
    timeouts = Timeouts(connect=0.3, read=0.3, total=0.3)
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, timeouts=timeouts))
    job = await client.submit(URL)
    before = client.stats.requests
    task = asyncio.create_task(client.submit(URL) if how == "submit" else client.get_job(job.job_id))
    while client.stats.requests == before:
        await asyncio.sleep(0)
    time.sleep(1.0)
    assert (await task).job_id
    assert client.stats.requests == before + 1
