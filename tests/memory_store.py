"""A store of shared state in the memory of one process, which tests can make unreachable."""

from collections import Counter

from fake_clock import FakeClock

from pyannote_voiceprint_async.shared.fleet_window import StepMessage, StepReply
from pyannote_voiceprint_async.shared.store import StoreUnavailableError, step_stored_window


class MemoryStore:
    """Implements `Store` for rate-limit windows, on a fake clock.

    Args:
        clock: the clock of the windows.
    """

    def __init__(self, clock: FakeClock) -> None:
        self.windows: dict[str, bytes] = {}
        self.failure: StoreUnavailableError | None = None
        """Raised by each step."""
        self.loses_replies = False
        """Whether the failure is raised after the step was made."""
        self.clock_offset = 0.0
        """Seconds by which the clock of the windows is ahead."""
        self.round_trip = 0.0
        """Seconds that each step takes."""
        self.steps: Counter[str] = Counter()
        self.clients = 0
        self._clock = clock
        self._epochs = 0

    async def open(self) -> None:
        self.clients += 1

    async def step(self, window: str, message: StepMessage) -> StepReply | None:
        self.steps[window] += 1
        if self.failure is not None and not self.loses_replies:
            raise self.failure
        self._epochs += 1
        self._clock.jump(self._clock.time() + self.round_trip / 2)
        now = round((self._clock.time() + self.clock_offset) * 1000)
        self.windows[window], reply = step_stored_window(
            self.windows.get(window), message, now, f"epoch {self._epochs}"
        )
        if self.failure is not None:
            raise self.failure
        self._clock.jump(self._clock.time() + self.round_trip / 2)
        return reply

    async def aclose(self) -> None:
        self.clients -= 1


def unreachable(*, is_final: bool = False, may_have_happened: bool = True) -> StoreUnavailableError:
    return StoreUnavailableError("The store is away.", may_have_happened=may_have_happened, is_final=is_final)
