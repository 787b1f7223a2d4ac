"""Where a run pauses: while the API is in trouble, nobody passes but one who tries."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from pyannote_voiceprint_async.errors import VoiceprintError

__all__ = ["CircuitBreaker", "Probe"]

T = TypeVar("T")

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
# No server can stop a run for ever: whatever pause it asks for, one tries again after ten minutes.
_LONGEST_TOLD = 600.0


class Probe:
    """One who passed. It must say how it went; who says nothing leaves the gate as it was."""

    def __init__(self, gate: "CircuitBreaker", *, tries: bool) -> None:
        self._gate = gate
        self.tries = tries
        """Whether it tries for all others."""

    def well(self) -> None:
        """The API is well: all may pass."""
        self._gate.open()

    def trouble(self, reason: str, seconds: float | None = None) -> None:
        """Nobody may pass for a while: for so many seconds, or for longer with each time in a row."""
        self._gate.shut(reason, seconds, tried=self.tries)


class CircuitBreaker:
    """Open, or shut for a while that grows; then one goes first.

    Args:
        now: seconds of a clock that never goes back.
        sleep: how to wait.
        on_change: called with the reason and the seconds of a pause, and with None when it is over.
    """

    def __init__(
        self,
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        on_change: Callable[[str | None, float], None],
    ) -> None:
        self._now = now
        self._sleep = sleep
        self._on_change = on_change
        self._troubles = 0
        self._until: float | None = None
        self._is_tried = False
        self._news = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Gate {'open' if self._until is None else f'shut for {self._until - self._now():.0f} s'}>"

    @property
    def is_open(self) -> bool:
        """Whether all may pass."""
        return self._until is None

    @asynccontextmanager
    async def passage(self) -> AsyncIterator[Probe]:
        """Pass, or wait until one may."""
        while self._until is not None and self._is_tried:
            await self._news.wait()
        tries = self._until is not None
        self._is_tried |= tries
        try:
            while self._until is not None and (left := self._until - self._now()) > 0:
                await self._sleep(left)
            yield Probe(self, tries=tries)
        finally:
            if tries:
                self._is_tried = False
                self._tell()

    async def insist(self, ask: Callable[[], Awaitable[T]], may_pass: Callable[[VoiceprintError], bool]) -> T:
        """Ask until there is an answer, however long the API is in trouble.

        Args:
            ask: what is repeated.
            may_pass: whether asking again may help after this error.

        Raises:
            VoiceprintError: asking again would not help.
        """
        while True:
            async with self.passage() as passage:
                try:
                    answer = await ask()
                except VoiceprintError as error:
                    if not may_pass(error):
                        raise
                    passage.trouble(str(error), error.retry_after)
                    continue
                passage.well()
                return answer

    def open(self) -> None:
        """Let all pass."""
        self._troubles = 0
        if self._until is not None:
            self._until = None
            self._on_change(None, 0.0)
            self._tell()

    def shut(self, reason: str, seconds: float | None = None, *, tried: bool = False) -> None:
        """Let nobody pass for a while. Of many who were on their way only the first lengthens the pause."""
        if self._until is not None and not tried:
            self._until = max(self._until, self._now() + min(seconds or 0.0, _LONGEST_TOLD))
            return
        self._troubles += 1
        growing = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(self._troubles - 1, 10))
        pause = growing if seconds is None else min(max(seconds, _FIRST_PAUSE), _LONGEST_TOLD)
        self._until = self._now() + pause
        self._on_change(reason, pause)

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
