"""One item of a batch, and how far it has come."""

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
    """How far an item has come."""

    UNSENT = "nothing of it may have been accepted"
    SENDING = "its submission is on the wire: it is left to finish"
    WAITING = "its job is accepted"


class BatchItem:
    """One item on its way. Whoever runs it says how far it is."""

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

    def release_value(self) -> None:
        """Take note that the value is not needed any more: whoever gave it may change it."""
        self.value_released.set()

    async def before_send(self) -> None:
        """Take note that the submission is about to leave; one that was stopped must not leave any more."""
        if self.stopped_by is not None:
            raise asyncio.CancelledError
        self.state = ItemState.SENDING

    def record_refusal(self) -> None:
        """Take note that the submission was refused for now: nothing of it is on the wire."""
        self.state = ItemState.UNSENT
        self._on_refused(self)

    def record_job(self, job: JobCreated) -> None:
        """Take note of the job, so that the next item may be read."""
        self.job = job
        self.state = ItemState.WAITING
        self._on_submitted(self)

    @property
    def hooks(self) -> SubmissionHooks:
        """The hooks with which its submission is sent."""
        return SubmissionHooks(self.before_send, self.record_refusal)

    def stop(self, error: Exception | None) -> None:
        """End it here, with this error, or with one that says that its results were left."""
        self.stopped_by = error or self._left()
        self.task.cancel()

    def _left(self) -> VoiceprintError:
        if self.job is None:
            return VoiceprintError("It was not sent: its results were left before its turn.", retryable=True)
        return JobTimeoutError(
            f"Its results were left before job {self.job.job_id} was done. The job goes on: wait() picks it up.",
            job_id=self.job.job_id,
        )
