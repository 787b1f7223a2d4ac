"""A network between the program and the sandbox, which can be gone for a while."""

import asyncio
from typing import Any, Self

_HOST = "127.0.0.1"


class Proxy:
    """Passes bytes on, while there is a network.

    Args:
        port: where the sandbox listens.
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
        return f"http://{_HOST}:{self._port}"

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.go(listens=False)
        if self._connecting:
            await asyncio.wait(self._connecting)

    def go(self, *, listens: bool) -> None:
        """Cut all connections. New ones are refused; where it still listens, they are taken and cut."""
        self._is_cut = True
        if not listens and self._server is not None:
            self._server.close()
            self._server = None
        for transport in list(self._open):
            transport.abort()

    async def come_back(self) -> None:
        """Have a network again."""
        self._is_cut = False
        if self._server is None:
            await self._listen()

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Near(self), _HOST, self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    def opened(self, end: "_End") -> None:
        self._open.add(end.transport)
        if self._is_cut:
            end.transport.abort()
        elif isinstance(end, _Near):
            task = asyncio.create_task(self._connect(end))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    def closed(self, end: "_End") -> None:
        self._open.discard(end.transport)

    async def _connect(self, near: "_Near") -> None:
        loop = asyncio.get_running_loop()
        try:
            _, far = await loop.create_connection(lambda: _End(self), _HOST, self._upstream)
        except OSError:
            near.transport.abort()
        else:
            near.join(far)


class _End(asyncio.Protocol):
    """One side of a connection."""

    transport: asyncio.Transport

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._other: _End | None = None
        self._early = b""

    def join(self, other: "_End") -> None:
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


class _Near(_End):
    """The program's side, which needs another one."""
