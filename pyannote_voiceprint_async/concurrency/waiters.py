"""The waits of one client, so that closing the client can end them with a clear error."""

from __future__ import annotations

import asyncio
import copy
from functools import partial

from pyannote_voiceprint_async.errors import VoiceprintError

from .clock import Clock

__all__ = ["Waiters", "wake"]


class Waiters:
    """The futures that the callers of one client wait for.

    Args:
        clock: the clock that `sleep` uses.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._futures: set[asyncio.Future[None]] = set()
        self._error: VoiceprintError | None = None

    def __len__(self) -> int:
        return len(self._futures)

    def create_future(self) -> asyncio.Future[None]:
        """Return a new future that `fail_all` fails.

        Raises:
            VoiceprintError: the error of `fail_all`, if it was called already.
        """
        if self._error is not None:
            raise copy.copy(self._error)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._futures.add(future)
        future.add_done_callback(self._futures.discard)
        return future

    async def sleep(self, seconds: float) -> None:
        """Sleep on the clock.

        Raises:
            VoiceprintError: the error of `fail_all`, if it is called meanwhile.
        """
        future = self.create_future()
        timer = self._clock.call_at(self._clock.time() + seconds, partial(wake, future))
        try:
            await future
        finally:
            timer.cancel()
            del future  # breaks the reference cycle of its error and this frame

    def fail_all(self, error: VoiceprintError) -> None:
        """Fail all waits with this error, and every later one too."""
        self._error = error
        for future in list(self._futures):
            # One exception raised in many tasks would collect the tracebacks of all of them.
            wake(future, copy.copy(error))


def wake(future: asyncio.Future[None] | None, error: VoiceprintError | None = None) -> None:
    """Resolve a future, or fail it with an error. Does nothing if the future is None or done."""
    if future is None or future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
