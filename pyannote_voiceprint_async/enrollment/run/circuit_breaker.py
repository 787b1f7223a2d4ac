"""A circuit breaker: after a failure of the API it stops all submissions for a pause, then allows one, the probe."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from enum import Enum
from typing import TypeVar

from pyannote_voiceprint_async.errors import VoiceprintError

__all__ = ["Attempt", "CircuitBreaker", "CircuitState"]

T = TypeVar("T")

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
# No server can stop a run for ever: a probe is sent after ten minutes, whatever pause the server requested.
_LONGEST_REQUESTED_PAUSE = 600.0


class CircuitState(Enum):
    """The state of a circuit breaker."""

    CLOSED = "closed"
    """The API works: every attempt may start."""
    OPEN = "open"
    """The API fails: no attempt may start before the pause is over."""
    HALF_OPEN = "half-open"
    """The pause is over: one attempt, the probe, may start. Its result closes or opens the circuit."""


class Attempt:
    """One attempt that the circuit breaker allowed to start. The caller must report its result."""

    def __init__(self, breaker: "CircuitBreaker", *, is_probe: bool) -> None:
        self._breaker = breaker
        self.is_probe = is_probe
        """Whether this attempt is the probe: all other attempts wait for its result."""

    def record_success(self) -> None:
        """Close the circuit."""
        self._breaker.record_success()

    def record_failure(self, reason: str, pause: float | None = None) -> None:
        """Open the circuit; see `CircuitBreaker.record_failure`."""
        self._breaker.record_failure(reason, pause, is_probe=self.is_probe)


class CircuitBreaker:
    """The circuit breaker of one run.

    Args:
        now: returns the seconds of a monotonic clock.
        sleep: waits for a number of seconds on that clock.
        on_change: called with the reason and the seconds of a pause when the circuit opens, and with None and 0 when it
            closes.
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
        self._failures = 0
        self._probe_at: float | None = None
        self._has_probe = False
        self._changed = asyncio.Event()

    def __repr__(self) -> str:
        left = "" if self._probe_at is None else f", next probe in {max(0.0, self._probe_at - self._now()):.0f} s"
        return f"<CircuitBreaker {self.state.value}{left}>"

    @property
    def state(self) -> CircuitState:
        """Whether attempts may start."""
        if self._probe_at is None:
            return CircuitState.CLOSED
        return CircuitState.OPEN if self._now() < self._probe_at else CircuitState.HALF_OPEN

    @asynccontextmanager
    async def attempt(self) -> AsyncIterator[Attempt]:
        """Wait until an attempt may start. If the probe ends without a result, the next attempt becomes the probe."""
        while self._probe_at is not None and self._has_probe:
            await self._changed.wait()
        is_probe = self._probe_at is not None
        self._has_probe |= is_probe
        try:
            # A failure that is recorded during this sleep may have moved the end of the pause.
            while self._probe_at is not None and (left := self._probe_at - self._now()) > 0:
                await self._sleep(left)
            yield Attempt(self, is_probe=is_probe)
        finally:
            if is_probe:
                self._has_probe = False
                self._wake_waiting()

    async def call(self, function: Callable[[], Awaitable[T]], is_transient: Callable[[VoiceprintError], bool]) -> T:
        """Call a function, and repeat the call until it succeeds.

        Args:
            function: the function to call.
            is_transient: returns whether a repeated call may succeed after this error.

        Raises:
            VoiceprintError: the function raised an error that is not transient.
        """
        while True:
            async with self.attempt() as attempt:
                try:
                    result = await function()
                except VoiceprintError as error:
                    if not is_transient(error):
                        raise
                    attempt.record_failure(str(error), error.retry_after)
                    continue
                attempt.record_success()
                return result

    def record_success(self) -> None:
        """Close the circuit: every attempt may start."""
        self._failures = 0
        if self._probe_at is not None:
            self._probe_at = None
            self._on_change(None, 0.0)
            self._wake_waiting()

    def record_failure(self, reason: str, pause: float | None = None, *, is_probe: bool = False) -> None:
        """Open the circuit, or keep it open.

        While the circuit is open, attempts that started earlier may still fail. They only extend the pause, and only if
        the server requests it: 64 failures that were in flight at once count as one failure of the API.

        Args:
            reason: what happened, as a sentence.
            pause: seconds that the server requested; None doubles the pause with each failed probe.
            is_probe: whether the failed attempt was the probe.
        """
        if self._probe_at is not None and not is_probe:
            self._probe_at = max(self._probe_at, self._now() + min(pause or 0.0, _LONGEST_REQUESTED_PAUSE))
            return
        self._failures += 1
        doubled = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(self._failures - 1, 10))
        seconds = doubled if pause is None else min(max(pause, _FIRST_PAUSE), _LONGEST_REQUESTED_PAUSE)
        self._probe_at = self._now() + seconds
        self._on_change(reason, seconds)

    def _wake_waiting(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
