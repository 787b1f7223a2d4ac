"""One row to one job: its URL, its intent, its submission, and what each way of failing means."""

import asyncio
import inspect
import math
import os
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

from pyannote_voiceprint_async.audio import cut_pieces
from pyannote_voiceprint_async.bulk import Item
from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.errors import (
    AccountError,
    ClientClosedError,
    InvalidRequestError,
    JobError,
    LedgerError,
    MediaError,
    UnexpectedResponseError,
    VoiceprintError,
)
from pyannote_voiceprint_async.models import JobCreated, VoiceprintRequest

from .gate import Gate
from .ledger import Ledger, Task
from .options import Resolve
from .preflight import changed_at, clip_identity
from .presigned import url_expires_at

__all__ = ["Meaning", "RowError", "Sender", "meaning"]

# Uploaded audio is deleted after 24 to 48 hours, and its job must begin before that.
_MEDIA_GOOD_FOR = 20 * 3600.0
# A row that is refused so often, while others pass in between, is refused for a reason of its own.
_OWN_FAULT = 3


class HeldBackError(VoiceprintError):
    """A row was not sent, because something must be found out first. It never leaves this room and the run's."""


class RowError(VoiceprintError):
    """A row cannot be submitted, for a reason of its own. It never leaves this room."""

    def __init__(self, sentence: str, reason: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class Meaning(Enum):
    """What an error means for a run."""

    ROW = "the row is at fault"
    PAUSE = "the API, or the way to it, is in trouble"
    STRANGE = "one row may be at fault, or all of it"
    UNKNOWN = "the row may have been accepted"
    STOP = "nothing will succeed until somebody does something"
    LATER = "it was not its time"


def meaning(error: VoiceprintError) -> Meaning:
    """Say what an error of an upload or a submission means for the run."""
    if isinstance(error, AccountError | ClientClosedError | LedgerError):
        return Meaning.STOP
    if isinstance(error, HeldBackError):
        return Meaning.LATER
    if error.outcome_unknown:
        return Meaning.UNKNOWN
    if isinstance(error, RowError | InvalidRequestError | JobError) or (
        isinstance(error, MediaError) and not error.retryable
    ):
        return Meaning.ROW
    if isinstance(error, MediaError | UnexpectedResponseError) or not error.retryable:
        return Meaning.STRANGE
    return Meaning.PAUSE


class Sender:
    """Gets jobs for rows.

    Args:
        client: the way to the API.
        ledger: where each step is written before the next one.
        gate: where a run pauses.
        resolve: gives the URL of a row, or None.
        may_go: whether a row whose turn has come may still be sent.
    """

    def __init__(
        self,
        client: AsyncVoiceprintClient,
        ledger: Ledger,
        gate: Gate,
        resolve: Resolve | None,
        may_go: Callable[[], bool],
    ) -> None:
        self.accepted = 0
        """Jobs so far."""
        self._client = client
        self._ledger = ledger
        self._gate = gate
        self._resolve = resolve
        self._may_go = may_go

    async def send(self, item: Item, task: Task) -> JobCreated:
        """Submit a row, however long the API is in trouble.

        Args:
            item: it is told how far the row has come, so that stopping leaves alone what is on the wire.
            task: the row.

        Raises:
            VoiceprintError: see `meaning`; never `Meaning.PAUSE`.
        """
        own, accepted = 0, self.accepted
        while True:
            async with self._gate.passage() as passage:
                try:
                    job = await self._submit(item, task)
                except VoiceprintError as error:
                    what = meaning(error)
                    if what is Meaning.STRANGE:
                        own, accepted = own + (self.accepted > accepted), self.accepted
                        if own >= _OWN_FAULT:
                            raise RowError(str(error), "refused") from None
                        if not accepted:
                            raise  # nothing has ever been accepted: it is no row's fault
                    if what in {Meaning.PAUSE, Meaning.STRANGE}:
                        item.refused()  # nothing of it is on the wire: it may be stopped
                        passage.trouble(str(error), error.retry_after)
                        continue
                    if what is Meaning.UNKNOWN:
                        # It left before now, however long this process stood still before it did.
                        await self._ledger.widen(task, self._client._transport.server_time()[1])
                    if what is Meaning.ROW and error.status is not None:
                        passage.well()  # the API has answered
                    raise
                self.accepted += 1
                passage.well()
                return job

    async def _submit(self, item: Item, task: Task) -> JobCreated:
        url = await self._url(task)

        since: float | None = None

        async def before_send() -> None:
            nonlocal since
            if not self._may_go():
                raise HeldBackError("It was not sent: something must be found out first.")
            await item.before_send()
            # It may have waited for its turn for a long time.
            self._check_expiry(url)
            earliest, latest = self._client._transport.server_time()
            # What is repeated without having been refused may have been accepted: one window is for all of it.
            since = earliest if since is None else since
            await self._ledger.intend(task, since, latest)

        def refused() -> None:
            nonlocal since
            since = None
            self._ledger.withdraw_soon(task)
            item.refused()

        try:
            return await self._client._submit(
                VoiceprintRequest(url, task.model),
                before_send=before_send,
                refused=refused,
                max_queue_wait=math.inf,
            )
        except VoiceprintError as error:
            if not error.outcome_unknown and not isinstance(error, LedgerError | RowError | HeldBackError):
                await self._ledger.withdraw(task)
            raise

    async def _url(self, task: Task) -> str:
        if task.is_file:
            return await self._uploaded(task)
        url = task.source if self._resolve is None else await self._resolved(task, self._resolve)
        self._check_expiry(url)
        return url

    async def _resolved(self, task: Task, resolve: Resolve) -> str:
        try:
            given: Any = resolve(task.row)
            url = await given if inspect.isawaitable(given) else given
        except asyncio.CancelledError as exc:
            if (ours := asyncio.current_task()) is None or ours.cancelling():
                raise
            raise _unresolved("failed", exc) from exc  # something of its own was canceled
        except VoiceprintError:
            raise
        except Exception as exc:
            raise _unresolved("failed", exc) from exc
        if not isinstance(url, str):
            raise _unresolved("gave no URL", url)
        return url

    def _check_expiry(self, url: str) -> None:
        expires_at = url_expires_at(url)
        if expires_at is not None and expires_at <= self._client._transport.server_time()[1]:
            raise RowError(
                "Its presigned URL expired before its turn; nothing was sent. Run again with a list of fresh URLs.",
                "url-expired",
            )

    async def _uploaded(self, task: Task) -> str:
        now = self._client._clock.wall()
        if task.media_url is not None and now - (task.uploaded_at or 0.0) < _MEDIA_GOOD_FOR:
            return task.media_url
        path = Path(task.source)
        await self._check_unchanged(task, path)
        url = await self._client.upload(await self._audio(task, path))
        await self._check_unchanged(task, path)
        await self._ledger.uploaded(task, url, now)
        return url

    async def _audio(self, task: Task, path: Path) -> Path | bytes:
        """Give what is uploaded: the file, or what is cut out of it."""
        if not task.pieces:
            return path
        clip = await asyncio.to_thread(cut_pieces, path, task.pieces)
        if clip_identity(clip.digest) != task.identity:
            raise RowError("The audio file is not what it was when it was looked at. Run again.", "file")
        return clip.audio

    async def _check_unchanged(self, task: Task, path: Path) -> None:
        """Make sure that it is the audio whose hash the ledger has: another one may be another person."""
        try:
            found: os.stat_result | None = await asyncio.to_thread(path.stat)
        except OSError as exc:
            raise RowError(f"The audio file cannot be read ({(exc.strerror or '').lower()}).", "file") from None
        if found is not None and (found.st_size, changed_at(found)) != (task.size, task.modified_ns):
            raise RowError("The audio file changed while the run went on. Run again: it is then read anew.", "file")


def _unresolved(what: str, by: object) -> RowError:
    """The user's code; one row's failure never stops the rest."""
    return RowError(f"resolve() {what} for this row ({type(by).__name__}).", "unresolved")
