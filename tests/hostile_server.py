"""A server that sends scripted bytes, records its requests, and may violate HTTP."""

import asyncio
import socket
import struct
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from ssl import SSLContext
from typing import Self

import attrs
from multidict import CIMultiDict

JOB = b'{"jobId":"job-1","status":"created"}'
CLOSE = {"Connection": "close"}


@attrs.define(eq=False)
class Asked:
    """One request, as far as the server has read it."""

    connection: int
    method: str
    target: str
    headers: CIMultiDict[str]
    head: bytes
    body: bytes = b""


@attrs.define(eq=False)
class ServerConnection:
    """The server's end of one connection, during one request."""

    asked: Asked
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def body(self) -> bytes:
        """Read the body, whose length is its `Content-Length`."""
        wanted = int(self.asked.headers.get("Content-Length", 0))
        while len(self.asked.body) < wanted and (
            piece := await self.reader.read(min(65536, wanted - len(self.asked.body)))
        ):
            self.asked.body += piece
        return self.asked.body

    async def skip(self) -> int:
        """Read and drop the body, and return its length."""
        left = wanted = int(self.asked.headers.get("Content-Length", 0))
        while left and (chunk := await self.reader.read(min(65536, left))):
            left -= len(chunk)
        return wanted - left

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def close(self) -> None:
        """Close the connection (FIN)."""
        self.writer.close()

    def reset(self) -> None:
        """Reset the connection (RST)."""
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


Play = bytes | Callable[[ServerConnection], Awaitable[None]]
"""The response to one request. Bytes are sent when the request is read, and the connection stays open."""


def answer(body: bytes = JOB, status: int | str = "200 OK", **headers: str) -> bytes:
    """Return a whole response. `Content_Type="…"` adds a header, and `Content_Length=""` removes it."""
    named = {"Content-Length": str(len(body))} | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in named.items() if value)]
    return "\r\n".join([*lines, "", ""]).encode() + body


def then_close(data: bytes) -> Play:
    async def play(wire: ServerConnection) -> None:
        await wire.body()
        await wire.send(data)
        wire.close()

    return play


def drip(head: bytes, seconds: float = 0.1) -> Play:
    """Send the head, then one byte at a time without end."""

    async def play(wire: ServerConnection) -> None:
        await wire.body()
        await wire.send(head)
        while True:
            await asyncio.sleep(seconds)
            await wire.send(b"1")

    return play


def endless(head: bytes, piece: bytes, times: int) -> Play:
    """Send a chunk again and again, as fast as the client reads."""

    async def play(wire: ServerConnection) -> None:
        await wire.body()
        await wire.send(head)
        for _ in range(times):
            await wire.send(piece)

    return play


async def silence(wire: ServerConnection) -> None:
    await wire.body()
    await asyncio.Event().wait()


async def hang_up(wire: ServerConnection) -> None:
    """Close the connection when the whole request is read."""
    await wire.body()
    wire.close()


async def hang_up_early(wire: ServerConnection) -> None:
    """Close the connection when the head of the request is read."""
    wire.close()


async def reset(wire: ServerConnection) -> None:
    await wire.body()
    wire.reset()


async def reset_early(wire: ServerConnection) -> None:
    wire.reset()


class HostileServer:
    """Responds to each request with the next play, and to all later ones with the last play.

    Args:
        plays: the plays.
        tls: an `ssl.SSLContext` for a TLS server.
        greeting: bytes to send on every new connection before reading.
    """

    def __init__(self, *plays: Play, tls: SSLContext | None = None, greeting: bytes = b"") -> None:
        self.plays = list(plays)
        self.asked: list[Asked] = []
        self.connections = 0
        self._tls = tls
        self._greeting = greeting
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._on_connection, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    async def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        # The client may close or reset the connection at any time, and `__aexit__` cancels this task.
        with suppress(asyncio.CancelledError, OSError, asyncio.IncompleteReadError):
            await self._converse(self.connections, reader, writer)
        writer.transport.abort()
        with suppress(OSError, asyncio.CancelledError):
            await writer.wait_closed()
        self._tasks.discard(task)

    async def _converse(self, connection: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self._greeting)
        while not writer.is_closing():
            head = await reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").rstrip().split("\r\n")
            method, target, _ = first.split(" ", 2)
            pairs = (line.partition(":") for line in lines)
            headers = CIMultiDict((name, value.strip()) for name, _, value in pairs)
            wire = ServerConnection(Asked(connection, method, target, headers, head), reader, writer)
            self.asked.append(wire.asked)
            play = self.plays.pop(0) if len(self.plays) > 1 else self.plays[0]
            if isinstance(play, bytes):
                await wire.body()
                await wire.send(play)
            else:
                await play(wire)
        # The bytes sent before `close()` must arrive before the connection is aborted.
        await writer.wait_closed()


def unused_port() -> int:
    """Return a port without a listener."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def open_files() -> int | None:
    """Return the number of open sockets and files of this process (Linux only)."""
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else None


@asynccontextmanager
async def nothing_left_behind() -> AsyncIterator[None]:
    """Fail if a task or a socket outlives the block. Closing connections get a moment to finish."""

    def others() -> set[asyncio.Task]:
        return asyncio.all_tasks() - {asyncio.current_task()}

    files = open_files()
    yield
    for _ in range(400):
        if (others(), open_files()) == (set(), files):
            break
        await asyncio.sleep(0.005)
    assert (others(), open_files()) == (set(), files)


def shown_of(error: BaseException) -> str:
    """Return all text that a log shows of an error, and check that it chains no exception of another library."""
    found: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and one not in found:
            found.append(one)
            waiting += [one.__cause__, one.__context__]
    modules = {type(one).__module__.partition(".")[0] for one in found}
    assert modules & {"aiohttp", "orjson", "cattrs", "backoff", "yarl"} == set()
    return "".join(traceback.format_exception(error)) + "".join(f"{one!r} {vars(one)}" for one in found)


def found_in(text: str, *secrets: str) -> list[str]:
    """Return the secrets that a text shows, ignoring case."""
    return [secret for secret in secrets if secret.lower() in text.lower()]
