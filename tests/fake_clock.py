"""A clock that tests move. The client and the sandbox share it."""

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from pyannote_voiceprint_async import AsyncVoiceprintClient

START = 1_800_000_000.0
_FAR, _IDLE_ROUNDS = 200.0, 10


class FakeTimer:
    def __init__(self, when: float, callback: Callable[[], object]) -> None:
        self.when = when
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self.callback = None


class FakeClock:
    """Implements `Clock`; for the sandbox, `wall` is its `now` and `sleep` its `sleep`."""

    def __init__(self) -> None:
        self._now = 0.0
        self._timers: list[tuple[float, int, FakeTimer]] = []
        self._order = itertools.count()

    def time(self) -> float:
        return self._now

    def wall(self) -> float:
        return START + self._now

    def call_at(self, when: float, callback: Callable[[], object]) -> FakeTimer:
        timer = FakeTimer(when, callback)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        return timer

    async def sleep(self, seconds: float) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self.call_at(self._now + seconds, lambda: done.done() or done.set_result(None))
        try:
            await done
        finally:
            timer.cancel()

    def next_at(self) -> float | None:
        """Return the time at which the next timer is due, or None."""
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def jump(self, when: float) -> None:
        """Move to this time, and call the timers that are due until then, in order."""
        while (due := self.next_at()) is not None and due <= when:
            self._now = max(self._now, due)
            callback = heapq.heappop(self._timers)[2].callback
            assert callback is not None
            callback()
        self._now = max(self._now, when)

    async def advance(self, seconds: float) -> None:
        """Move the clock, then run everything that is ready."""
        self.jump(self._now + seconds)
        await settle()

    @asynccontextmanager
    async def running(self, *clients: AsyncVoiceprintClient) -> AsyncIterator[None]:
        """Jump from timer to timer whenever no thread works and none of the clients has a request in flight.

        Before a far jump, wait a little: a webhook that is on its way may set an earlier timer.
        """

        def is_busy() -> bool:
            return bool(in_threads) or any(client.stats.in_flight for client in clients)

        async def run() -> None:
            idle = 0
            while True:
                await asyncio.sleep(0.002)
                if is_busy():
                    idle = 0
                    continue
                # The code that handles a response must set its timers before the clock jumps to the next timer.
                await settle(10)
                idle = 0 if is_busy() else idle + 1
                due = self.next_at()
                if due is not None and idle and (due - self._now < _FAR or idle > _IDLE_ROUNDS):
                    self.jump(due)
                    idle = 0

        with calls_in_threads() as in_threads:
            task = asyncio.create_task(run())
            try:
                yield
            finally:
                task.cancel()


@contextmanager
def calls_in_threads() -> Iterator[set[asyncio.Future[Any]]]:
    """Yield the set of the calls that threads execute for the event loop. It changes with each call."""
    loop = asyncio.get_running_loop()
    original, calls = loop.run_in_executor, set[asyncio.Future[Any]]()

    def run_in_executor(*arguments: Any) -> asyncio.Future[Any]:
        call = original(*arguments)
        calls.add(call)
        call.add_done_callback(calls.discard)
        return call

    loop.run_in_executor = run_in_executor
    try:
        yield calls
    finally:
        loop.run_in_executor = original


async def settle(turns: int = 50) -> None:
    """Run the event loop this many times, without waiting."""
    for _ in range(turns):
        await asyncio.sleep(0)
