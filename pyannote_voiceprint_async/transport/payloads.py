"""Request bodies that know what became of them."""

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
    """JSON that notes that its writing begins: from then on the server may have seen the request.

    A connection that is closing already takes no byte, so nothing has begun there.
    """

    def __init__(self, body: bytes | memoryview, call: ApiRequest, now: Callable[[], float]) -> None:
        super().__init__(body, content_type="application/json")
        self._call = call
        self._now = now

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:  # noqa: ARG002 - aiohttp's
        """Write it; called by aiohttp."""
        transport, protocol = writer.transport, getattr(writer, "protocol", None)
        if getattr(protocol, "should_close", False):
            # Something came over the idle connection that nobody asked for. It would be taken for our answer.
            raise aiohttp.ClientConnectionResetError("There is an answer without a request.")
        if transport is not None and not transport.is_closing():
            self._call.begin(self._now(), transport)
        await writer.write(self._value)


class UploadPayload(aiohttp.Payload):
    """A stream of known length that fails when no byte of it moves for `stall` seconds.

    `error` is what the caller's side raised, `stalled` whether the other side took nothing: aiohttp would only report
    that the writing failed. `complete` is whether all of it was written; the watchdog bounds the response from then on.
    """

    started_at = moved_at = 0.0
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
        """Whether the response is awaited: until then, only a stall ends the upload."""
        return self.complete

    def end(self) -> None:
        """End the upload: its response is overdue, or nothing moves."""
        if self._transport is not None:
            reset(self._transport)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:  # noqa: ARG002 - aiohttp's
        """Not for reading: it is audio, and may be long."""
        raise TypeError("An upload is not text.")

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write it; called by aiohttp. It tells that it is consumed, so that aiohttp does not send it again."""
        self._consumed = True
        self._transport = writer.transport
        sent = 0
        chunks = self._chunks()
        while True:
            with self._callers_side():
                chunk = await anext(chunks, b"")
            if not chunk:
                return
            await self._write_chunk(writer, chunk)
            sent += len(chunk)
            self.complete = sent == self._total
            if self._on_progress is not None:
                with self._callers_side():
                    self._on_progress(sent, self._total)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:  # noqa: ARG002 - aiohttp's
        """Write it; the length is what was promised."""
        await self.write(writer)

    @contextmanager
    def _callers_side(self) -> Iterator[None]:
        """Remember what the caller's own code raises."""
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
                before, unsent = unsent, _unsent(writer)
                if not writing.done() and unsent == before:
                    self.stalled = True
                    # The storage may have begun to respond: then aiohttp would go on reading.
                    self.end()
                    raise TimeoutError
            await writing
        finally:
            writing.cancel()


def _unsent(writer: AbstractStreamWriter) -> int | None:
    return None if writer.transport is None else writer.transport.get_write_buffer_size()
