"""A clock that runs faster than real time and shows the same time in several processes."""

import asyncio
import time
from collections.abc import Callable

import attrs

START = 1_800_000_000.0


@attrs.frozen
class ScaledClock:
    """An implementation of `Clock`. The sandbox uses `wall` as its `now` and `sleep` as its `sleep`.

    Args:
        began: the time of this machine's monotonic clock at which the scaled time is 0.
        scale: scaled seconds in one real second.
    """

    began: float
    scale: float

    def time(self) -> float:
        return (time.monotonic() - self.began) * self.scale

    def wall(self) -> float:
        return START + self.time()

    def call_at(self, when: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later((when - self.time()) / self.scale, callback)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self.scale)
