"""A sandbox in a thread."""

import asyncio
import contextlib
import http.client
import threading

import pytest

from pyannote_voiceprint_async import AsyncVoiceprintClient, Polling
from pyannote_voiceprint_async.sandbox import Sandbox, SandboxThread

URL = "https://example.com/voice.wav"


def fetch(sandbox: Sandbox) -> int:
    connection = http.client.HTTPConnection(sandbox.url.removeprefix("http://"))
    with contextlib.closing(connection):
        connection.request("GET", "/v1/test", headers={"Authorization": f"Bearer {sandbox.api_key}"})
        return connection.getresponse().status


def test_a_synchronous_program_uses_the_sandbox():
    with SandboxThread(Sandbox()) as sandbox:
        assert fetch(sandbox) == 200
        assert [request.operation for request in sandbox.requests] == ["test"]


def test_an_event_loop_of_another_thread_uses_the_sandbox():
    with SandboxThread(Sandbox(job_seconds=0.0)) as sandbox:
        sandbox.on_next(output={"voiceprint": "abc"})

        async def voiceprint() -> str:
            polling = Polling(first=0.01, longest=0.05)
            async with AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, polling=polling) as client:
                return (await client.voiceprint(URL)).value

        assert asyncio.run(voiceprint()) == "abc"


def test_after_the_block_the_thread_has_ended_and_the_jobs_can_be_read():
    thread = SandboxThread(Sandbox())
    with thread as sandbox:
        assert [one.name for one in threading.enumerate()].count("sandbox") == 1
    with pytest.raises(RuntimeError, match="listens only inside"):
        _ = sandbox.url
    assert list(sandbox.accepted) == []
    with thread as again:
        assert fetch(again) == 200


def test_an_error_of_the_start_is_raised_in_the_block_of_the_user():
    with SandboxThread(Sandbox()) as sandbox:
        port = int(sandbox.url.rpartition(":")[2])
        with pytest.raises(OSError, match="address already in use"), SandboxThread(Sandbox(port=port)):
            pass


def test_a_running_thread_cannot_be_entered_again():
    thread = SandboxThread(Sandbox())
    with thread, pytest.raises(RuntimeError, match="is running"):
        thread.__enter__()


def test_an_exception_of_the_block_is_raised():
    with pytest.raises(KeyError), SandboxThread(Sandbox()):
        raise KeyError


def test_repr_shows_the_sandbox():
    thread = SandboxThread(Sandbox())
    assert repr(thread) == "<SandboxThread of <Sandbox not listening, 0 jobs, 0 in flight>>"
    assert repr(SandboxThread.__new__(SandboxThread)) == "<SandboxThread, not constructed>"


def test_a_request_in_flight_does_not_delay_the_end():
    with SandboxThread(Sandbox(latency=1000.0)) as sandbox:
        host, _, port = sandbox.url.removeprefix("http://").partition(":")

        async def begin() -> None:
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"GET /v1/test HTTP/1.1\r\nHost: x\r\n\r\n")
            await writer.drain()
            while not sandbox.state.total.in_flight:
                await asyncio.sleep(0.001)
            writer.close()

        asyncio.run(begin())
