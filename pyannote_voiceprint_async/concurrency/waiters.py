"""Everything of one client that merely waits, so that closing the client can end it with a clear error."""

from __future__ import annotations

import asyncio
import copy
from functools import partial

from pyannote_voiceprint_async.errors import VoiceprintError

from .clock import Clock

__all__ = ["Waiters", "wake"]


class Waiters:
    """The futures that the callers of one client wait for."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: set[asyncio.Future[None]] = set()
        self._ended: VoiceprintError | None = None

    def __len__(self) -> int:
        return len(self._open)

    def create_future(self) -> asyncio.Future[None]:
        """Give a future that somebody will set, unless the client is closed before.

        Raises:
            ClientClosedError: it is closed already.
        """
        if self._ended is not None:
            raise copy.copy(self._ended)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._open.add(future)
        future.add_done_callback(self._open.discard)
        return future

    async def sleep(self, seconds: float) -> None:
        """Come back after so many seconds.

        Raises:
            ClientClosedError: the client was closed meanwhile.
        """
        future = self.create_future()
        timer = self._clock.call_at(self._clock.time() + seconds, partial(wake, future))
        try:
            await future
        finally:
            timer.cancel()
            del future  # else an error and this frame keep each other alive

    def fail_all(self, error: VoiceprintError) -> None:
        """End all of them with this error, and whoever comes later too."""
        self._ended = error
        for future in list(self._open):
            # A copy for each: one exception raised in many tasks would collect all their tracebacks.
            wake(future, copy.copy(error))


def wake(future: asyncio.Future[None] | None, error: VoiceprintError | None = None) -> None:
    """Let the one who waits go on, or fail; harmless where nobody waits any more."""
    if future is None or future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
