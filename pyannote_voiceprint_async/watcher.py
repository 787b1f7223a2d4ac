"""One watcher for all awaited jobs: few requests, many jobs.

One or two jobs are read one by one. From three on, statuses come through pages of `GET /v2/jobs`, 100 in one
request, and each finished job is then read once, because a page has no outputs. A failed look is a look to repeat: it
is never the end of a paid job.
"""

import asyncio
import copy
import logging
from collections import OrderedDict, deque
from statistics import median
from typing import cast

import attrs

from .clock import Clock, Timer
from .endpoints import LIST_JOBS
from .errors import (
    AccountError,
    ClientClosedError,
    JobCanceledError,
    JobExpiredError,
    JobFailedError,
    JobTimeoutError,
    NotFoundError,
    VoiceprintError,
)
from .masking import mask_text
from .models import JobPage, JobStatus, JobSummary, VoiceprintJob, WebhookEvent
from .settings import Polling
from .transport import Transport
from .waits import Waits, wake

__all__ = ["Watcher", "outcome"]

log = logging.getLogger("pyannote_voiceprint_async")

_PAGE = 100
_READ_ONE_BY_ONE = 2
# Jobs that the pages do not show (old ones, or where there are no pages) are read in turn, so many in one look.
_READ_IN_TURN = 10
# A page costs so many times `Polling.first` of rest. With the default of one second that is 40 pages a minute: at
# 100 voiceprints a minute, less than half a request for each.
_REST_FOR_A_PAGE = 1.5
# A new job may not be known everywhere at once.
_BELIEVED_NOT_FOUND = 2
_OUTPUT_LIFETIME = 24 * 3600.0
_MOST_EARLY, _EARLY_FOR = 1000, 60.0
_KNOWN_DURATIONS, _FAR_BEYOND, _LONG = 100, 10.0, 60.0


@attrs.define(eq=False)
class Watched:
    """One job that somebody waits for."""

    job_id: str
    added_at: float
    not_before: float
    """When it may be looked at first; later where a webhook is expected."""
    waiters: set[asyncio.Future[None]] = attrs.field(factory=set)
    looked_at: float = float("-inf")
    """When it was last read."""
    finished: bool = False
    """A page or a webhook says that it is terminal: it is to be read."""
    job: VoiceprintJob | None = None
    """The answer, once it is there."""
    not_found: int = 0
    warned: bool = False


