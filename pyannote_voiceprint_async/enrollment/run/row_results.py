"""The results of rows. Each is written to the ledger first, and reported afterwards."""

from pyannote_voiceprint_async.concurrency.clock import Clock
from pyannote_voiceprint_async.enrollment.events import RowExpired, RowFailed, RowSucceeded
from pyannote_voiceprint_async.enrollment.ledger.recordings import PendingRecording
from pyannote_voiceprint_async.enrollment.ledger.spending import FREE_REASONS
from pyannote_voiceprint_async.enrollment.ledger.store import LedgerStore
from pyannote_voiceprint_async.models import Voiceprint

from .run_reporter import RunReporter

__all__ = ["RowResults"]


class RowResults:
    """Writes the results of rows to the ledger, then reports them.

    Args:
        ledger: the ledger.
        clock: the clock for the time of each result.
        reporter: the events and the progress of the run.
    """

    def __init__(self, ledger: LedgerStore, clock: Clock, reporter: RunReporter) -> None:
        self.failed_jobs = 0
        """Jobs that this run submitted and that failed or were canceled: they are not billed."""
        self._ledger = ledger
        self._clock = clock
        self._reporter = reporter

    async def succeed(self, recording: PendingRecording, voiceprint: Voiceprint) -> None:
        """Record the voiceprint of a recording."""
        self._reporter.note_write()
        await self._ledger.record_voiceprint(recording, voiceprint, self._clock.wall())
        self._reporter.progress.succeeded += len(recording.labels)
        self._count_finished(recording)
        await self._reporter.events.put(*(RowSucceeded(label, voiceprint) for label in recording.labels))

    async def fail(self, recording: PendingRecording, message: str, reason: str) -> None:
        """Record that a recording has failed.

        Args:
            recording: the recording.
            message: what happened, as a sentence.
            reason: what happened, as a code for the ledger.
        """
        self._reporter.note_write()
        await self._ledger.record_failure(recording, message, reason, self._clock.wall())
        self._count_failed(recording)
        await self._reporter.events.put(*(RowFailed(label, message) for label in recording.labels))

    async def fail_job(self, recording: PendingRecording, message: str, reason: str) -> None:
        """Record that the job of a recording ended without a voiceprint; see `fail`."""
        # A recording that an earlier run submitted had a job when it was read.
        self.failed_jobs += recording.job_id is None and reason in FREE_REASONS
        await self.fail(recording, message, reason)

    async def expire(self, recording: PendingRecording, message: str) -> None:
        """Record that the result of a recording expired before it was fetched."""
        self._reporter.note_write()
        await self._ledger.record_expiry(recording, message, self._clock.wall())
        self._count_failed(recording)
        await self._reporter.events.put(*(RowExpired(label, message) for label in recording.labels))

    def _count_failed(self, recording: PendingRecording) -> None:
        self._reporter.progress.failed += len(recording.labels)
        self._count_finished(recording)

    def _count_finished(self, recording: PendingRecording) -> None:
        self._reporter.progress.finished_now += len(recording.labels)
        self._reporter.pace.record_finished(len(recording.labels))
