"""Following a run of enrollment: how far it is, why it waits, and a good end when a signal comes."""

import asyncio
import time
from collections.abc import Callable, Iterator

from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.enrollment import (
    Enrollment,
    Event,
    Finished,
    Paused,
    Report,
    Resumed,
    RowExpired,
    RowFailed,
    RowSkipped,
    RowSucceeded,
    RowUncertain,
    RowWarning,
    Stopping,
)

from .output import Output
from .summary import left_out
from .words import duration

__all__ = ["Follower"]

# A pause that is over before anybody has read of it is not told.
_WORTH_TELLING = 5.0
_TICK = 1.0
# Of a list that fits on a screen, what becomes of each row is told.
_SHORT_LIST = 20


class Follower:
    """Takes the events of a run.

    Args:
        run: the run.
        client: asked how many requests wait for the rate limit.
        output: where it is told.
        tells_rows: what becomes of each row is told, however many there are.
        now: seconds of a clock that never goes back.
    """

    def __init__(
        self,
        run: Enrollment,
        client: AsyncVoiceprintClient,
        output: Output,
        *,
        tells_rows: bool = False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.report: Report | None = None
        """How the rows stand, when it is over."""
        self._run = run
        self._client = client
        self._output = output
        self._tells_rows = tells_rows
        self._now = now
        self._began: float | None = None
        self._told_pause = False

    async def follow(self) -> None:
        """Take all events. When it is cancelled it ends the run first: what is on the wire is finished.

        Raises:
            VoiceprintError: what ended the run.
        """
        ticker = asyncio.create_task(self._tick())
        try:
            await self._take_all()
        except asyncio.CancelledError:
            if self._client.stats.in_flight:
                await self._output.announce("Stopping after what is on the wire. Stopping again ends it at once.")
            self._run.stop()
            await self._take_all()
            raise
        finally:
            ticker.cancel()
            self._output.progress.close()

    def text(self) -> str:
        """Say how far it is."""
        progress = self._run.progress
        if not progress.total:
            listening = f", listening to {progress.listening_to}" if progress.listening_to else ""
            return f"Reading the list: {progress.read} rows{listening}"
        return ", ".join(self._parts())

    async def _take_all(self) -> None:
        async for event in self._run:
            await self._take(event)

    async def _take(self, event: Event) -> None:
        if isinstance(event, Finished):
            self.report = event.report
        elif isinstance(event, Paused) and event.seconds > _WORTH_TELLING and not self._told_pause:
            self._told_pause = True
            await self._output.announce(f"Waiting: {event.reason} It is tried again in {duration(event.seconds)}.")
        elif isinstance(event, Resumed) and self._told_pause:
            self._told_pause = False
            await self._output.announce("It goes on.")
        elif isinstance(event, Stopping):
            await self._output.announce(f"Nothing new is sent any more. {event.reason}")
        elif isinstance(event, RowSkipped):
            await self._output.announce(left_out(event.problem))
        elif isinstance(event, RowWarning):
            await self._output.announce(f"{event.label}: {event.message}")
        elif (self._tells_rows or self._run.progress.total <= _SHORT_LIST) and (said := _said(event)):
            await self._output.announce(said)
        self._show()

    async def _tick(self) -> None:
        # Waiting has no events.
        while True:
            self._show()
            await asyncio.sleep(_TICK)

    def _show(self) -> None:
        progress = self._run.progress
        if progress.total and self._began is None:
            self._began = self._now()
        self._output.progress.show(progress.succeeded + progress.failed, progress.total, self.text())

    def _parts(self) -> Iterator[str]:
        progress = self._run.progress
        done = progress.succeeded + progress.failed
        # Other requests than submissions may wait, too.
        queued = min(self._client.stats.queued, progress.sending)
        yield f"{done} of {progress.total} done"
        if progress.failed:
            yield f"{progress.failed} failed"
        if in_flight := progress.waiting + progress.sending - queued:
            yield f"{in_flight} in flight"
        passed = 0.0 if self._began is None else self._now() - self._began
        if progress.finished_now and passed > 0:
            rate = progress.finished_now / passed
            yield f"{rate * 60:.0f} a minute"
            yield f"{duration((progress.total - done) / rate)} left"
        if progress.paused_for:
            yield f"waiting: {progress.paused_for}"
        elif queued:
            yield f"{queued} waiting for the rate limit"


def _said(event: Event) -> str | None:
    match event:
        case RowSucceeded(label, voiceprint):
            return f"{label}: voiceprint by {voiceprint.model}, job {voiceprint.job_id}"
        case RowFailed(label, error) | RowExpired(label, error):
            return f"{label}: {error}"
        case RowUncertain(label):
            return f"{label}: It may have been accepted, and nobody knows the job."
    return None
