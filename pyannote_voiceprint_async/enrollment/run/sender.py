"""One row to one job: its URL, its intent, its submission, and what each way of failing means."""

import asyncio
import copy
import inspect
import math
import os
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

from pyannote_voiceprint_async.audio import cut_pieces
from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.enrollment.ledger.recordings import PendingRecording
from pyannote_voiceprint_async.enrollment.ledger.store import LedgerStore
from pyannote_voiceprint_async.enrollment.manifest.preflight import change_time_ns, clip_identity
from pyannote_voiceprint_async.enrollment.manifest.url_identity import url_expires_at
from pyannote_voiceprint_async.enrollment.options import Resolve
from pyannote_voiceprint_async.errors import (
    AccountError,
    ApiConnectionError,
    ConfigurationError,
    InvalidRequestError,
    JobError,
    LedgerError,
    MediaError,
    SubscriptionRequiredError,
    UnexpectedResponseError,
    VoiceprintError,
)
from pyannote_voiceprint_async.jobs.batch import BatchItem
from pyannote_voiceprint_async.models import JobCreated, VoiceprintRequest

from .circuit_breaker import CircuitBreaker, Probe
from .refusals import Blame, Refusals
from .timeline import Timeline

__all__ = ["Meaning", "RowError", "Sender", "meaning"]

# Uploaded audio is deleted after 24 to 48 hours, and its job must begin before that.
_MEDIA_GOOD_FOR = 20 * 3600.0
# One check of the key is valid for all refusals of so many seconds.
_KEY_CHECKED_FOR = 5.0


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
    BLOCKED = "a proxy or a certificate of this machine's network is in the way, until somebody changes that"
    STRANGE = "one row may be at fault, or all of it"
    UNKNOWN = "the row may have been accepted"
    STOP = "nothing will succeed until somebody does something"
    LATER = "it was not its time"


# The first rung that applies decides; what reaches none pauses the run.
_LADDER: tuple[tuple[Callable[[VoiceprintError], bool], Meaning], ...] = (
    (lambda error: isinstance(error, SubscriptionRequiredError | LedgerError), Meaning.STOP),
    (lambda error: isinstance(error, HeldBackError), Meaning.LATER),
    (lambda error: error.outcome_unknown, Meaning.UNKNOWN),
    (lambda error: isinstance(error, ConfigurationError), Meaning.STOP),
    (lambda error: isinstance(error, RowError | InvalidRequestError | JobError), Meaning.ROW),
    (lambda error: isinstance(error, MediaError) and not error.retryable, Meaning.ROW),
    (lambda error: isinstance(error, ApiConnectionError) and not error.retryable, Meaning.BLOCKED),
    (lambda error: isinstance(error, MediaError | UnexpectedResponseError), Meaning.STRANGE),
    (lambda error: not error.retryable, Meaning.STRANGE),
)


def meaning(error: VoiceprintError) -> Meaning:
    """Return what an error of an upload or a submission means for the run."""
    return next((what for applies, what in _LADDER if applies(error)), Meaning.PAUSE)


