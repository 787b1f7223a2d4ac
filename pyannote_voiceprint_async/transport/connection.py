"""What a submission does with its connection. Uses only documented names of asyncio."""

from __future__ import annotations

import asyncio
import socket
import struct

__all__ = ["RecordedConnection", "reset"]

# Bytes of a response to keep until it is parsed: enough for oversized headers and a job.
_MAX_RECORDED = 256 * 1024
_LINGER_FOR_0_SECONDS = struct.pack("ii", 1, 0)


class RecordedConnection(asyncio.Protocol):
    """A protocol between a transport and aiohttp's protocol that records the received bytes.

    aiohttp drops a response whose headers it cannot parse. The recorded bytes save the job id in such a response,
    because the job is billed.

    Args:
        transport: the transport of the connection.
        protocol: aiohttp's protocol; it gets every call.
    """

    def __init__(self, transport: asyncio.WriteTransport, protocol: asyncio.Protocol) -> None:
        self._transport = transport
        self._protocol = protocol
        self._user: object = None
        self._recorded = bytearray()

    @classmethod
    def of(cls, transport: asyncio.WriteTransport) -> RecordedConnection:
        """Return the recorder of this connection; the first call installs it."""
        protocol = transport.get_protocol()
        if isinstance(protocol, cls):
            return protocol
        recorded = cls(transport, protocol)  # type: ignore[arg-type]  # aiohttp's is a stream protocol
        transport.set_protocol(recorded)
        return recorded

    def begin(self, user: object) -> None:
        """Start recording for this user, before the first byte of its request is sent."""
        self._user = user
        self._recorded.clear()

    def recorded(self, user: object) -> bytes:
        """Return the recorded bytes, if the recording is still this user's."""
        return bytes(self._recorded) if self._user is user else b""

    def end(self, user: object) -> None:
        """Stop recording, unless the connection has its next user already."""
        if self._user is user:
            self._user = None
            self._recorded.clear()

    def reset(self, user: object) -> None:
        """Abort the connection, unless it has its next user already."""
        if self._user is user:
            reset(self._transport)

    def data_received(self, data: bytes) -> None:
        """Record the data and pass it on; called by asyncio."""
        if self._user is not None and len(self._recorded) < _MAX_RECORDED:
            self._recorded += data
        self._protocol.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass the call on; called by asyncio."""
        return self._protocol.eof_received()

    def pause_writing(self) -> None:
        """Pass the call on; called by asyncio."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Pass the call on; called by asyncio."""
        self._protocol.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass the call on; called by asyncio."""
        self._protocol.connection_lost(exc)


def reset(transport: asyncio.WriteTransport) -> None:
    """Abort a connection, and discard its unsent bytes in the kernel, so that they never reach the server."""
    connected = transport.get_extra_info("socket")
    if connected is not None and connected.fileno() >= 0:
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_FOR_0_SECONDS)
    transport.abort()
