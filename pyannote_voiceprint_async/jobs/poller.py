"""One watcher for all awaited jobs: few requests, many jobs.

One or two jobs are read one by one. From three on, statuses come through pages of `GET /v2/jobs`, 100 in one
request, and each finished job is then read once, because a page has no outputs. A failed look is a look to repeat: it
is never the end of a paid job.
"""

import asyncio
import copy
import logging
from collections import OrderedDict, deque
from typing import cast

import attrs

from pyannote_voiceprint_async.api.endpoints import LIST_JOBS, LONGEST_PAGE, OUTPUT_LIFETIME
from pyannote_voiceprint_async.concurrency.clock import Clock
from pyannote_voiceprint_async.concurrency.waiters import Waiters, wake
from pyannote_voiceprint_async.errors import (
    AccountError,
    AuthenticationError,
    ClientClosedError,
    JobTimeoutError,
    NotFoundError,
    PermissionDeniedError,
    VoiceprintError,
)
from pyannote_voiceprint_async.models import JobPage, JobStatus, JobSummary, VoiceprintJob, WebhookEvent
from pyannote_voiceprint_async.settings import Polling
from pyannote_voiceprint_async.transport.pipeline import Pipeline

from .outcome import succeeded_job, unknown_job

__all__ = ["JobPoller"]

log = logging.getLogger("pyannote_voiceprint_async")

_READ_ONE_BY_ONE = 2
# Jobs that the pages do not show (old ones, or where there are no pages) are read in turn, in each look a tenth of
# them and at least so many.
_READ_IN_TURN = 10
# Reads under way. Those behind them wait here and not in the throttle, where a person's own reads would queue behind.
_READS_AT_ONCE = 32
# A page costs so many times `Polling.first` of rest. With the default of one second that is 30 pages a minute: at
# 100 voiceprints a minute, a third of a request for each.
_REST_FOR_A_PAGE = 2.0
# A new job may not be known everywhere at once.
_BELIEVED_NOT_FOUND = 2
# The output of a job that has just succeeded may follow its status, for at most so many seconds.
_OUTPUT_FOLLOWS = 60.0
# The key was revoked, or lost a right: polling the other jobs would repeat the same refusal once for each of them.
_ENDS_ALL = (AuthenticationError, PermissionDeniedError)
_MOST_EARLY, _EARLY_FOR = 1000, 60.0
# Jobs that asked for a webhook, and until when they are left to it.
_MOST_EXPECTED = 10_000
_KNOWN_DURATIONS, _FAR_BEYOND, _LONG = 100, 10.0, 60.0


@attrs.define(eq=False)
class PolledJob:
    """One job that somebody waits for."""

    job_id: str
    added_at: float
    not_before: float
    """When it may be looked at first; later where a webhook is expected."""
    waiters: set[asyncio.Future[None]] = attrs.field(factory=set)
    looked_at: float = float("-inf")
    """When it was last seen in a page, or began to be read."""
    reading: asyncio.Task[None] | None = None
    """What reads it now."""
    finished: bool = False
    """A page or a webhook says that it is terminal: it is to be read."""
    job: VoiceprintJob | None = None
    """The answer, once it is there."""
    not_found: int = 0
    succeeded_at: float | None = None
    """When it was first seen to have succeeded without an output."""
    warned: bool = False


