"""Request bodies that record how far they were sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import aiohttp
from aiohttp.abc import AbstractStreamWriter

from .connection import reset
from .request import ApiRequest

__all__ = ["JsonPayload", "UploadPayload"]


class JsonPayload(aiohttp.BytesPayload):
    """A JSON body that marks its request as sent when the writing starts.

    A connection that is already closing accepts no byte, so that its request stays unsent.

    Args:
        body: the JSON.
        request: the request to mark.
        now: returns the time on the client's clock.
    """

    def __init__(self, body: bytes | memoryview, request: ApiRequest, now: Callable[[], float]) -> None:
        super().__init__(body, content_type="application/json")
        self._request = request
        self._now = now

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:  # noqa: ARG002 - aiohttp's signature
        """Write the body; called by aiohttp."""
        transport, protocol = writer.transport, getattr(writer, "protocol", None)
        if getattr(protocol, "should_close", False):
            # Data arrived over the idle connection. aiohttp would read it as the response to this request.
            raise aiohttp.ClientConnectionResetError("The connection holds a response without a request.")
        if transport is not None and not transport.is_closing():
            self._request.mark_sent(self._now(), transport)
        await writer.write(self._value)


class UploadPayload(aiohttp.Payload):
    """A stream of known length that fails when no byte of it is sent for `stall` seconds.

    aiohttp only reports that the writing failed. `error` is the exception of the caller's own code, and `stalled` shows
    that the storage accepted no byte for too long. `complete` is whether all bytes are written; from then on, the
    request timeouts limit the response.

    Args:
        chunks: returns the stream from its beginning.
        size: the number of bytes.
        stall: seconds.
        on_progress: called with the bytes sent and `size`.
    """

    started_at = last_received_at = 0.0
    overdue = False

    def __init__(
        self,
        chunks: Callable[[], AsyncIterator[bytes]],
        size: int,
        stall: float,
        on_progress: Callable[[int, int], object] | None,
    ) -> None:
        super().__init__(None)
        self.error: Exception | None = None
        self.stalled = self.complete = False
        self._chunks = chunks
        self._size = self._total = size
        self._stall = stall
        self._on_progress = on_progress
        self._transport: asyncio.WriteTransport | None = None

    @property
    def is_timed(self) -> bool:
        """Whether the response is awaited; until then, only a stall ends the upload."""
        return self.complete

    def abort(self) -> None:
        """End the upload: its response is overdue, or the storage accepts no byte."""
        if self._transport is not None:
            reset(self._transport)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:  # noqa: ARG002 - aiohttp's signature
        """Raise `TypeError`: an upload is audio of any length."""
        raise TypeError("An upload cannot be decoded to text.")

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write the stream; called by aiohttp."""
        # aiohttp does not send a consumed payload again.
        self._consumed = True
        self._transport = writer.transport
        sent = 0
        chunks = self._chunks()
        while True:
            with self._keep_caller_error():
                chunk = await anext(chunks, b"")
            if not chunk:
                return
            await self._write_chunk(writer, chunk)
            sent += len(chunk)
            self.complete = sent == self._total
            if self._on_progress is not None:
                with self._keep_caller_error():
                    self._on_progress(sent, self._total)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:  # noqa: ARG002 - aiohttp's signature
        """Write the stream, which has exactly this length."""
        await self.write(writer)

    @contextmanager
    def _keep_caller_error(self) -> Iterator[None]:
        """Keep an exception of the caller's own code in `error`."""
        try:
            yield
        except Exception as exc:
            self.error = exc
            raise

    async def _write_chunk(self, writer: AbstractStreamWriter, chunk: bytes) -> None:
        writing = asyncio.ensure_future(writer.write(chunk))
        unsent: int | None = None
        try:
            while not writing.done():
                await asyncio.wait({writing}, timeout=self._stall)
                before, unsent = unsent, _unsent_bytes(writer)
                if not writing.done() and unsent == before:
                    self.stalled = True
                    # Without this, aiohttp goes on to read a response that the storage has begun.
                    self.abort()
                    raise TimeoutError
            await writing
        finally:
            writing.cancel()


def _unsent_bytes(writer: AbstractStreamWriter) -> int | None:
    return None if writer.transport is None else writer.transport.get_write_buffer_size()
