"""What a submission does with its connection, by names that asyncio documents."""

from __future__ import annotations

import asyncio
import socket
import struct

__all__ = ["RecordedConnection", "reset"]

# Bytes of a response that are kept until it is read: enough for headers that are too large, and a job.
_KEPT = 256 * 1024
_LINGER_FOR_0_SECONDS = struct.pack("ii", 1, 0)


class RecordedConnection(asyncio.Protocol):
    """Stands between a connection and aiohttp's protocol while the connection lasts, and records what arrives.

    aiohttp drops a response whose headers it cannot parse, and a job id in it is paid for.
    """

    def __init__(self, transport: asyncio.WriteTransport, protocol: asyncio.Protocol) -> None:
        self._transport = transport
        self._protocol = protocol
        self._user: object = None
        self._pieces: list[bytes] = []
        self._room = 0

    @classmethod
    def of(cls, transport: asyncio.WriteTransport) -> RecordedConnection:
        """Return what records this connection."""
        protocol = transport.get_protocol()
        if isinstance(protocol, cls):
            return protocol
        recorded = cls(transport, protocol)  # type: ignore[arg-type]  # aiohttp's is a stream protocol
        transport.set_protocol(recorded)
        return recorded

    def begin(self, user: object) -> None:
        """Record for this user: the first byte of its request is about to leave."""
        self._user, self._pieces, self._room = user, [], _KEPT

    def received(self, user: object) -> bytes:
        """Return what has arrived for this user, as far as it is kept."""
        return b"".join(self._pieces) if self._user is user else b""

    def end(self, user: object) -> None:
        """Stop recording: the response is read. By then the connection may have its next user already."""
        if self._user is user:
            self._user, self._pieces, self._room = None, [], 0

    def reset(self, user: object) -> None:
        """Abort the connection: nothing more of the request may reach the server."""
        if self._user is user:
            reset(self._transport)

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        if self._room > 0:
            self._pieces.append(data)
            self._room -= len(data)
        self._protocol.data_received(data)

    def eof_received(self) -> bool | None:
        """Called by asyncio."""
        return self._protocol.eof_received()

    def pause_writing(self) -> None:
        """Called by asyncio."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Called by asyncio."""
        self._protocol.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self._protocol.connection_lost(exc)


def reset(transport: asyncio.WriteTransport) -> None:
    """Abort a connection, so that the kernel delivers nothing of it any more."""
    connected = transport.get_extra_info("socket")
    if connected is not None and connected.fileno() >= 0:
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_FOR_0_SECONDS)
    transport.abort()
