"""No error keeps its traceback, a response or a request alive through a reference cycle."""

import asyncio
import gc
import weakref

import aiohttp
import pytest
from hostile_server import HostileServer, answer, hang_up, reset, silence, then_close

from pyannote_voiceprint_async import AsyncVoiceprintClient, RetryPolicy, Timeouts, VoiceprintError
from pyannote_voiceprint_async.identification import identify_among

PLAYS = {
    "garbage of 1 MB": answer(b"x" * 1_000_000),
    "server error": answer(b"x", 500),
    "refusal": answer(b"{}", 400),
    "redirect": answer(b"", 302),
    "long pause": answer(b"", 429, Retry_After="80000"),
    "closed": hang_up,
    "reset": reset,
    "broken headers": b"HTTP/1.1 200 OK\r\ngarbage\r\n\r\n",
    "breaks off": then_close(answer(b'{"job', Content_Length="36")),
    "too late": silence,
    "too late, within": answer(b"{", Content_Length="9"),
}
CALLS = {
    "submit": lambda client: client.submit("https://example.com/voice.wav"),
    "voiceprint": lambda client: client.voiceprint("https://example.com/voice.wav"),
    "identify": lambda client: client.identify("https://example.com/talk.wav", {"Ann": "value"}),
    "identify_among": lambda client: identify_among(
        client, "https://example.com/talk.wav", {str(number): "value" for number in range(60)}, max_jobs=2
    ),
    "read": lambda client: client.get_job("job-1"),
    "upload": lambda client: client.upload(b"RIFF" * 100),
}
PACKAGE = "/pyannote_voiceprint_async/"


def is_of_the_client(one: object) -> bool:
    """Return whether an object belongs to the client, not to the server, which runs in the same process."""
    code = getattr(one, "f_code", None) or getattr(one, "cr_code", None)
    return isinstance(one, VoiceprintError | aiohttp.ClientError | aiohttp.ClientResponse) or (
        code is not None and PACKAGE in code.co_filename
    )


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("play", PLAYS.values(), ids=PLAYS)
async def test_error_is_freed_without_the_garbage_collector(play, call):
    policy, timeouts = RetryPolicy(max_tries=2, base=0.001), Timeouts(total=0.2)
    async with (
        HostileServer(play) as server,
        AsyncVoiceprintClient("k", base_url=server.url, retry=policy, timeouts=timeouts) as client,
    ):
        gc.freeze()  # exempts all earlier objects, so that the collection below takes no time
        gc.disable()
        try:
            kept = await failed(client, call)
            for _ in range(10):
                await asyncio.sleep(0)
            assert kept() is None
            gc.set_debug(gc.DEBUG_SAVEALL)
            gc.collect()
            found = [repr(one) for one in gc.garbage if is_of_the_client(one)]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
    assert found == []


async def failed(client, call) -> weakref.ref[VoiceprintError]:
    try:
        await call(client)
    except VoiceprintError as error:
        return weakref.ref(error)
    raise AssertionError("It did not fail.")
