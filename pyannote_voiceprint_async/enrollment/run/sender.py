"""Submit one row: its URL, its intent in the ledger, its request, and what to do after an error."""

import copy
import math
from collections.abc import Awaitable, Callable

from pyannote_voiceprint_async.enrollment.ledger.recordings import PendingRecording
from pyannote_voiceprint_async.errors import AccountError, LedgerError, VoiceprintError
from pyannote_voiceprint_async.jobs.batch_item import BatchItem
from pyannote_voiceprint_async.models import JobCreated, VoiceprintRequest
from pyannote_voiceprint_async.transport.request import SubmissionHooks

from .circuit_breaker import Attempt
from .context import RunContext
from .error_actions import ErrorAction, PostponedError, RowError, action_for
from .key_check import KeyCheck
from .refusals import PROBE_PAUSE, RefusalAction
from .submission_intent import SubmissionIntent
from .submission_urls import SubmissionUrls

__all__ = ["Sender"]


class Sender:
    """Submits rows, one by one.

    Args:
        context: the shared objects of the run.
        has_more: returns whether there are pending rows that were not passed to `send` yet.
    """

    def __init__(self, context: RunContext, *, has_more: Callable[[], Awaitable[bool]]) -> None:
        self._client = context.client
        self._clock = context.client.engine.clock
        self._ledger = context.ledger
        self._breaker = context.breaker
        self._refusals = context.refusals
        self._timeline = context.timeline
        self._unknown_outcomes = context.unknown_outcomes
        self._progress = context.reporter.progress
        self._pace = context.reporter.pace
        self._urls = SubmissionUrls(context.client, context.ledger, context.options.resolve)
        self._key_check = KeyCheck(context.client)
        self._has_more = has_more
        self._active: set[int] = set()
        self._last_refusals: dict[int, str] = {}
        """The message of the last refusal of each refused row."""

    async def send(self, item: BatchItem, recording: PendingRecording) -> JobCreated:
        """Submit a row. While the API fails, wait and try again.

        Args:
            item: the row in its batch, which records whether the submission is in flight and must not be stopped.
            recording: the row.

        Raises:
            VoiceprintError: an error that ends the submission of the row; see `action_for`. An error that only pauses
                the run is never raised.
        """
        self._active.add(recording.id)
        try:
            while (job := await self._try_once(item, recording)) is None:
                # After a refusal, other rows go first: they show whether the row or the API is at fault.
                if (delay := self._refusals.retry_delay(recording.id)) > 0:
                    await self._client.engine.sleep(delay)
            return job
        finally:
            self._active.discard(recording.id)

    async def _try_once(self, item: BatchItem, recording: PendingRecording) -> JobCreated | None:
        """Try to submit a row; return None if it must be tried again."""
        async with self._breaker.attempt() as attempt:
            await self._check_turn(recording)
            try:
                job = await self._submit(item, recording)
            except VoiceprintError as error:
                if await self._must_end(item, recording, error, attempt):
                    raise
                return None
            self._refusals.record_acceptance(recording.id)
            self._last_refusals.pop(recording.id, None)
            attempt.record_success()
            return job

    async def _check_turn(self, recording: PendingRecording) -> None:
        """Check that a row that was refused before must be submitted again now.

        Raises:
            RowError: the refusals of other rows showed meanwhile that the row is at fault.
            PostponedError: rows that were not refused yet go first.
        """
        if not self._refusals.was_refused(recording.id):
            return
        if self._refusals.is_at_fault(recording.id):
            raise RowError(self._last_refusals.pop(recording.id), "refused")
        if self._refusals.must_step_aside(recording.id, has_others=await self._has_others(recording)):
            raise PostponedError("The row was refused, and rows that were not refused yet go first.")

    async def _has_others(self, recording: PendingRecording) -> bool:
        """Return whether there are other rows that were not refused since the last acceptance."""
        return await self._has_more() or self._refusals.has_others(self._active - {recording.id})

    async def _must_end(
        self, item: BatchItem, recording: PendingRecording, error: VoiceprintError, attempt: Attempt
    ) -> bool:
        """Act on an error of a submission, and return whether the error ends the submission of the row."""
        match self._action_for(error):
            case ErrorAction.PAUSE:
                item.record_refusal()  # the run may be stopped during the pause, because nothing is in flight
                attempt.record_failure(str(error), error.retry_after)
                return False
            case ErrorAction.JUDGE_REFUSAL:
                item.record_refusal()
                await self._judge(recording, error, attempt)
                return False
            case ErrorAction.RESOLVE:
                await SubmissionIntent(self._ledger, recording, self._timeline).extend()
            case ErrorAction.FAIL_ROW if error.status is not None:
                attempt.record_success()  # a response with a status shows that the API works
        return True

    def _action_for(self, error: VoiceprintError) -> ErrorAction:
        action = action_for(error)
        if action is ErrorAction.PAUSE_OR_STOP:
            # A proxy that worked in this run may work again without a change on this machine.
            return ErrorAction.PAUSE if self._refusals.accepted else ErrorAction.STOP
        return action

    async def _judge(self, recording: PendingRecording, error: VoiceprintError, attempt: Attempt) -> None:
        """Record a refusal, and act on what the refusals of all rows show.

        Raises:
            RowError: the row is at fault.
            VoiceprintError: every row is refused until a person acts.
        """
        is_account = isinstance(error, AccountError)
        if is_account and await self._key_check.is_refused():
            raise error
        kind = (type(error), error.status)
        self._last_refusals[recording.id] = str(error)
        has_others = await self._has_others(recording)
        match self._refusals.record_refusal(recording.id, kind, has_others=has_others, is_final=is_account):
            case RefusalAction.FAIL_ROW | RefusalAction.FAIL_ROWS:
                attempt.record_success()  # the API works: other rows need not wait for a probe
                del self._last_refusals[recording.id]
                raise RowError(str(error), "refused")
            case RefusalAction.STOP:
                rows = self._refusals.count_kind(kind)
                raise _all_refused(error, recording.labels[0], rows, accepted=self._refusals.accepted)
            case RefusalAction.PAUSE:
                attempt.record_failure(str(error), error.retry_after or PROBE_PAUSE)

    async def _submit(self, item: BatchItem, recording: PendingRecording) -> JobCreated:
        url = await self._urls.url_of(recording)
        intent = SubmissionIntent(self._ledger, recording, self._timeline)
        sent_at: float | None = None

        def set_sent_at(time: float | None) -> None:
            nonlocal sent_at
            self._progress.in_flight += (time is not None) - (sent_at is not None)
            sent_at = time

        async def before_send() -> None:
            if self._unknown_outcomes.must_be_resolved:
                raise PostponedError("The row was not submitted: unknown outcomes must be resolved first.")
            await item.before_send()
            # The request may have queued for a long time since `url_of` checked the URL.
            self._urls.check_expiry(url)
            await intent.record()
            set_sent_at(self._clock.time())

        def on_refused() -> None:
            set_sent_at(None)
            intent.withdraw_later()
            item.record_refusal()

        try:
            job = await self._client.engine.submit(
                VoiceprintRequest(url, recording.model),
                hooks=SubmissionHooks(before_send, on_refused),
                max_queue_wait=math.inf,
            )
            if sent_at is not None:
                self._pace.record_acceptance(self._clock.time() - sent_at)
            return job
        except VoiceprintError as error:
            if not error.outcome_unknown and not isinstance(error, LedgerError | RowError | PostponedError):
                await self._ledger.withdraw_intent(recording)
            raise
        finally:
            set_sent_at(None)


def _all_refused(error: VoiceprintError, label: str, rows: int, *, accepted: int) -> VoiceprintError:
    """Return the error of a run that stops because all submissions are refused: the last refusal, explained."""
    stopped = copy.copy(error)
    refused = f"{rows} rows were" if rows > 1 else f"The row {label!r} was"
    since = "none has been accepted since" if accepted else "none has ever been accepted"
    message = (
        f"{refused} refused in the same way, and {since}, so the fault is probably not in the rows. Check the base "
        "URL, the permissions of the key, and proxies or gateways on the way (one with a small body limit responds "
        f"with 413). The rows stay pending: run again afterwards. The last refusal: {error}"
    )
    stopped.args = (message,)
    return stopped