class JobPoller:
    """Looks at jobs while somebody waits for them, in one task, and never longer."""

    def __init__(self, transport: Pipeline, polling: Polling, clock: Clock, waits: Waiters) -> None:
        self._transport = transport
        self._polling = polling
        self._clock = clock
        self._waits = waits
        self._watched: dict[str, PolledJob] = {}
        self._task: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()  # the one above, and those that are about to end
        self._news = asyncio.Event()
        self._to_read: deque[PolledJob] = deque()
        self._reads: set[asyncio.Task[None]] = set()
        self._has_pages = True
        self._pause = polling.first
        self._earliest = self._next_at = float("-inf")
        self._durations: deque[float] = deque(maxlen=_KNOWN_DURATIONS)
        self._early: OrderedDict[str, tuple[float, WebhookEvent]] = OrderedDict()
        self._expected: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._watched)

    def expect_webhook(self, job_id: str) -> None:
        """Leave a job to its webhook for the grace period: its webhook was requested."""
        self._expected[job_id] = self._clock.time() + self._polling.webhook_grace
        if len(self._expected) > _MOST_EXPECTED:
            del self._expected[next(iter(self._expected))]

    async def wait(self, job_id: str, deadline: float) -> VoiceprintJob:
        """Wait for a job of any kind, until it has succeeded.

        Args:
            job_id: the job.
            deadline: time on the client's clock.

        Raises:
            JobError: it has no result; see the classes.
            AccountError: the key may not read jobs any more; `job_id` says for which job.
            ClientClosedError: the client was closed, or belongs to another event loop; `job_id` says for which job.
        """
        try:
            self._transport.check_usable()
            return succeeded_job(await self._wait(job_id, deadline), self._clock.wall())
        except VoiceprintError as error:
            error.job_id = job_id
            raise

    def deliver(self, event: WebhookEvent) -> None:
        """Take what a webhook says. Whatever is not an answer by itself makes the watcher read the job."""
        watched = self._watched.get(event.job_id)
        if not event.status.is_terminal:
            return
        self._expected.pop(event.job_id, None)
        if watched is None:
            self._keep_early(event)
        elif event.is_answer:
            self._answer(watched, VoiceprintJob(event.job_id, event.status, None, event.timestamp, event.output))
        else:
            # It counts even if the job is being read just now: that read may be answered by an older state.
            watched.finished = True
            # No second webhook will come: from now on it is looked at as any other.
            watched.not_before = min(watched.not_before, self._clock.time())
            self._read_soon(watched)

    async def aclose(self) -> None:
        """End all tasks; whoever waits must have been sent home before."""
        while tasks := self._tasks | self._reads:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    # Who is watched

    async def _wait(self, job_id: str, deadline: float) -> VoiceprintJob:
        waiter = self._waits.create_future()
        timer = self._clock.call_at(deadline, lambda: wake(waiter, _timed_out(job_id)))
        watched = self._watch_over(job_id)
        watched.waiters.add(waiter)
        try:
            self._deliver_early(watched)
            await waiter
        finally:
            timer.cancel()
            watched.waiters.discard(waiter)
            if not watched.waiters:
                self._forget(watched)
        # A waiter that is woken without an error has its answer.
        return cast("VoiceprintJob", watched.job)

    def _watch_over(self, job_id: str) -> PolledJob:
        now = self._clock.time()
        grace = max(0.0, self._expected.get(job_id, 0.0) - now)
        watched = self._watched.get(job_id)
        if watched is None:
            watched = self._watched[job_id] = PolledJob(job_id, now, now + (grace or self._polling.first))
            if self._task is None or self._task.done():
                self._start()
            if not grace:
                # A new job is looked at as often as if it were alone, however long others have been running.
                self._pause = self._polling.first
            self._look_by(watched.not_before)
        return watched

    def _forget(self, watched: PolledJob) -> None:
        if self._watched.get(watched.job_id) is not watched:
            return  # it has its answer, or somebody waits for this job anew
        del self._watched[watched.job_id]
        if watched.reading is not None:
            # Harmless where it is this read that has just answered.
            watched.reading.cancel()
        if not self._watched:
            self._stop()

    def _answer(self, watched: PolledJob, job: VoiceprintJob) -> None:
        now = self._clock.time()
        self._durations.append(now - watched.added_at)
        self._pause = self._polling.first
        self._look_by(now + self._pause)
        watched.job = job
        self._end(watched, None)

    def _end(self, watched: PolledJob, error: VoiceprintError | None) -> None:
        self._forget(watched)
        for waiter in watched.waiters:
            wake(waiter, copy.copy(error))

    # Webhooks that overtake the answer to their own submission

    def _keep_early(self, event: WebhookEvent) -> None:
        self._early[event.job_id] = (self._clock.time(), event)
        too_old = self._clock.time() - _EARLY_FOR
        while len(self._early) > _MOST_EARLY or next(iter(self._early.values()))[0] < too_old:
            self._early.popitem(last=False)

    def _deliver_early(self, watched: PolledJob) -> None:
        kept_at, event = self._early.pop(watched.job_id, (float("-inf"), None))
        if event is not None and self._clock.time() - kept_at <= _EARLY_FOR:
            self.deliver(event)

    # When to look

    def _start(self) -> None:
        self._pause, self._next_at = self._polling.first, float("inf")
        self._task = asyncio.create_task(self._watch())
        self._tasks.add(self._task)
        self._task.add_done_callback(self._tasks.discard)

    def _stop(self) -> None:
        """End the task. It takes a moment, and must not take along who begins to wait in it: they get a new one."""
        self._to_read.clear()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()

    async def _watch(self) -> None:
        try:
            while True:
                if self._clock.time() < self._next_at:
                    await self._rest()
                else:
                    await self._look()
        except Exception as defect:  # noqa: BLE001 - it is told to all who wait
            self._fail(defect)

    def _fail(self, defect: Exception) -> None:
        """Tell all who wait of a defect of ours: it must not leave them waiting for nothing."""
        log.error("The watcher failed.", exc_info=defect)
        self._end_all(VoiceprintError(f"Waiting failed by a defect: {defect!r}. wait() may be repeated."))

    def _end_all(self, error: VoiceprintError) -> None:
        """Raise this error in all waits."""
        for watched in list(self._watched.values()):
            self._end(watched, error)

    async def _rest(self) -> None:
        """Come back when the next look is due, or when that time has changed."""
        timer = self._clock.call_at(self._next_at, self._news.set)
        try:
            await self._news.wait()
        finally:
            timer.cancel()
        self._news.clear()

    def _look_by(self, when: float) -> None:
        """Look no later than then, unless the last look's pages want more rest."""
        when = max(when, self._earliest)
        if when < self._next_at:
            self._next_at = when
            self._news.set()

    async def _look(self) -> None:
        """Look once at all who are due, and let those be read that have finished."""
        began = self._clock.time()
        due = [one for one in self._watched.values() if one.reading is None and one.not_before <= began]
        pages = 0
        # Where reads are behind, more looks would not help.
        if due and not self._to_read:
            pages = await self._look_at(due)
            self._pause = min(self._pause * 1.5, self._polling.longest)
        now = self._clock.time()
        self._earliest = now + min(pages * self._polling.first * _REST_FOR_A_PAGE, self._polling.longest)
        again = now + self._pause
        # Those who came too late for this look are not to wait for a pause that has grown by it.
        first_looks = (one.not_before for one in self._watched.values() if one.not_before > began)
        self._next_at = max(self._earliest, min(again, min(first_looks, default=again)))
        self._warn_of_stragglers()

    # How to look

    async def _look_at(self, due: list[PolledJob]) -> int:
        """Read who has finished, as far as can be known, and give the number of pages that it took to know."""
        unseen = {one.job_id: one for one in due if not one.finished}
        pages = in_vain = 0
        if self._has_pages and len(unseen) > _READ_ONE_BY_ONE:
            pages, in_vain = await self._walk(unseen)
        in_turn = sorted(unseen.values(), key=lambda one: one.looked_at)
        share = max(_READ_IN_TURN, len(in_turn) // 10, in_vain)
        self._read_soon(*(one for one in due if one.finished), *in_turn[:share])
        return pages

    async def _walk(self, unseen: dict[str, PolledJob]) -> tuple[int, int]:
        """Walk down the pages while that is cheaper than reading one by one, and take out who was seen.

        Returns:
            The pages, and how many of them at the end showed nobody.
        """
        query, pages, in_vain = {"limit": str(LONGEST_PAGE)}, 0, 0
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
        return pages, in_vain

    def _note(self, summary: JobSummary, unseen: dict[str, PolledJob]) -> bool:
        one = unseen.get(summary.job_id)
        if one is None:
            return False
        one.looked_at = self._clock.time()
        one.finished |= summary.status.is_terminal
        return True

    async def _page(self, query: dict[str, str]) -> JobPage | None:
        try:
            return await self._transport.send(LIST_JOBS, query=query)
        except AuthenticationError as error:
            self._end_all(error)
        except (AccountError, ClientClosedError):
            return None  # a key may read single jobs without the right to list them; the reads find out
        except NotFoundError:
            self._has_pages = False
            log.debug("This API has no %s: jobs are read one by one.", LIST_JOBS.path)
        except VoiceprintError as error:
            log.debug("A look at the jobs failed, and is repeated. %s", error)
        return None

    # How to read

    def _read_soon(self, *jobs: PolledJob) -> None:
        """Read these, so many at once. A read that takes long holds up neither the others nor the next look."""
        self._to_read.extend(jobs)
        while self._to_read and len(self._reads) < _READS_AT_ONCE:
            one = self._to_read.popleft()
            if one.reading is None and self._watched.get(one.job_id) is one:
                one.reading = asyncio.create_task(self._read(one))
                self._reads.add(one.reading)
                one.reading.add_done_callback(self._end_read)

    def _end_read(self, read: asyncio.Task[None]) -> None:
        self._reads.discard(read)
        self._read_soon()

    async def _read(self, one: PolledJob) -> None:
        one.looked_at, one.finished = self._clock.time(), False
        try:
            job = await self._transport.read_job(one.job_id)
        except NotFoundError:
            one.not_found += 1
            if one.not_found >= _BELIEVED_NOT_FOUND:
                self._end(one, unknown_job(one.job_id))
        except _ENDS_ALL as error:
            self._end_all(error)
        except (AccountError, ClientClosedError) as error:
            self._end(one, error)
        except VoiceprintError as error:
            log.debug("A look at job %s failed, and is repeated. %s", one.job_id, error)
        except Exception as defect:  # noqa: BLE001 - it is told to all who wait
            self._fail(defect)
        else:
            self._take(one, job)
        finally:
            one.reading = None
            self._look_by(self._clock.time() + self._pause)

    def _take(self, one: PolledJob, job: VoiceprintJob) -> None:
        one.not_found = 0
        if job.status.is_terminal and not self._output_may_come(one, job):
            self._answer(one, job)
        elif one.finished:
            # A webhook has come meanwhile: this answer may be older.
            self._to_read.append(one)

    def _output_may_come(self, one: PolledJob, job: VoiceprintJob) -> bool:
        """Return whether a job that has just succeeded may show its output a moment later."""
        changed = job.updated_at or job.created_at
        if job.status is not JobStatus.SUCCEEDED or job.has_result or changed is None:
            return False
        now = self._clock.time()
        one.succeeded_at = now if one.succeeded_at is None else one.succeeded_at
        is_new = self._clock.wall() - changed.timestamp() < OUTPUT_LIFETIME - _LONG
        return is_new and now - one.succeeded_at < _OUTPUT_FOLLOWS

    def _warn_of_stragglers(self) -> None:
        if not self._durations:
            return
        long = max(_LONG, _FAR_BEYOND * sorted(self._durations)[len(self._durations) // 2])
        for one in self._watched.values():
            age = one.looked_at - one.added_at
            if age > long and not one.finished and not one.warned:
                one.warned = True
                log.warning("Job %s was not done after %.0f s, far beyond the others.", one.job_id, age)


def _timed_out(job_id: str) -> JobTimeoutError:
    return JobTimeoutError(
        f"Job {job_id} was not done in time. It goes on: wait({job_id!r}) picks it up again.", job_id=job_id
    )
