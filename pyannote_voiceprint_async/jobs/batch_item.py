"""One item of a batch, and its state."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum
from typing import Any

from pyannote_voiceprint_async.errors import JobTimeoutError, VoiceprintError
from pyannote_voiceprint_async.models import JobCreated
from pyannote_voiceprint_async.transport.request import SubmissionHooks

__all__ = ["BatchItem", "ItemState"]


class ItemState(Enum):
    """The state of the submission of an item."""

    UNSENT = "not sent, or refused: the item may be stopped"
    SENDING = "in flight: the item must not be stopped"
    SUBMITTED = "accepted: there is a job"


class BatchItem:
    """One item of a batch. The function that processes the item calls its methods to report progress.

    Args:
        index: the position in the input, from 0.
        value: the item of the input.
        on_submitted: called when the job of the item is accepted.
        on_refused: called when the submission was refused for now.
    """

    def __init__(
        self, index: int, value: Any, on_submitted: Callable[[BatchItem], None], on_refused: Callable[[BatchItem], None]
    ) -> None:
        self.index = index
        self.value = value
        self.state = ItemState.UNSENT
        self.job: JobCreated | None = None
        self.stopped_by: Exception | None = None
        self.task: asyncio.Task[None]
        self.value_released = asyncio.Event()
        self._on_submitted = on_submitted
        self._on_refused = on_refused

    @property
    def hooks(self) -> SubmissionHooks:
        """The hooks to send the submission with."""
        return SubmissionHooks(self.before_send, self.record_refusal)

    def release_value(self) -> None:
        """Record that the value is not used any more, so that the input may change it."""
        self.value_released.set()

    async def before_send(self) -> None:
        """Record that the submission is about to be sent.

        Raises:
            CancelledError: the item was stopped: it must not be sent.
        """
        self.check_stopped()
        self.state = ItemState.SENDING

    def check_stopped(self) -> None:
        """Check that the item was not stopped. A callback may have caught the cancellation that stops the item.

        Raises:
            CancelledError: the item was stopped.
        """
        if self.stopped_by is not None:
            raise asyncio.CancelledError

    def record_refusal(self) -> None:
        """Record that the submission was refused for now, so nothing is in flight."""
        self.state = ItemState.UNSENT
        self._on_refused(self)

    def record_job(self, job: JobCreated) -> None:
        """Record the accepted job, and free the slot of the item, so that the next one is read."""
        self.job = job
        self.state = ItemState.SUBMITTED
        self._on_submitted(self)

    def stop(self, error: Exception | None = None) -> None:
        """Cancel the item, with this error or with one that says that the batch was closed."""
        self.stopped_by = error or self.error_of("the batch was closed")
        self.task.cancel()

    def error_of(self, reason: str) -> VoiceprintError:
        """Build the error of an item that has no result.

        Args:
            reason: why, as a clause in lower case.
        """
        sentence = reason[0].upper() + reason[1:]
        if self.job is not None:
            return JobTimeoutError(
                f"{sentence} before job {self.job.job_id} finished. The job continues: call "
                f"wait({self.job.job_id!r}) to wait for it.",
                job_id=self.job.job_id,
            )
        if self.state is ItemState.SENDING:
            return VoiceprintError(
                f"{sentence} while the submission of the item was in flight, so a job may exist. Look for it in "
                "client.abandoned and list_jobs() before you submit the item again.",
                outcome_unknown=True,
            )
        return VoiceprintError(
            f"The item was not sent: {reason} before. Submit it again to process it.", retryable=True
        )
