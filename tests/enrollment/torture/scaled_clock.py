"""Time that passes faster, and at the same pace in all processes that are told the same beginning."""

import asyncio
import time
from collections.abc import Callable

import attrs

START = 1_800_000_000.0


@attrs.frozen
class ScaledClock:
    """Implements `Clock`; for the sandbox, `wall` is its `now` and `sleep` its `sleep`.

    Args:
        began: this machine's monotonic clock when scaled time was 0.
        scale: scaled seconds in a real one.
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
