"""Writes the state of a run into its ledger, so that `ledger status` can show it."""

import asyncio
import os
from collections.abc import Callable

from pyannote_voiceprint_async.concurrency.clock import Clock
from pyannote_voiceprint_async.enrollment.events import Progress
from pyannote_voiceprint_async.enrollment.ledger.run_state import RunState
from pyannote_voiceprint_async.enrollment.ledger.store import LedgerStore

__all__ = ["StateWriter"]

# The least seconds between two writes that only change the rate and the estimate.
_INTERVAL = 2.0
# While nothing else is written, the state of a waiting run is at most this many seconds old.
_LONGEST_INTERVAL = 10.0


class StateWriter:
    """The state of one run.

    The run calls `update` before its other writes, so that both are committed together. A timer writes the state while
    the run waits, for example in a pause that the API has requested. The timer uses real time instead of the injected
    clock: people read the state, and no decision of a run depends on it.

    Args:
        ledger: the ledger.
        clock: the clock of the run.
        progress: returns the progress of the run.
    """

    def __init__(self, ledger: LedgerStore, clock: Clock, progress: Callable[[], Progress]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._progress = progress
        self._started_at = clock.wall()
        self._written_at: float | None = None
        self._paused_for: str | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Keep the state up to date until `end`."""
        self._timer = asyncio.get_running_loop().call_later(_INTERVAL, self._on_timer)

    def update(self) -> None:
        """Write the state if it is older than two seconds."""
        if self._written_at is None or self._clock.time() - self._written_at >= _INTERVAL:
            self.write()

    def write(self) -> None:
        """Write the state."""
        if not self._ledger.is_open:
            return
        self._written_at, now, progress = self._clock.time(), self._clock.wall(), self._progress()
        self._paused_for = progress.paused_for
        state = RunState(
            process=os.getpid(),
            started_at=self._started_at,
            updated_at=now,
            rows_per_minute=progress.rows_per_minute,
            ends_at=None if progress.seconds_left is None else now + progress.seconds_left,
            paused_for=progress.paused_for,
            next_attempt_at=now + progress.pause_seconds if progress.pause_seconds else None,
        )
        self._ledger.write_run_state(state)

    def end(self, error: BaseException | None) -> None:
        """Write that the run has ended, and the error that ended it. Do nothing if no state was written."""
        if self._timer is not None:
            self._timer.cancel()
        if self._written_at is None:
            return  # the ledger may belong to another API
        now = self._clock.wall()
        stopped_by = None if error is None else str(error)
        self._ledger.write_run_state(RunState(os.getpid(), self._started_at, now, ended_at=now, stopped_by=stopped_by))

    def _on_timer(self) -> None:
        self.start()
        if self._written_at is not None and (
            self._progress().paused_for != self._paused_for
            or self._clock.time() - self._written_at >= _LONGEST_INTERVAL
        ):
            self.write()
