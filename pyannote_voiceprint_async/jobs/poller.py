"""One poller for all awaited jobs of a client: few requests, many jobs.

Up to two jobs are read one by one. The statuses of three or more jobs come from pages of `GET /v2/jobs`, 100 in one
request. Each finished job is then read once, because pages have no outputs. A failed poll is repeated, and never ends
the wait for a job, which is billed.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import cast

from pyannote_voiceprint_async.api.endpoints import MAX_PAGE_SIZE
from pyannote_voiceprint_async.concurrency.clock import Clock, Timer
from pyannote_voiceprint_async.concurrency.waiters import Waiters, wake
from pyannote_voiceprint_async.errors import (
    AccountError,
    AuthenticationError,
    ClientClosedError,
    NotFoundError,
    PermissionDeniedError,
    VoiceprintError,
)
from pyannote_voiceprint_async.models import Job, JobStatus, WebhookEvent
from pyannote_voiceprint_async.settings import Polling
from pyannote_voiceprint_async.transport.pipeline import Pipeline

from .outcome import is_output_deleted, require_success, timeout_error, unknown_job_error
from .pending_webhooks import PendingWebhooks
from .poll_schedule import PollSchedule
from .polled_job import PolledJob
from .slow_jobs import SlowJobs
from .status_pages import StatusPages

__all__ = ["JobPoller"]

log = logging.getLogger("pyannote_voiceprint_async")

# The highest number of jobs that are polled without pages.
_MAX_WITHOUT_PAGES = 2
# Pages may not show a job: it is old, or the API has no pages. Each poll reads a tenth of such jobs, and at least this
# many of them. Those that were not polled for the longest time are read first.
_MIN_READS_PER_POLL = 10
# The highest number of reads in progress. More of them would only fill the wait queue of the rate limiter, and delay a
# `get_job` of the caller.
_MAX_READS = 32
# A job is unknown after this many 404s in a row. A single one proves nothing: a new job may not be visible on every
# server of the API yet.
_MAX_NOT_FOUND = 2
# Seconds for which a job may have the status "succeeded" before it shows its output.
_OUTPUT_DELAY = 60.0
# The key was revoked, or lost a right: every other read would fail in the same way.
_FAILS_ALL_WAITS = (AuthenticationError, PermissionDeniedError)


class JobPoller:
    """Polls jobs in one task, which exists only while a caller waits for a job.

    The poller serves all callers. Its tasks run in a context of their own, so that they neither belong to the trace and
    the operation of the caller that started them, nor keep its context alive.
    """

    def __init__(self, pipeline: Pipeline, polling: Polling, clock: Clock, waiters: Waiters) -> None:
        self._pipeline = pipeline
        self._polling = polling
        self._clock = clock
        self._waiters = waiters
        self.on_wait: Callable[[], object] | None = None
        """Called when the first wait for a job begins."""
        self._jobs: dict[str, PolledJob] = {}
        self._webhooks = PendingWebhooks(polling.webhook_grace)
        self._drop_timer: Timer | None = None
        self._schedule = PollSchedule(polling)
        self._pages = StatusPages(pipeline, clock)
        self._slow_jobs = SlowJobs()
        self._task: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()  # the task above, and cancelled ones that are not done
        self._rescheduled = asyncio.Event()
        self._to_read: deque[PolledJob] = deque()
        self._reads: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, job_id: object) -> bool:
        """Return whether a caller waits for a job."""
        return job_id in self._jobs

    def expect_webhook(self, job_id: str) -> None:
        """Leave a job to the webhook that was requested for it: poll it only after `Polling.webhook_grace`."""
        self._webhooks.expect(job_id, self._clock.time())

    async def wait(self, job_id: str, deadline: float) -> Job:
        """Wait for a job of any kind until it has succeeded.

        Args:
            job_id: the job.
            deadline: time on the client's clock.

        Raises:
            JobError: the job has no result, or none by the deadline; see its subclasses.
            AccountError: the key may no longer read jobs. `job_id` of the error is set.
            ClientClosedError: the client was closed, or belongs to another event loop. `job_id` of the error is set.
        """
        try:
            self._pipeline.check_usable()
            return require_success(await self._wait(job_id, deadline), self._clock.wall())
        except VoiceprintError as error:
            error.job_id = job_id
            raise

    def expect_result(self, ended_at: float) -> float:
        """Estimate when the result of an awaited job arrives, as a time on the client's clock.

        Args:
            ended_at: the time on this clock at which the job ends.
        """
        return max(self._clock.time(), self._schedule.expect_poll(ended_at, pages=self._pages_per_poll()))

    def expect_delay(self, job_seconds: float) -> float:
        """Estimate the seconds from the acceptance of a job to its result, if no job is accepted after it.

        Args:
            job_seconds: how long the job takes.
        """
        schedule = PollSchedule(self._polling)
        schedule.poll_by(self._polling.first)
        return max(job_seconds, schedule.expect_poll(job_seconds, pages=self._pages_per_poll()))

    def deliver(self, event: WebhookEvent) -> None:
        """Resolve the job of a webhook, or read the job at once if the webhook has no output."""
        if not event.status.is_terminal:
            return
        self._webhooks.record_delivery(event.job_id)
        polled = self._jobs.get(event.job_id)
        if polled is None:
            self._webhooks.keep_early(event, self._clock.time())
            if self._drop_timer is None:
                self._drop_old_webhooks()
        elif event.is_complete:
            job = Job(event.job_id, event.status, updated_at=event.timestamp, output=event.output)
            self._resolve(polled, job)
        else:
            # A read that is in progress may return an older state: this makes the poller read the job again.
            polled.is_terminal = True
            # No second webhook follows: if the read fails, the job must be polled like any other.
            polled.first_poll_at = min(polled.first_poll_at, self._clock.time())
            self._read_soon(polled)

    def _drop_old_webhooks(self) -> None:
        """Drop expired webhooks, and set a timer for the next one that expires."""
        drop_at = self._webhooks.drop_old(self._clock.time())
        self._drop_timer = None if drop_at is None else self._clock.call_at(drop_at, self._drop_old_webhooks)

    async def aclose(self) -> None:
        """Cancel all tasks, and wait for them. Fail the waits before, with `Waiters.fail_all`."""
        if self._drop_timer is not None:
            self._drop_timer.cancel()
        while tasks := self._tasks | self._reads:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    # Waits

    async def _wait(self, job_id: str, deadline: float) -> Job:
        waiter = self._waiters.create_future()
        timer = self._clock.call_at(deadline, lambda: wake(waiter, timeout_error(job_id)))
        polled = self._jobs.get(job_id) or self._add(job_id)
        polled.waiters.add(waiter)
        try:
            if (event := self._webhooks.pop_early(job_id, self._clock.time())) is not None:
                self.deliver(event)
            await waiter
        finally:
            timer.cancel()
            polled.waiters.discard(waiter)
            if not polled.waiters:
                self._remove(polled)
        # A waiter that was woken without an error has its result here.
        return cast("Job", polled.result)

    def _add(self, job_id: str) -> PolledJob:
        now = self._clock.time()
        grace = self._webhooks.grace_left(job_id, now)
        polled = self._jobs[job_id] = PolledJob(job_id, now, now + (grace or self._polling.first))
        if self._task is None or self._task.done():
            self._start()
        if not grace:
            # A new job must not inherit the long interval of jobs that have been polled for a while.
            self._schedule.reset_interval()
        self._poll_by(polled.first_poll_at)
        if self.on_wait is not None:
            self.on_wait()
        return polled

    def _remove(self, polled: PolledJob) -> None:
        if self._jobs.get(polled.job_id) is not polled:
            return  # removed before; a later wait for the same job has a `PolledJob` of its own
        del self._jobs[polled.job_id]
        if polled.reading is not None:
            # No caller needs the read. A read that removes its own job ends normally: it awaits nothing after this.
            polled.reading.cancel()
        if not self._jobs:
            self._stop()

    def _resolve(self, polled: PolledJob, job: Job) -> None:
        """End the waits for a job with its result."""
        now = self._clock.time()
        self._slow_jobs.record(now - polled.added_at)
        self._schedule.reset_interval()
        self._poll_by(now + self._schedule.interval)
        polled.result = job
        self._remove(polled)
        polled.wake_waiters(None)

    def _fail(self, polled: PolledJob, error: VoiceprintError) -> None:
        """End the waits for a job with an error."""
        self._remove(polled)
        polled.wake_waiters(error)

    def _fail_all(self, error: VoiceprintError) -> None:
        """End all waits with an error."""
        for polled in list(self._jobs.values()):
            self._fail(polled, error)

    def _fail_all_after_bug(self, bug: Exception) -> None:
        """End all waits after an unexpected exception of this package. Without this they would never end."""
        log.error("The job poller failed.", exc_info=bug)
        self._fail_all(
            VoiceprintError(
                f"The wait failed because of a bug in this package: {bug!r}. The job continues: call wait() again."
            )
        )

    # The task

    def _start(self) -> None:
        self._schedule.restart()
        self._task = Context().run(asyncio.create_task, self._run())
        self._tasks.add(self._task)
        self._task.add_done_callback(self._tasks.discard)

    def _stop(self) -> None:
        """Cancel the task. A wait that begins before the task is done starts a new one."""
        self._to_read.clear()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()

    async def _run(self) -> None:
        try:
            while True:
                if self._clock.time() < self._schedule.next_at:
                    await self._sleep()
                else:
                    await self._poll()
        except Exception as bug:  # noqa: BLE001 - raised in all waits
            self._fail_all_after_bug(bug)

    async def _sleep(self) -> None:
        """Sleep until the next poll is due, or until its time was changed."""
        timer = self._clock.call_at(self._schedule.next_at, self._rescheduled.set)
        try:
            await self._rescheduled.wait()
        finally:
            timer.cancel()
        self._rescheduled.clear()

    def _poll_by(self, time: float) -> None:
        """Poll at this time at the latest; wake the task if this makes the next poll earlier."""
        if self._schedule.poll_by(time):
            self._rescheduled.set()

    # Polls

    async def _poll(self) -> None:
        """Poll the jobs that are due, and start to read those that have finished."""
        started_at = self._clock.time()
        due = [polled for polled in self._jobs.values() if polled.is_due(started_at)]
        # While jobs wait to be read, a poll would only find more of them.
        has_polled = bool(due) and not self._to_read
        pages = await self._poll_jobs(due) if has_polled else 0
        self._schedule.record_poll(
            self._clock.time(),
            pages=pages,
            has_polled=has_polled,
            # Jobs added during a poll must not inherit its longer interval.
            first_polls=[polled.first_poll_at for polled in self._jobs.values() if polled.first_poll_at > started_at],
        )
        self._slow_jobs.warn(self._jobs.values())

    async def _poll_jobs(self, due: list[PolledJob]) -> int:
        """Find out which jobs have finished, start to read them, and return how many pages were fetched."""
        unseen = {polled.job_id: polled for polled in due if not polled.is_terminal}
        pages = pages_without_match = 0
        if self._pages.is_supported and len(unseen) > _MAX_WITHOUT_PAGES:
            try:
                pages, pages_without_match = await self._pages.update(unseen)
            except AuthenticationError as error:
                self._fail_all(error)
                return 0
        longest_unpolled = sorted(unseen.values(), key=lambda polled: polled.polled_at)
        reads = max(_MIN_READS_PER_POLL, len(longest_unpolled) // 10, pages_without_match)
        self._read_soon(*(polled for polled in due if polled.is_terminal), *longest_unpolled[:reads])
        return pages

    def _pages_per_poll(self) -> int:
        """Return how many pages a poll of all jobs fetches."""
        return 0 if len(self) <= _MAX_WITHOUT_PAGES else math.ceil(len(self) / MAX_PAGE_SIZE)

    # Reads

    def _read_soon(self, *jobs: PolledJob) -> None:
        """Read these jobs, each in a task of its own: a slow read must delay neither other reads nor the next poll."""
        self._to_read.extend(jobs)
        while self._to_read and len(self._reads) < _MAX_READS:
            polled = self._to_read.popleft()
            if polled.reading is None and self._jobs.get(polled.job_id) is polled:
                polled.reading = Context().run(asyncio.create_task, self._read(polled))
                self._reads.add(polled.reading)
                polled.reading.add_done_callback(self._on_read_done)

    def _on_read_done(self, read: asyncio.Task[None]) -> None:
        self._reads.discard(read)
        self._read_soon()

    async def _read(self, polled: PolledJob) -> None:
        polled.polled_at, polled.is_terminal = self._clock.time(), False
        try:
            job = await self._pipeline.read_job(polled.job_id)
        except NotFoundError:
            polled.not_found += 1
            if polled.not_found >= _MAX_NOT_FOUND:
                self._fail(polled, unknown_job_error(polled.job_id))
        except _FAILS_ALL_WAITS as error:
            self._fail_all(error)
        except (AccountError, ClientClosedError) as error:
            self._fail(polled, error)
        except VoiceprintError as error:
            log.debug("Reading job %s failed, and is repeated with a later poll. %s", polled.job_id, error)
        except Exception as bug:  # noqa: BLE001 - raised in all waits
            self._fail_all_after_bug(bug)
        else:
            self._resolve_if_complete(polled, job)
        finally:
            polled.reading = None
            self._poll_by(self._clock.time() + self._schedule.interval)

    def _resolve_if_complete(self, polled: PolledJob, job: Job) -> None:
        """Resolve a job if the response shows that it has finished and that its output is complete."""
        polled.not_found = 0
        if job.status.is_terminal and not self._may_get_output(polled, job):
            self._resolve(polled, job)
        elif polled.is_terminal:
            # A webhook arrived during the read, so the response may show an older state: read the job again.
            self._to_read.append(polled)

    def _may_get_output(self, polled: PolledJob, job: Job) -> bool:
        """Return whether a job that has succeeded without an output may still get it."""
        if job.status is not JobStatus.SUCCEEDED or job.has_result or is_output_deleted(job, self._clock.wall()):
            return False
        now = self._clock.time()
        if polled.succeeded_at is None:
            polled.succeeded_at = now
        return now - polled.succeeded_at < _OUTPUT_DELAY
