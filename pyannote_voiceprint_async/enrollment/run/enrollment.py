"""The public object of a run: an async iterator over its events."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from pyannote_voiceprint_async.concurrency.event_loop import running_loop
from pyannote_voiceprint_async.enrollment.events import Event, Progress, Report
from pyannote_voiceprint_async.errors import EnrollmentError
from pyannote_voiceprint_async.reprs import safe_repr

from .runner import EnrollmentRun

__all__ = ["Enrollment"]


@safe_repr
class Enrollment:
    """One run: an async iterator over its events, and an async context manager.

    The run works in tasks of its own. When an event is returned, its row is already written to the ledger. Leaving the
    `async with` block early stops the run; submissions in flight are finished.
    """

    def __init__(self, run: EnrollmentRun) -> None:
        self._run = run
        self._events = run.reporter.events
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Enrollment {self.progress.succeeded} of {self.progress.total}>"

    @property
    def report(self) -> Report:
        """The result of the run, when it is over.

        Raises:
            EnrollmentError: the run is not over, or it failed before its list was read.
        """
        if self._run.report is None:
            raise EnrollmentError(
                "There is no report yet: the run is not over, or it failed before its list was read. Read `report` "
                "after the last event, and `progress` at any time."
            )
        return self._run.report

    @property
    def progress(self) -> Progress:
        """The counts of the run, which can be read at any time."""
        return self._run.progress

    async def __aenter__(self) -> Self:
        running_loop()  # raises without an asyncio event loop
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        if self._task is None and not self._run.is_stopped:
            self._task = asyncio.create_task(self._run.run())
            self._task.add_done_callback(lambda _: self._events.end())
        if self._task is not None and (event := await self._events.get()) is not None:
            return event
        raise self._run.reporter.pop_error() or StopAsyncIteration

    def stop(self) -> None:
        """Stop early: send nothing new, finish the submissions in flight, and leave the jobs to the next run.

        The iteration continues until `Finished`.
        """
        self._run.stop()

    async def aclose(self) -> None:
        """Stop the run, and wait until it is over. Its results are in the ledger. Closing twice is fine."""
        self._events.abandon()
        self.stop()
        if self._task is not None:
            await asyncio.wait([self._task])
