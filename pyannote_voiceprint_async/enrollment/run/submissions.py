"""The submissions of one run: all pending recordings of the ledger, up to `max_jobs`."""

import asyncio
from collections.abc import AsyncGenerator

from pyannote_voiceprint_async.enrollment.events import RowSubmitted, RowUncertain
from pyannote_voiceprint_async.enrollment.ledger.recordings import PendingRecording
from pyannote_voiceprint_async.errors import LedgerError, VoiceprintError
from pyannote_voiceprint_async.jobs.batch_item import BatchItem
from pyannote_voiceprint_async.jobs.batch_results import Results
from pyannote_voiceprint_async.models import JobCreated

from .context import RunContext
from .error_actions import ErrorAction, RowError, action_for
from .job_waits import JobWaits
from .sender import Sender

__all__ = ["PendingSubmissions"]

# How many rows are prepared in advance (file uploaded, URL resolved), while all slots for requests are in use.
_PREPARED_AHEAD = 16
_PAGE = 256


class PendingSubmissions:
    """Submits pending recordings, and passes their jobs to `JobWaits`.

    Args:
        context: the shared objects of the run.
        waits: waits for the accepted jobs.
    """

    def __init__(self, context: RunContext, waits: JobWaits) -> None:
        self.unsaved: dict[str, PendingRecording] = {}
        """Accepted jobs whose ids could not be written to the ledger, by job id."""
        self._client = context.client
        self._ledger = context.ledger
        self._max_jobs = context.options.max_jobs
        self._reporter = context.reporter
        self._results = context.results
        self._unknown_outcomes = context.unknown_outcomes
        self._waits = waits
        self._sender = Sender(context, has_more=self._has_unsent)
        self._batch: Results[None] | None = None
        self._counted = 0
        """Submissions that count towards `max_jobs`: in preparation, in flight, accepted or of unknown outcome."""
        self._highest_id = 0
        """The highest id of the recordings that were passed to the sender, in the order of their ids."""
        self._unsent = 0

    @property
    def unsent(self) -> int:
        """Submissions that are in flight or still to be sent, within `max_jobs`."""
        return self._unsent

    async def count_unsent(self) -> None:
        """Count the submissions that are still to be sent, while none is in flight."""
        pending = await self._ledger.count_pending()
        self._unsent = pending if self._max_jobs is None else min(pending, self._max_jobs - self._counted)

    async def has_more(self) -> bool:
        """Return whether there is a recording that may be submitted."""
        return not self._has_reached_max_jobs and await self._ledger.has_pending()

    async def send_pending(self) -> None:
        """Submit the pending recordings, until none is left or until unknown outcomes must be resolved first.

        Raises:
            VoiceprintError: no row will succeed until a person acts.
        """
        self._unknown_outcomes.begin_round()
        ahead = self._client.engine.max_concurrency + _PREPARED_AHEAD
        self._batch = Results(self._feed(), self._send, lambda *_: None, read_ahead=ahead, max_in_progress=ahead)
        try:
            async with self._batch as batch:
                async for _ in batch:
                    if self._reporter.error is not None:
                        raise self._reporter.error
        finally:
            self._batch = None

    def subtract_not_accepted(self, count: int) -> None:
        """Subtract submissions that were not accepted from those that count towards `max_jobs`."""
        self._counted -= count

    async def save_unsaved(self) -> None:
        """Try again to write the unsaved job ids: the disk may have room by now."""
        now = self._client.engine.clock.wall()
        unsaved = list(self.unsaved.items())
        saving = (self._ledger.record_job(recording, job_id, now) for job_id, recording in unsaved)
        for (job_id, _), result in zip(unsaved, await asyncio.gather(*saving, return_exceptions=True), strict=True):
            if not isinstance(result, BaseException):
                del self.unsaved[job_id]

    async def aclose(self) -> None:
        """Submit nothing new, and return when the submissions in flight are finished."""
        if self._batch is not None:
            # `Results.aclose` would return at once if an error in a task of `JobWaits` led here, because these tasks
            # are started inside the batch. No item of the batch waits for them, so this call may wait.
            await self._batch.batch.aclose()

    @property
    def _has_reached_max_jobs(self) -> bool:
        return self._max_jobs is not None and self._counted >= self._max_jobs

    async def _feed(self) -> AsyncGenerator[PendingRecording, None]:
        after = 0
        while recordings := await self._ledger.pending(after, _PAGE):
            for recording in recordings:
                if self._unknown_outcomes.must_be_resolved or self._has_reached_max_jobs:
                    return
                await self._waits.reserve()
                self._counted += 1
                after = recording.id
                self._highest_id = max(self._highest_id, after)
                yield recording

    async def _has_unsent(self) -> bool:
        """Return whether there is a recording that may be submitted and was not passed to the sender yet."""
        return not self._has_reached_max_jobs and bool(await self._ledger.pending(self._highest_id, 1))

    async def _send(self, item: BatchItem) -> None:
        recording: PendingRecording = item.value
        is_counted = is_awaited = False
        try:
            try:
                job = await self._sender.send(item, recording)
            finally:
                self._unsent -= 1
            is_counted = True
            self._unknown_outcomes.record_accepted()
            is_awaited = await self._accept(recording, job)
        except VoiceprintError as error:
            is_counted |= action_for(error) is ErrorAction.RESOLVE
            await self._handle(recording, error)
        except Exception as defect:
            self._reporter.report_error(defect)
            raise
        finally:
            self._counted -= not is_counted
            if not is_awaited:
                self._waits.release()

    async def _accept(self, recording: PendingRecording, job: JobCreated) -> bool:
        """Record an accepted job, and return whether the run waits for it."""
        clock = self._client.engine.clock
        accepted_at = clock.time()
        self._reporter.note_write()
        try:
            is_new = await self._ledger.record_job(recording, job.job_id, clock.wall())
        except LedgerError:
            self.unsaved[job.job_id] = recording
            raise
        if not is_new:  # another row has this id: a proxy repeated an earlier response
            self._reporter.progress.failed += len(recording.labels)
            await self._reporter.events.put(*(RowUncertain(label) for label in recording.labels))
            return False
        self._waits.start(recording, job.job_id, job.warning, accepted_at=accepted_at)
        await self._reporter.events.put(*(RowSubmitted(label, job.job_id) for label in recording.labels))
        return True

    async def _handle(self, recording: PendingRecording, error: VoiceprintError) -> None:
        """Act on the error that ended the submission of a row.

        Raises:
            VoiceprintError: the error ends the run.
        """
        match action_for(error):
            case ErrorAction.RESOLVE:
                self._unknown_outcomes.record_unknown()
            case ErrorAction.POSTPONE:
                self._unsent += 1  # the row is still pending
            case ErrorAction.FAIL_ROW:
                reason = error.reason if isinstance(error, RowError) else "refused"
                await self._results.fail(recording, str(error), reason)
            case _:
                self._reporter.report_error(error)
                raise error
