"""A TCP proxy between the program and the sandbox that simulates a failing network."""

import asyncio
from typing import Any, Self

_HOST = "127.0.0.1"


class Proxy:
    """Forwards bytes while the network works.

    Args:
        port: the port of the sandbox.
    """

    def __init__(self, port: int) -> None:
        self._upstream = port
        self._port = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Transport] = set()
        self._connecting: set[asyncio.Task[Any]] = set()
        self._is_cut = False

    @property
    def url(self) -> str:
        """The base URL for the program."""
        return f"http://{_HOST}:{self._port}"

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.fail(listens=False)
        if self._connecting:
            await asyncio.wait(self._connecting)

    def fail(self, *, listens: bool) -> None:
        """Abort all connections; new ones are refused, or accepted and aborted if the proxy still listens."""
        self._is_cut = True
        if not listens and self._server is not None:
            self._server.close()
            self._server = None
        for transport in list(self._open):
            transport.abort()

    async def recover(self) -> None:
        """Accept and forward connections again."""
        self._is_cut = False
        if self._server is None:
            await self._listen()

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _ProgramEnd(self), _HOST, self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    def opened(self, end: "_End") -> None:
        """Record an opened connection; connect one of the program to the sandbox."""
        self._open.add(end.transport)
        if self._is_cut:
            end.transport.abort()
        elif isinstance(end, _ProgramEnd):
            task = asyncio.create_task(self._connect(end))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    def closed(self, end: "_End") -> None:
        """Record a closed connection."""
        self._open.discard(end.transport)

    async def _connect(self, program_end: "_ProgramEnd") -> None:
        loop = asyncio.get_running_loop()
        try:
            _, sandbox_end = await loop.create_connection(lambda: _End(self), _HOST, self._upstream)
        except OSError:
            program_end.transport.abort()
        else:
            program_end.join(sandbox_end)


class _End(asyncio.Protocol):
    """One end of a forwarded connection."""

    transport: asyncio.Transport

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._other: _End | None = None
        self._early = b""

    def join(self, other: "_End") -> None:
        """Forward bytes between both ends, beginning with those that arrived early."""
        self._other, other._other = other, self
        other.transport.write(self._early)
        self.transport.write(other._early)
        if self.transport.is_closing():
            other.transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._proxy.opened(self)

    def data_received(self, data: bytes) -> None:
        if self._other is None:
            self._early += data
        else:
            self._other.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._proxy.closed(self)
        if self._other is not None:
            self._other.transport.close()


class _ProgramEnd(_End):
    """The end towards the program, which needs a connection to the sandbox."""