class Sender:
    """Gets jobs for rows.

    Args:
        client: the way to the API.
        ledger: where each step is written before the next one.
        gate: where a run pauses.
        resolve: gives the URL of a row, or None.
        timeline: the clocks by which intents are written.
        may_go: whether a row whose turn has come may still be sent.
        more_to_come: whether there are rows that were not handed over yet.
    """

    def __init__(  # noqa: PLR0913 - what sending needs of a run, in one place
        self,
        client: AsyncVoiceprintClient,
        ledger: LedgerStore,
        gate: CircuitBreaker,
        resolve: Resolve | None,
        timeline: Timeline,
        *,
        may_go: Callable[[], bool],
        more_to_come: Callable[[], bool],
    ) -> None:
        self.refusals = Refusals(client._clock.time)
        """Refusals that name no fault of the row."""
        self._timeline = timeline
        self._more_to_come = more_to_come
        self._active: set[int] = set()
        self._checking = asyncio.Lock()
        self._key_checked_at = float("-inf")
        self._is_key_refused = False
        self._client = client
        self._ledger = ledger
        self._gate = gate
        self._resolve = resolve
        self._may_go = may_go

    async def send(self, item: BatchItem, task: PendingRecording) -> JobCreated:
        """Submit a row, however long the API is in trouble.

        Args:
            item: it is told how far the row has come, so that stopping leaves alone what is on the wire.
            task: the row.

        Raises:
            VoiceprintError: see `meaning`; never `Meaning.PAUSE`.
        """
        self._active.add(task.id)
        try:
            while (job := await self._try(item, task)) is None:
                # After a refusal other rows go first: whether they are accepted shows whose fault it was.
                if (delay := self.refusals.delay(task.id)) > 0:
                    await self._client._waits.sleep(delay)
            return job
        finally:
            self._active.discard(task.id)

    async def _try(self, item: BatchItem, task: PendingRecording) -> JobCreated | None:
        """Try to submit a row once; None means that it is to be tried again."""
        async with self._gate.passage() as passage:
            try:
                job = await self._submit(item, task)
            except VoiceprintError as error:
                what = meaning(error)
                if what is Meaning.BLOCKED and self.refusals.accepted:
                    what = Meaning.PAUSE  # it worked before, so it may work again without anything being changed here
                if what in {Meaning.PAUSE, Meaning.STRANGE}:
                    item.refused()  # nothing of it is on the wire: it may be stopped
                if what is Meaning.STRANGE:
                    await self._judge(task, error, passage)
                elif what is Meaning.PAUSE:
                    passage.trouble(str(error), error.retry_after)
                else:
                    if what is Meaning.UNKNOWN:
                        # It left before now, however long this process stood still before it did.
                        await self._ledger.extend_intent(task, self._timeline.now().latest)
                    if what is Meaning.ROW and error.status is not None:
                        passage.well()  # the API has answered
                    raise
                return None
            self.refusals.accept(task.id)
            passage.well()
            return job

    async def _judge(self, task: PendingRecording, error: VoiceprintError, passage: Probe) -> None:
        """Find out whose fault a refusal is, as far as it can be known yet.

        Raises:
            RowError: the row's.
            VoiceprintError: nothing will succeed until somebody does something.
        """
        is_account = isinstance(error, AccountError)
        if is_account and await self._key_is_refused():
            raise error
        kind = (type(error), error.status)
        others = self.refusals.others(self._active) or self._more_to_come()
        blame = self.refusals.refuse(task.id, kind, others=others, is_final=is_account)
        if blame is Blame.ROW:
            raise RowError(str(error), "refused")
        if blame is Blame.STOP:
            raise _stopped(error, task.labels[0], self.refusals.alike(kind), accepted=self.refusals.accepted)
        if blame is Blame.PAUSE:
            passage.trouble(str(error), error.retry_after)

    async def _key_is_refused(self) -> bool:
        """Check the key: a gateway may refuse one row with the status of a key that is not accepted."""
        async with self._checking:
            now = self._client._clock.time()
            if now - self._key_checked_at > _KEY_CHECKED_FOR:
                try:
                    await self._client.check_key()
                except VoiceprintError as error:
                    self._is_key_refused = isinstance(error, AccountError)
                else:
                    self._is_key_refused = False
                self._key_checked_at = self._client._clock.time()
            return self._is_key_refused

    async def _submit(self, item: BatchItem, task: PendingRecording) -> JobCreated:
        url = await self._url(task)

        since: float | None = None

        async def before_send() -> None:
            nonlocal since
            if not self._may_go():
                raise HeldBackError("It was not sent: something must be found out first.")
            await item.before_send()
            # It may have waited for its turn for a long time.
            self._check_expiry(url)
            earliest, latest = self._timeline.now()
            # What is repeated without having been refused may have been accepted: one window is for all of it.
            since = earliest if since is None else since
            await self._ledger.record_intent(task, since, latest)

        def refused() -> None:
            nonlocal since
            since = None
            self._ledger.withdraw_intent_later(task)
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
                await self._ledger.withdraw_intent(task)
            raise

    async def _url(self, task: PendingRecording) -> str:
        if task.is_file:
            return await self._uploaded(task)
        url = task.source if self._resolve is None else await self._resolved(task, self._resolve)
        self._check_expiry(url)
        return url

    async def _resolved(self, task: PendingRecording, resolve: Resolve) -> str:
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

    async def _uploaded(self, task: PendingRecording) -> str:
        now = self._client._clock.wall()
        if task.media_url is not None and now - (task.uploaded_at or 0.0) < _MEDIA_GOOD_FOR:
            return task.media_url
        path = Path(task.source)
        await self._check_unchanged(task, path)
        url = await self._client.upload(await self._audio(task, path))
        await self._check_unchanged(task, path)
        await self._ledger.record_upload(task, url, now)
        return url

    async def _audio(self, task: PendingRecording, path: Path) -> Path | bytes:
        """Give what is uploaded: the file, or what is cut out of it."""
        if not task.segments:
            return path
        clip = await asyncio.to_thread(cut_pieces, path, task.segments)
        if clip_identity(clip.digest) != task.identity:
            raise RowError("The audio file is not what it was when it was looked at. Run again.", "file")
        return clip.audio

    async def _check_unchanged(self, task: PendingRecording, path: Path) -> None:
        """Make sure that it is the audio whose hash the ledger has: another one may be another person."""
        try:
            found: os.stat_result | None = await asyncio.to_thread(path.stat)
        except OSError as exc:
            raise RowError(f"The audio file cannot be read ({(exc.strerror or '').lower()}).", "file") from None
        if found is not None and (found.st_size, change_time_ns(found)) != (task.size, task.modified_ns):
            raise RowError("The audio file changed while the run went on. Run again: it is then read anew.", "file")


def _stopped(error: VoiceprintError, label: str, rows: int, *, accepted: int) -> VoiceprintError:
    """Build the error of a run whose submissions are all refused: the last refusal, and what it means."""
    stopped = copy.copy(error)
    many = f"{rows} rows were" if rows > 1 else f"The row {label!r} was"
    why = "none has been accepted since" if accepted else "none has ever been accepted"
    sentence = (
        f"{many} refused in the same way, and {why}, so the fault is probably not in the rows. Check the base URL, the "
        "key's rights, and proxies or gateways on the way (one with a small body limit answers 413). The rows are kept "
        f"as not sent: run again. The last refusal: {error}"
    )
    stopped.args = (sentence,)
    return stopped


def _unresolved(what: str, by: object) -> RowError:
    """The user's code; one row's failure never stops the rest."""
    return RowError(f"resolve() {what} for this row ({type(by).__name__}).", "unresolved")