class Watcher:
    """Looks at jobs while somebody waits for them, in one task, and never longer."""

    def __init__(self, transport: Transport, polling: Polling, clock: Clock, waits: Waits) -> None:
        self._transport = transport
        self._polling = polling
        self._clock = clock
        self._waits = waits
        self._watched: dict[str, Watched] = {}
        self._task: asyncio.Task[None] | None = None
        self._resting: asyncio.Future[None] | None = None
        self._news = False
        self._has_pages = True
        self._pause = polling.first
        self._earliest = self._next_at = float("-inf")
        self._durations: deque[float] = deque(maxlen=_KNOWN_DURATIONS)
        self._early: OrderedDict[str, tuple[float, WebhookEvent]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._watched)

    async def wait(self, job_id: str, until: float, *, grace: float = 0.0) -> VoiceprintJob:
        """Wait for a job that has a voiceprint.

        Args:
            job_id: the job.
            until: when patience ends, on the client's clock.
            grace: seconds for which the job is left to its webhook.

        Raises:
            JobError: it has none; see the classes.
            AccountError: the key may not look any more; `job_id` says for which job.
            ClientClosedError: the client was closed; `job_id` says for which job.
        """
        watched = self._watch_over(job_id, grace)
        waiter: asyncio.Future[None] | None = None
        timer: Timer | None = None
        try:
            waiter = self._waits.future()
            watched.waiters.add(waiter)
            timer = self._clock.call_at(until, lambda: wake(waiter, _timed_out(job_id)))
            self._deliver_early(watched)
            await waiter
        except VoiceprintError as error:
            error.job_id = job_id
            raise
        finally:
            if timer is not None:
                timer.cancel()
            self._forget(watched, waiter)
        # A waiter that is woken without an error has its answer.
        return outcome(cast("VoiceprintJob", watched.job))

    def deliver(self, event: WebhookEvent) -> None:
        """Take what a webhook says. Whatever is not an answer by itself makes the watcher read the job."""
        watched = self._watched.get(event.job_id)
        if not event.status.is_terminal:
            return
        if watched is None:
            self._keep_early(event)
        elif event.is_answer:
            self._answer(watched, VoiceprintJob(event.job_id, event.status, None, event.timestamp, event.output))
        else:
            watched.finished = True
            self._wake()

    async def aclose(self) -> None:
        """End the watcher's task; whoever waits must have been sent home before."""
        while self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])

    # Who is watched

    def _watch_over(self, job_id: str, grace: float) -> Watched:
        now = self._clock.time()
        watched = self._watched.get(job_id)
        if watched is None:
            watched = self._watched[job_id] = Watched(job_id, now, now + (grace or self._polling.first))
            self._next_at = min(self._next_at, max(watched.not_before, self._earliest))
            if self._task is None or self._task.done():
                self._pause, self._next_at = self._polling.first, watched.not_before
                self._task = asyncio.create_task(self._watch())
            self._wake()
        return watched

    def _forget(self, watched: Watched, waiter: "asyncio.Future[None] | None") -> None:
        watched.waiters.discard(cast("asyncio.Future[None]", waiter))
        if not watched.waiters and self._watched.get(watched.job_id) is watched:
            del self._watched[watched.job_id]
        if not self._watched and self._task is not None:
            self._task.cancel()

    def _answer(self, watched: Watched, job: VoiceprintJob) -> None:
        self._durations.append(self._clock.time() - watched.added_at)
        watched.job = job
        self._end(watched, None)

    def _end(self, watched: Watched, error: VoiceprintError | None) -> None:
        self._watched.pop(watched.job_id, None)
        for waiter in watched.waiters:
            wake(waiter, copy.copy(error))

    # Webhooks that overtake the answer to their own submission

    def _keep_early(self, event: WebhookEvent) -> None:
        self._early[event.job_id] = (self._clock.time(), event)
        while len(self._early) > _MOST_EARLY:
            self._early.popitem(last=False)

    def _deliver_early(self, watched: Watched) -> None:
        kept_at, event = self._early.pop(watched.job_id, (float("-inf"), None))
        if event is not None and self._clock.time() - kept_at <= _EARLY_FOR:
            self.deliver(event)

    # When to look

    async def _watch(self) -> None:
        try:
            while self._watched:
                await self._rest()
                hinted = [one for one in self._watched.values() if one.finished]
                if self._clock.time() >= self._next_at:
                    await self._look()
                else:
                    await self._read_all(hinted)
        except Exception as defect:
            # A defect of ours must not leave callers waiting for nothing.
            log.exception("The watcher failed.")
            for watched in list(self._watched.values()):
                self._end(watched, VoiceprintError(f"Waiting failed by a defect: {defect!r}. wait() may be repeated."))

    async def _rest(self) -> None:
        """Come back when the next look is due, or when there is something new."""
        if self._news or self._clock.time() >= self._next_at:
            self._news = False
            return
        self._resting = asyncio.get_running_loop().create_future()
        timer = self._clock.call_at(self._next_at, lambda: wake(self._resting))
        try:
            await self._resting
        finally:
            timer.cancel()
            self._resting = None
            self._news = False

    def _wake(self) -> None:
        self._news = True
        wake(self._resting)

    async def _look(self) -> None:
        """Look once at all who are due, and read those that have finished."""
        now = self._clock.time()
        due = [one for one in self._watched.values() if one.not_before <= now or one.finished]
        if not due:
            self._next_at = min(one.not_before for one in self._watched.values())
            return
        answers = len(self._durations)
        pages = await self._look_at([one for one in due if not one.finished])
        await self._read_all([one for one in due if one.finished])
        found = len(self._durations) - answers
        self._pause = self._polling.first if found else min(self._pause * 1.5, self._polling.longest)
        price = pages * self._polling.first * _REST_FOR_A_PAGE
        now = self._clock.time()
        self._earliest = now + min(price, self._polling.longest)
        self._next_at = max(self._earliest, now + self._pause)
        self._warn_of_stragglers(now)

    # How to look

    async def _look_at(self, due: list[Watched]) -> int:
        """Learn which of these have finished, and give the number of pages that it took."""
        if len(due) <= _READ_ONE_BY_ONE:
            await self._read_all(due)
            return 0
        unseen = {one.job_id: one for one in due}
        pages = await self._walk(unseen) if self._has_pages else 0
        in_turn = sorted(unseen.values(), key=lambda one: one.looked_at)
        await self._read_all(in_turn[:_READ_IN_TURN])
        return pages

    async def _walk(self, unseen: dict[str, Watched]) -> int:
        """Walk down the pages while that is cheaper than reading one by one, and take out who was seen."""
        query, pages, in_vain = {"limit": str(_PAGE)}, 0, 0
        while unseen and in_vain < len(unseen):
            page = await self._page(query)
            if page is None:
                break
            pages += 1
            seen = [unseen.pop(summary.job_id) for summary in page.items if self._note(summary, unseen)]
            in_vain = 0 if seen else in_vain + 1
            if page.next_cursor is None or page.next_cursor == query.get("cursor"):
                break
            query["cursor"] = page.next_cursor
        return pages

    def _note(self, summary: JobSummary, unseen: dict[str, Watched]) -> bool:
        one = unseen.get(summary.job_id)
        if one is not None and summary.status.is_terminal:
            one.finished = True
        return one is not None

    async def _page(self, query: dict[str, str]) -> JobPage | None:
        try:
            return await self._transport.send(LIST_JOBS, query=query)
        except (AccountError, ClientClosedError):
            return None  # reading the jobs will meet it too, and knows whom to tell
        except NotFoundError:
            self._has_pages = False
            log.debug("This API has no %s: jobs are read one by one.", LIST_JOBS.path)
        except VoiceprintError as error:
            log.debug("A look at the jobs failed, and is repeated. %s", error)
        return None

    async def _read_all(self, jobs: list[Watched]) -> None:
        await asyncio.gather(*(self._read(one) for one in jobs))

    async def _read(self, one: Watched) -> None:
        one.looked_at = self._clock.time()
        try:
            job = await self._transport.read_job(one.job_id)
        except (AccountError, ClientClosedError) as error:
            self._end(one, error)
        except NotFoundError:
            one.not_found += 1
            if one.not_found >= _BELIEVED_NOT_FOUND:
                self._end(one, _gone(one.job_id))
        except VoiceprintError as error:
            log.debug("A look at job %s failed, and is repeated. %s", one.job_id, error)
        else:
            one.not_found = 0
            one.finished = False
            if job.status.is_terminal and not self._output_may_come(job):
                self._answer(one, job)

    def _output_may_come(self, job: VoiceprintJob) -> bool:
        """Whether a job that succeeded just now shows its output a moment later."""
        changed = job.updated_at or job.created_at
        if job.status is not JobStatus.SUCCEEDED or job.voiceprint is not None or changed is None:
            return False
        return self._clock.wall() - changed.timestamp() < _OUTPUT_LIFETIME - _LONG

    def _warn_of_stragglers(self, now: float) -> None:
        if not self._durations:
            return
        long = max(_LONG, _FAR_BEYOND * median(self._durations))
        for one in self._watched.values():
            if now - one.added_at > long and not one.warned:
                one.warned = True
                log.warning("Job %s has run for %.0f s, far beyond the others.", one.job_id, now - one.added_at)


