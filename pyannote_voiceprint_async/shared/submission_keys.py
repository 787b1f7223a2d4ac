"""Submit with a key: at most one job is accepted for each key, whichever processes submit it."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import secrets
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pyannote_voiceprint_async.concurrency.clock import Clock
from pyannote_voiceprint_async.errors import (
    FieldError,
    InvalidRequestError,
    SubmissionInProgressError,
)
from pyannote_voiceprint_async.models import IdentificationRequest, JobCreated, VoiceprintRequest
from pyannote_voiceprint_async.transport.request import SubmissionHooks

from .claim_lease import ClockReading
from .fingerprint import difference, fingerprint
from .key_states import KeyChange, KeyState
from .key_table import LEASE, Claim, KeyTable
from .keyed_call import KeyedCall, public, undisturbed, unknown_outcome
from .store import StoreUnavailableError

__all__ = ["SubmissionKeys"]

log = logging.getLogger("pyannote_voiceprint_async")

R = TypeVar("R")

# Seconds between two reads of a key that another call has claimed.
_POLL_INTERVAL = 0.2
# Seconds after which the owner reports that it is alive.
_RENEWAL_INTERVAL = LEASE / 1000 / 3
# Seconds for which closing a client waits for calls that use the store.
_CLOSING_TIMEOUT = 30.0


class SubmissionKeys:
    """The submission keys as one client uses them.

    Args:
        table: the keys in the store.
        clock: the client's clock.
    """

    def __init__(self, table: KeyTable, clock: Clock) -> None:
        self._table = table
        self._clock = clock
        self._process: int | None = None
        self._name = ""
        self._numbers = itertools.count(1)
        self._calls: set[KeyedCall] = set()
        self._waited_for: set[asyncio.Future[None]] = set()  # the calls whose caller has not gone
        self._to_free: set[Claim] = set()
        self._unrecorded: dict[Claim, tuple[KeyChange, str | None]] = {}
        self._renewal: asyncio.Task[None] | None = None

    @property
    def _owner(self) -> str:
        """The name of this process as the owner of claims. The forks of a process must not share it."""
        if self._process != os.getpid():
            self._process = os.getpid()
            self._name = f"{self._process}-{secrets.token_hex(8)}"
        return self._name

    async def submit(  # noqa: PLR0913 - called in one place, by keyword
        self,
        key: str,
        request: VoiceprintRequest | IdentificationRequest,
        send: Callable[[SubmissionHooks], Awaitable[JobCreated]],
        *,
        audio_digest: str | None,
        hooks: SubmissionHooks | None,
        deadline: float,
        sleep: Callable[[float], Awaitable[None]],
    ) -> JobCreated:
        """Send a submission unless its key has a job, which is then returned.

        Args:
            key: the key.
            request: the request.
            send: sends the submission with hooks.
            audio_digest: the SHA-256 of local audio, which stands for the URL of the request.
            hooks: the hooks of the caller.
            deadline: time on the clock until which to wait for another call with the same key.
            sleep: sleeps on the clock.

        Raises:
            InvalidRequestError: the key was used for another request.
            SharedStateError: the store cannot be reached; nothing was sent.
            SubmissionInProgressError: another call with the same key has not ended by the deadline.
            UnknownOutcomeError: an earlier submission with the key may have been accepted. Its `candidates` are empty.
        """
        wanted = fingerprint(request, audio_digest)
        call = KeyedCall(
            self._table,
            Claim(key, self._owner, next(self._numbers)),
            self._clock,
            hooks,
            self._end,
            self._record_later,
        )
        self._calls.add(call)
        self._keep_renewing()
        ended = asyncio.get_running_loop().create_future()
        self._waited_for.add(ended)
        try:
            if job_id := await self._claim(call.claim, wanted, deadline, sleep):
                return JobCreated(job_id)
            return await send(call.hooks)
        finally:
            try:
                await call.end()
            finally:
                self._waited_for.discard(ended)
                ended.set_result(None)

    async def _claim(
        self, claim: Claim, request: str, deadline: float, sleep: Callable[[float], Awaitable[None]]
    ) -> str | None:
        """Claim a key, and return None; or return the job of the key."""
        while True:
            stored = await public(self._table.claim(claim, request))
            if part := difference(stored.request, request):
                raise _other_request(claim.key, part)
            if stored.is_of(claim):
                return None
            if stored.state is KeyState.ACCEPTED:
                return stored.job_id
            if stored.state is KeyState.UNKNOWN:
                raise unknown_outcome(claim.key, stored)
            if self._clock.time() + _POLL_INTERVAL > deadline:
                raise SubmissionInProgressError(
                    f"Another call submits the key {claim.key!r}, and has not ended yet: nothing was sent. Repeat this "
                    "call: it then waits for the other one, or returns its job.",
                    key=claim.key,
                    retryable=True,
                )
            await sleep(_POLL_INTERVAL)

    async def _end(self, call: KeyedCall) -> None:
        """Free the key of a call that has ended, unless it has a job."""
        self._calls.discard(call)
        if call.may_have_job:
            return
        self._to_free.add(call.claim)
        await undisturbed(self._free_all())

    async def _free_all(self) -> None:
        """Free the keys of ended calls. Those that cannot be freed now are freed with the next renewal."""
        for claim in list(self._to_free):
            try:
                # A try that was not sent may not have been recorded as such.
                await self._table.change(claim, KeyChange.NOT_SENT)
                await self._table.change(claim, KeyChange.FREE)
            except StoreUnavailableError:
                return
            self._to_free.discard(claim)

    def _record_later(self, claim: Claim, change: KeyChange, job_id: str | None) -> None:
        """Record a result with a later renewal. Without it, the renewals would keep the key in the state `sending`."""
        self._unrecorded[claim] = change, job_id
        self._keep_renewing()

    async def _record_all(self) -> None:
        for claim, (change, job_id) in list(self._unrecorded.items()):
            try:
                await self._table.change(claim, change, job_id)
            except StoreUnavailableError:
                return
            del self._unrecorded[claim]

    # Keys that a person resolves

    async def resolve(self, key: str, job_id: str | None) -> None:
        """Adopt a job for a key whose outcome is unknown or which has a job; or free the key.

        A key whose owner has ended can be resolved when the lease of the owner has ended too: it may only be stopped.
        """
        while not await public(self._table.resolve(key, job_id)):
            stored = await public(self._table.read(key))
            if stored is None:
                raise InvalidRequestError(
                    f"There is no submission key {key!r}: it was never used, or is free already.",
                    errors=[FieldError("key", "is not in use")],
                )
            if stored.state is KeyState.UNKNOWN:
                await asyncio.sleep(_POLL_INTERVAL)
            elif stored.state is not KeyState.ACCEPTED:
                raise SubmissionInProgressError(
                    f"The key {key!r} cannot be resolved while a call submits it. Try again later.",
                    key=key,
                    retryable=True,
                )

    async def purge(self, older_than: float) -> int:
        """Delete the keys whose job was accepted more than `older_than` seconds ago, and return their number."""
        return await public(self._table.purge(int(older_than * 1000)))

    async def jobs(self) -> set[str]:
        """Return the jobs of all keys."""
        return await public(self._table.jobs())

    # The sign of life

    def _keep_renewing(self) -> None:
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.get_running_loop().create_task(self._renew())

    async def _renew(self) -> None:
        while self._calls or self._to_free or self._unrecorded:
            await asyncio.sleep(_RENEWAL_INTERVAL)
            called = ClockReading.of(self._clock)
            try:
                claims = await self._table.renew(self._owner)
            except StoreUnavailableError:
                continue  # the claims may be lost, which `begin` finds out
            for call in self._calls:
                if call.claim in claims:
                    call.lease.confirm(called)
            await self._record_all()
            await self._free_all()

    async def aclose(self) -> None:
        """End the renewal, and report that this owner of claims ends. No submission may be in flight any more."""
        if self._renewal is None:
            return
        if self._waited_for:
            # A closed client ends them, but each of them may still use the store.
            await asyncio.wait(self._waited_for, timeout=_CLOSING_TIMEOUT)
        self._renewal.cancel()
        await asyncio.wait([self._renewal])
        try:
            await self._record_all()
            await self._free_all()
            await self._table.end(self._owner)
        except StoreUnavailableError:
            pass  # the lease ends by itself


def _other_request(key: str, part: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"The submission key {key!r} was used for another request before: the {part} differs. Nothing was sent. Use a "
        "key of its own for each request.",
        errors=[FieldError("key", f"was used with another {part}")],
    )
