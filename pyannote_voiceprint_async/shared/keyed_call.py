"""One call that submits with a key."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from pyannote_voiceprint_async.concurrency.clock import Clock
from pyannote_voiceprint_async.concurrency.protected_task import wait_until_done
from pyannote_voiceprint_async.errors import (
    SharedStateError,
    SubmissionInProgressError,
    UnknownOutcomeError,
    VoiceprintError,
)
from pyannote_voiceprint_async.models import JobCreated
from pyannote_voiceprint_async.transport.request import OutcomeHooks, SubmissionHooks

from .claim_lease import ClaimLease, ClockReading
from .key_states import KeyChange
from .key_table import Claim, KeyTable, StoredKey
from .store import StoreUnavailableError

__all__ = ["KeyedCall", "public", "undisturbed", "unknown_outcome"]

log = logging.getLogger("pyannote_voiceprint_async")

R = TypeVar("R")

# Recording a result is tried at most this often, with this many seconds between the tries.
_MAX_TRIES = 10
_TRY_INTERVAL = 1.0


class KeyedCall:
    """A call that has claimed a key, or is about to. It records in the store how far its submission got.

    Args:
        table: the keys in the store.
        claim: the claim of this call.
        clock: the client's clock.
        inner: the hooks of the caller.
        on_end: awaited when the caller has gone and nothing is in flight.
        on_unrecorded: called with a result that could not be recorded for a while.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - constructed in one place
        self,
        table: KeyTable,
        claim: Claim,
        clock: Clock,
        inner: SubmissionHooks | None,
        on_end: Callable[[KeyedCall], Awaitable[None]],
        on_unrecorded: Callable[[Claim, KeyChange, str | None], object],
    ) -> None:
        self.claim = claim
        self.may_have_job = False
        """Whether a try was accepted, or may have been."""
        self.lease = ClaimLease(clock)
        """How long the claim certainly lasts."""
        self._clock = clock
        self._is_sending = False  # whether a try may be in flight
        self._has_caller = True
        self._table = table
        self._inner = inner
        self._on_end = on_end
        self._on_unrecorded = on_unrecorded

    @property
    def hooks(self) -> SubmissionHooks:
        """The hooks to send the submission with."""
        outcome = OutcomeHooks(self._on_accepted, self._on_not_accepted)
        return SubmissionHooks(self._before_send, self._on_refused, outcome, self._check_first_byte)

    async def end(self) -> None:
        """End the call: the caller goes. A try that is in flight is finished without it."""
        self._has_caller = False
        if not self._is_sending:
            await self._on_end(self)

    async def _before_send(self) -> None:
        if self._inner is not None:
            await self._inner.before_send()
        if self.may_have_job:
            # `RetryPolicy.replay_unknown` has no effect on a submission with a key.
            raise unknown_outcome(self.claim.key, None)
        self._is_sending = True
        called = ClockReading.of(self._clock)
        if not await public(self._table.change(self.claim, KeyChange.BEGIN)):
            self._is_sending = False
            raise SubmissionInProgressError(
                f"This call has lost its key {self.claim.key!r}, because its process did not run, or did not reach the "
                "shared state, for a while: another call may submit the key now, or a person has resolved it. Nothing "
                "was sent. Repeat this call: it then waits for the other one, or returns its job.",
                key=self.claim.key,
                retryable=True,
            )
        self.lease.confirm(called)

    def _check_first_byte(self) -> VoiceprintError | None:
        """Return an error if another process may have the key now. This process may have been stopped since `BEGIN`."""
        if not self.lease.has_ended():
            return None
        return SharedStateError(
            f"The submission with the key {self.claim.key!r} was not sent: for {self.lease.age():.0f} s, its process "
            "did not run, or did not reach the shared state, so that another process may have the key now. Repeat this "
            "call.",
            retryable=True,
        )

    def _on_refused(self) -> None:
        if self._inner is not None:
            self._inner.on_refused()

    async def _on_accepted(self, job: JobCreated) -> None:
        self._is_sending, self.may_have_job = False, True
        await self._record(KeyChange.ACCEPT, job.job_id)
        await self._end_without_caller()

    async def _on_not_accepted(self, *, may_exist: bool) -> None:
        if not self._is_sending:
            return
        self._is_sending, self.may_have_job = False, may_exist
        await self._record(KeyChange.LOSE if may_exist else KeyChange.NOT_SENT)
        await self._end_without_caller()

    async def _end_without_caller(self) -> None:
        if not self._has_caller:
            await self._on_end(self)

    async def _record(self, change: KeyChange, job_id: str | None = None) -> None:
        """Record a result. If that fails for long, the caller waits no longer, and it is recorded later."""
        error: StoreUnavailableError | None = None
        for tries in range(_MAX_TRIES):
            try:
                was_changed = await undisturbed(self._table.change(self.claim, change, job_id))
            except StoreUnavailableError as failure:
                if change is KeyChange.NOT_SENT:
                    return  # recorded when the key is freed
                error = failure
                await asyncio.sleep(_TRY_INTERVAL)
                continue
            # A try whose reply was lost may have made the change.
            if job_id is not None and not was_changed and tries == 0:
                log.warning("Job %s was accepted, but its key was resolved in another way meanwhile.", job_id)
            return
        log.warning(
            "The outcome of a submission with a key could not be recorded yet: other processes do not know it. "
            "Its job: %s. %s",
            job_id or "unknown",
            error,
        )
        self._on_unrecorded(self.claim, change, job_id)


async def undisturbed(coroutine: Coroutine[Any, Any, R]) -> R:
    """Return the result of a change in the store, which is finished before a cancellation is raised.

    Otherwise a change could be made after the one that undoes it.
    """
    task = asyncio.get_running_loop().create_task(coroutine)
    try:
        await wait_until_done(task)
    finally:
        # Retrieved also if the caller is cancelled; asyncio would log it otherwise.
        error = None if task.cancelled() else task.exception()
    if error is not None:
        try:
            raise error
        finally:
            del error, task  # breaks the reference cycle of the error and this frame
    return task.result()


async def public(coroutine: Coroutine[Any, Any, R]) -> R:
    """Return the result of a call of the store.

    Raises:
        SharedStateError: the store cannot be reached.
    """
    try:
        return await undisturbed(coroutine)
    except StoreUnavailableError as error:
        message, is_final = str(error), error.is_final
    raise SharedStateError(f"{message} Nothing with a submission key is sent without it.", retryable=not is_final)


def unknown_outcome(key: str, stored: StoredKey | None) -> UnknownOutcomeError:
    """Return the error for a key whose submission may have been accepted."""
    sent_before = 0.0 if stored is None or stored.sent_at is None else max(0, stored.now - stored.sent_at) / 1000
    return UnknownOutcomeError(
        f"An earlier submission with the key {key!r} may have been accepted, and its job id is not known. Nothing was "
        "sent. Look for its job among the candidates and in list_jobs(). Then adopt it with resolve_key(key, "
        "job_id=ID). If there is none, resolve_key(key, job_id=None) frees the key: the next call submits, and is "
        "billed. The command `pyannote-voiceprint shared resolve` does the same.",
        key=key,
        sent_before=sent_before,
        outcome_unknown=True,
    )