def outcome(job: VoiceprintJob) -> VoiceprintJob:
    """Give a terminal job that has a voiceprint.

    Raises:
        JobFailedError: it failed, with the server's reason.
        JobCanceledError: it was canceled.
        JobExpiredError: it succeeded, and its output is gone.
    """
    reason = mask_text(job.output.error) if job.output and job.output.error else None
    if job.status is JobStatus.FAILED:
        raise JobFailedError(
            f"Job {job.job_id} failed: {reason or 'the API gives no reason'}. Failed jobs are not billed.",
            job_id=job.job_id,
            message=reason,
        )
    if job.status is JobStatus.CANCELED:
        raise JobCanceledError(
            f"Job {job.job_id} was canceled. Canceled jobs are not billed.", job_id=job.job_id, message=reason
        )
    if job.voiceprint is None:
        raise _gone(job.job_id)
    return job


def _gone(job_id: str) -> JobExpiredError:
    return JobExpiredError(
        f"Job {job_id} is not there any more, or its output is not: outputs are deleted 24 hours after completion. "
        "For a voiceprint it must be submitted, and paid, again.",
        job_id=job_id,
    )


def _timed_out(job_id: str) -> JobTimeoutError:
    return JobTimeoutError(
        f"Job {job_id} was not done in time. It goes on: wait({job_id!r}) picks it up again.", job_id=job_id
    )
