"""The surroundings of a fault: a server, a proxy or nothing at all, and the requests that it received."""

import asyncio
import json
import ssl
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from typing import Any

import attrs
import trustme
from enrollment.torture.scaled_clock import ScaledClock
from faults.plays import Told
from hostile_server import Asked, HostileServer, Play, ServerConnection, answer, unused_port

from pyannote_voiceprint_async.sandbox import Sandbox

KEY = "sk-THIS-IS-THE-KEY"
# The clock runs a thousand times faster, so that the tests do not wait for pauses that a server requests.
_SCALE = 1000.0
_NOWHERE = "https://api.example.invalid"


@attrs.define
class Scene:
    """What the calls meet."""

    url: str
    options: Mapping[str, Any] = attrs.field(factory=dict)
    """Options of the client."""
    key: str = KEY
    clock: ScaledClock = attrs.field(factory=lambda: ScaledClock(time.monotonic(), _SCALE))
    accepted: dict[str, list[str]] = attrs.field(factory=lambda: defaultdict(list))
    """The ids of accepted jobs, by the submitted URL."""
    seen: Counter[str] = attrs.field(factory=Counter)
    """The number of requests by submitted URL, or by requested job id."""
    met: int | None = 0
    """The number of requests that met the fault; None for all requests."""


Provoke = Callable[[], AbstractAsyncContextManager[Scene]]


def hostile(play: Play, *, accepts: bool = True, reads: bool = True, once: bool = False, **options: Any) -> Provoke:
    """Return a scene with a server that responds with this play.

    Args:
        play: the play.
        accepts: whether the server accepts a submission before it plays.
        reads: whether the server reads the request before it plays.
        once: whether the second request of a call gets a normal response.
        options: options of the client.
    """
    return telling(lambda _: play, accepts=accepts, reads=reads, once=once, **options)


def telling(told: Told, *, accepts: bool = True, reads: bool = True, once: bool = False, **options: Any) -> Provoke:
    """Return a scene with a server whose play contains the JSON of the job. For the arguments, see `hostile`."""

    @asynccontextmanager
    async def provoke() -> AsyncIterator[Scene]:
        scene = Scene("", options)
        accepting = _Accepting(scene, told, accepts=accepts, reads=reads, once=once)
        async with HostileServer(accepting.serve) as server:
            scene.url = server.url
            yield scene

    return provoke


class _Accepting:
    """Accepts submissions and records them, before it plays."""

    def __init__(self, scene: Scene, told: Told, *, accepts: bool, reads: bool, once: bool) -> None:
        self._scene = scene
        self._told = told
        self._accepts = accepts
        self._reads = reads
        self._once = once

    async def serve(self, wire: ServerConnection) -> None:
        is_healthy, job = False, b""
        if self._reads:
            await wire.body()
            asked_for = _asked_for(wire.asked)
            self._scene.seen[asked_for] += 1
            is_healthy = self._once and self._scene.seen[asked_for] > 1
            job = self._accept(asked_for, wire.asked) if self._accepts or is_healthy else b""
        self._scene.met = (self._scene.met or 0) + (not is_healthy)
        play = answer(job) if is_healthy else self._told(job)
        await (wire.send(play) if isinstance(play, bytes) else play(wire))

    def _accept(self, asked_for: str, asked: Asked) -> bytes:
        job_id = asked_for
        if asked.method == "POST":
            job_id = f"job-{sum(map(len, self._scene.accepted.values()))}"
            self._scene.accepted[asked_for].append(job_id)
        return b'{"jobId":"%b","status":"created"}' % job_id.encode()


def _asked_for(asked: Asked) -> str:
    return json.loads(asked.body)["url"] if asked.method == "POST" else asked.target.rpartition("/")[2]


def in_sandbox(*faults: str, share: float = 1.0, first: int = 0, settings: Mapping[str, Any] | None = None,
               **options: Any) -> Provoke:  # fmt: skip
    """Return a scene with the sandbox and its faults.

    Args:
        faults: the names of the sandbox's faults.
        share: the share of requests that meet a fault.
        first: the number of first submissions that meet the faults, instead of a share.
        settings: settings of the sandbox.
        options: options of the client.
    """

    @asynccontextmanager
    async def provoke() -> AsyncIterator[Scene]:
        scene = Scene("", options)
        sandbox = Sandbox(
            **{"window": "none", "job_seconds": 60.0, **(settings or {})},
            faults={} if first else {name: share / len(faults) for name in faults},
            now=scene.clock.wall,
            sleep=scene.clock.sleep,
        )
        for operation in ("voiceprint", "identify"):
            sandbox.fail_next([*faults] * (first // 2), operation=operation)
        _count_met(sandbox, scene)
        async with sandbox:
            scene.url, scene.key = sandbox.url, sandbox.api_key
            yield scene
            while sandbox._tasks:  # wait for the submissions that are accepted late
                await asyncio.sleep(0.001)
        for job in sandbox.accepted:
            scene.accepted[job.url].append(job.id)

    return provoke


def _count_met(sandbox: Sandbox, scene: Scene) -> None:
    choose = sandbox._faults.choose

    def choose_and_count(operation: Any) -> Any:
        if (fault := choose(operation)) is not None:
            scene.met = (scene.met or 0) + 1
        return fault

    sandbox._faults.choose = choose_and_count  # type: ignore[method-assign]


def calm(*, job_seconds: float = 0.0, latency: float = 0.0, **options: Any) -> Provoke:
    """Return a scene with a sandbox without faults, for faults of this machine."""
    settings = {"job_seconds": job_seconds, "latency": latency}

    @asynccontextmanager
    async def provoke() -> AsyncIterator[Scene]:
        async with in_sandbox(settings=settings, **options)() as scene:
            scene.met = None
            yield scene

    return provoke


def no_server(scheme: str = "http", **options: Any) -> Provoke:
    """Return a scene without a server."""

    @asynccontextmanager
    async def provoke() -> AsyncIterator[Scene]:
        yield Scene(f"{scheme}://127.0.0.1:{unused_port()}", options, met=None)

    return provoke


def no_proxy(play: Play | None = None) -> Provoke:
    """Return a scene with a proxy that responds to every CONNECT with this play, or without a proxy."""

    @asynccontextmanager
    async def provoke() -> AsyncIterator[Scene]:
        if play is None:
            yield Scene(_NOWHERE, {"proxy": f"http://127.0.0.1:{unused_port()}"}, met=None)
            return
        async with HostileServer(play) as proxy:
            yield Scene(_NOWHERE, {"proxy": proxy.url}, met=None)

    return provoke


def no_tls(scheme: str, *, tls: bool, greeting: bytes = b"", **options: Any) -> Provoke:
    """Return a scene in which the TLS handshake of client and server fails.

    Args:
        scheme: the scheme of the client's base URL.
        tls: whether the server uses TLS, with an untrusted certificate.
        greeting: bytes that the server sends on every new connection.
        options: options of the client.
    """

    @asynccontextmanager
    async def provoke() -> AsyncIterator[Scene]:
        async with HostileServer(answer(), tls=_certificate() if tls else None, greeting=greeting) as server:
            yield Scene(f"{scheme}://127.0.0.1:{server.port}", options, met=None)

    return provoke


@cache
def _certificate() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context
