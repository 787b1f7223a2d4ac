"""A fake clock, sandboxes that run on it, a plain HTTP client for them, and a receiver of webhooks."""

import asyncio
import json
import struct
from contextlib import AsyncExitStack

import aiohttp
import attrs
import pytest
from aiohttp import web

from pyannote_voiceprint_async.sandbox import Sandbox

_KEY = {"Authorization": "Bearer sandbox-key"}


class FakeClock:
    """A clock in UTC epoch seconds that moves only in `advance`. Sleepers wake in the order of their deadlines."""

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self.moment = start
        self.slept: list[float] = []
        self._sleepers: list[tuple[float, asyncio.Future]] = []

    def now(self) -> float:
        return self.moment

    @property
    def sleepers(self) -> int:
        return sum(not future.done() for _, future in self._sleepers)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        future = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.moment + seconds, future))
        await future

    async def advance(self, seconds: float) -> None:
        self.moment += seconds
        for deadline, future in sorted(self._sleepers, key=lambda sleeper: sleeper[0]):
            if deadline <= self.moment and not future.done():
                future.set_result(None)
        await asyncio.sleep(0)

    async def wait_for_sleepers(self, count: int) -> None:
        """Wait until exactly `count` tasks sleep on this clock."""
        while self.sleepers != count:
            await asyncio.sleep(0.001)


@attrs.frozen
class Response:
    status: int
    headers: object
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


@attrs.frozen
class SandboxClient:
    """A sandbox, a session that sends its API key, and a session without the key."""

    sandbox: Sandbox
    session: aiohttp.ClientSession
    bare: aiohttp.ClientSession

    async def get(self, path, **options) -> Response:
        return await _response(self.session.get(self.sandbox.url + path, **options))

    async def post(self, path, payload=None, **options) -> Response:
        return await _response(self.session.post(self.sandbox.url + path, json=payload, **options))

    async def submit(self, url="https://example.com/voice.wav", **fields) -> Response:
        return await self.post("/v1/voiceprint", {"url": url, **fields})

    async def identify(self, url="https://example.com/meeting.wav", speakers=("anna", "bert"), **fields) -> Response:
        """Submit an identification with a made-up voiceprint for each label."""
        voiceprints = [{"label": label, "voiceprint": f"voiceprint of {label}"} for label in speakers]
        return await self.post("/v1/identify", {"url": url, "voiceprints": voiceprints, **fields})

    async def job(self, job_id) -> dict:
        return (await self.get(f"/v1/jobs/{job_id}")).json

    async def presign(self, url) -> str:
        return (await self.post("/v1/media/input", {"url": url})).json["url"]

    async def put(self, url, data, **options) -> Response:
        return await _response(self.bare.put(url, data=data, **options))


async def _response(request) -> Response:
    async with request as response:
        return Response(response.status, response.headers, await response.read())


@attrs.frozen
class Received:
    """A received webhook."""

    path: str
    headers: object
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


class Receiver:
    """A receiver of webhooks on a real socket.

    `behavior` lists what the receiver does with each webhook: an HTTP status is the response, "drop" cuts the
    connection, "loop" redirects to the same URL, "hang" waits for `release` and then responds with 200. The last entry
    applies to all further webhooks.
    """

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.behavior: list[object] = [200]
        self.release = asyncio.Event()
        self.in_flight = 0
        self.url = ""

    async def wait_for(self, count: int) -> list[Received]:
        """Wait until at least `count` webhooks have arrived."""
        while len(self.received) < count:
            await asyncio.sleep(0.001)
        return self.received

    async def handle(self, request: web.BaseRequest) -> web.Response:
        self.in_flight += 1
        try:
            # Not `request.read()`, which refuses bodies of more than one MiB.
            body = b"".join([chunk async for chunk in request.content.iter_any()])
            self.received.append(Received(request.path, request.headers, body))
            return await self._behave(request)
        finally:
            self.in_flight -= 1

    async def _behave(self, request: web.BaseRequest) -> web.Response:
        behavior = self.behavior.pop(0) if len(self.behavior) > 1 else self.behavior[0]
        if behavior == "hang":
            await self.release.wait()
        if behavior == "drop":
            request.transport.abort()
        if behavior == "loop":
            return web.Response(status=307, headers={"Location": str(request.url)})
        return web.Response(status=behavior if isinstance(behavior, int) else 200)


@pytest.fixture
async def receiver():
    receiver = Receiver()
    runner = web.ServerRunner(web.Server(receiver.handle, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield receiver
    receiver.release.set()
    await runner.cleanup()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def open_sandbox(clock):
    """Return a function that starts a sandbox on the fake clock. The sandbox stops at the end of the test."""
    async with AsyncExitStack() as stack:

        async def start(**settings) -> SandboxClient:
            # The sessions close after the sandbox, which must therefore cut connections that are still open.
            session = await stack.enter_async_context(aiohttp.ClientSession(headers=_KEY))
            bare = await stack.enter_async_context(aiohttp.ClientSession())
            sandbox = Sandbox(**{"now": clock.now, "sleep": clock.sleep, **settings})
            return SandboxClient(await stack.enter_async_context(sandbox), session, bare)

        yield start


@pytest.fixture
async def client(open_sandbox) -> SandboxClient:
    return await open_sandbox()


def wav(seconds: float, *, tag: int = 1, rate: int = 8000, before_data: bytes = b"") -> bytes:
    """Return a WAV file of silence with 16 bits and one channel."""
    samples = bytes(int(seconds * rate) * 2)
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, tag, 1, rate, rate * 2, 2, 16)
    body = b"WAVE" + fmt + before_data + struct.pack("<4sI", b"data", len(samples)) + samples
    return struct.pack("<4sI", b"RIFF", len(body)) + body


@pytest.fixture(name="wav")
def wav_factory():
    return wav
