"""A run: the list into the ledger, rows into jobs, jobs into voiceprints, and what to do when trouble comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Self

import attrs

from pyannote_voiceprint_async.api.endpoints import OUTPUT_LIFETIME
from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.concurrency.clock import deadline
from pyannote_voiceprint_async.concurrency.event_loop import running_loop
from pyannote_voiceprint_async.enrollment.events import (
    Event,
    Finished,
    Paused,
    Progress,
    Report,
    Resumed,
    RowExpired,
    RowFailed,
    RowSkipped,
    RowSubmitted,
    RowSucceeded,
    RowUncertain,
    Stopping,
)
from pyannote_voiceprint_async.enrollment.ledger.recordings import PendingRecording
from pyannote_voiceprint_async.enrollment.ledger.staging import Staging
from pyannote_voiceprint_async.enrollment.ledger.store import LedgerStore
from pyannote_voiceprint_async.enrollment.manifest.rows import Problem, Row
from pyannote_voiceprint_async.enrollment.options import Options
from pyannote_voiceprint_async.errors import (
    ApiConnectionError,
    EnrollmentError,
    JobCanceledError,
    JobError,
    JobExpiredError,
    JobFailedError,
    JobTimeoutError,
    LedgerError,
    NotFoundError,
    SubscriptionRequiredError,
    VoiceprintError,
)
from pyannote_voiceprint_async.jobs.batch import BatchItem, Results
from pyannote_voiceprint_async.models import JobCreated, Voiceprint, VoiceprintJob
from pyannote_voiceprint_async.reprs import safe_repr

from .circuit_breaker import CircuitBreaker
from .event_queue import EventQueue
from .outcome_resolver import OutcomeResolver
from .sender import Meaning, RowError, Sender, meaning
from .timeline import Timeline

__all__ = ["Enrollment"]

# Rows that are uploaded or resolved before there is a slot for them.
_AHEAD = 16
# Jobs that are waited for at once: more than the documented rate makes in an hour and a half.
_MOST_WAITING = 10_000
_PAGE = 256
# For so long an earlier run's jobs are waited for before new ones are sent, and the last ones when credit is used up.
_PATIENCE = 900.0
# So many submissions in a row of which nobody knows what became: stop, and find out.
_TOO_MANY_UNKNOWN = 3
# So many times in a row jobs were made all the same: each more would be paid for nothing.
_TOO_MANY_LOST = 2
# For so long jobs that were accepted today may be unknown to the API: it is in trouble, not they.
_LONGEST_UNKNOWN, _BETWEEN_UNKNOWN = 3600.0, 60.0
# Nothing stays unknown for longer, while others are sent.
_OLDEST_UNKNOWN = 1800.0


@safe_repr
class Enrollment:
    """One run. An async iterator over its events, and an async context manager: leaving early stops it cleanly.

    Its work goes on in tasks of its own; whatever an event tells is in the ledger already.
    """

    def __init__(
        self,
        client: AsyncVoiceprintClient,
        rows: Iterable[Row | Problem] | AsyncIterable[Row | Problem],
        ledger: LedgerStore,
        options: Options,
        *,
        owns_ledger: bool,
    ) -> None:
        self._final_report: Report | None = None
        self._progress = Progress()
        self._client = client
        self._rows = rows
        self._ledger = ledger
        self._options = options
        self._owns_ledger = owns_ledger
        self._clock = client._clock
        self._gate = CircuitBreaker(client._clock.time, client._waits.sleep, self._on_gate)
        self._timeline = Timeline(client._clock, client._transport.server_time)
        self._sender = Sender(
            client,
            ledger,
            self._gate,
            options.resolve,
            self._timeline,
            may_go=lambda: not self._must_find_out(),
            more_to_come=lambda: self._is_feeding,
        )
        self._settling = OutcomeResolver(client, ledger, options.on_unknown, self._timeline)
        self._loading = Staging.for_run(ledger, options)
        self._task: asyncio.Task[None] | None = None
        self._working: asyncio.Task[None] | None = None
        self._sends: Results[None] | None = None
        self._waits: set[asyncio.Task[None]] = set()
        self._room_to_wait = asyncio.Semaphore(_MOST_WAITING)
        self._accepted = self._booked = 0
        self._unknown_in_a_row = 0
        self._too_many_unknown = False
        self._lost_rounds = 0
        self._unknown_since: float | None = None
        self._unsaved: dict[str, PendingRecording] = {}
        self._error: BaseException | None = None
        self._ending: asyncio.Task[None] | None = None
        self._is_loaded = self._interrupted = self._has_ledger = self._is_feeding = False
        self._stream = EventQueue()

    def __repr__(self) -> str:
        return f"<Enrollment {self.progress.succeeded} of {self.progress.total}>"

    @property
    def report(self) -> Report:
        """How the rows stand, once the run is over.

        Raises:
            EnrollmentError: the run is not over, or it failed before its list was read.
        """
        if self._final_report is None:
            raise EnrollmentError(
                "There is no report yet: the run is not over, or it failed before its list was read. Read `report` "
                "after the last event, and `progress` at any time."
            )
        return self._final_report

    @property
    def progress(self) -> Progress:
        """How far it is, at any moment."""
        self._progress.read, self._progress.listening_to = self._loading.rows_read, self._loading.checking
        return self._progress

    async def __aenter__(self) -> Self:
        running_loop()  # raises where there is none
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        if self._task is None and not self._interrupted:
            self._task = asyncio.create_task(self._run())
            self._task.add_done_callback(lambda _: self._stream.end())
        if self._task is not None and (event := await self._stream.take()) is not None:
            return event
        error, self._error = self._error, None
        raise error or StopAsyncIteration

    def stop(self) -> None:
        """End it early: nothing new is sent, what is on the wire is finished, and jobs are left to the next run.

        The events go on until `Finished`.
        """
        if not self._interrupted:
            self._interrupted = True
            self._ledger.shorten_lock_waits()
            self._end_work()
            for wait in self._waits:
                wait.cancel()

    async def aclose(self) -> None:
        """Stop it, and come back when it is over. What was done stands in the ledger; closing twice is fine."""
        self._stream.leave()
        self.stop()
        if self._task is not None:
            await asyncio.wait([self._task])

    # Its course

    async def _run(self) -> None:
        self._working = asyncio.create_task(self._work())
        try:
            await asyncio.wait([self._working])
            if not self._working.cancelled() and (error := self._working.exception()) is not None:
                self._error = self._error or error
            await self._end_waits()
            if self._is_loaded:
                await self._save_unsaved()
                self._final_report = await self._report()
                await self._stream.put(Finished(self._final_report))
        except Exception as error:  # noqa: BLE001 - raised out of the iteration
            self._error = self._error or error
        finally:
            self._working.cancel()
            if self._has_ledger:
                self._ledger.on_lock_wait = None
                self._ledger.release()
            if self._owns_ledger:
                await self._ledger.aclose()

    async def _work(self) -> None:
        if self._owns_ledger:
            await self._ledger.open()
        self._ledger.acquire()
        self._has_ledger = True
        self._ledger.on_lock_wait = self._on_ledger_waiting
        if await self._begin():
            await self._meet()
            await self._await_leftovers()
            await self._settle(uncertain_too=True)
        while await self._may_send():
            await self._send_all()
            await self._settle(uncertain_too=False)
        while self._waits:
            await asyncio.wait(self._waits)

    def _end_work(self) -> None:
        """Let nothing new begin. What is on the wire is finished while the events go on."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._end_sends())

    async def _end_sends(self) -> None:
        if self._sends is not None:
            await self._sends.aclose()
        if self._working is not None:
            self._working.cancel()

    async def _end_waits(self) -> None:
        """End the waits for jobs; the next run resumes them. Only without credit (402) can jobs still be read."""
        try:
            if isinstance(self._error, SubscriptionRequiredError) and self._waits and not self._interrupted:
                async with deadline(self._clock, self._clock.time() + _PATIENCE):
                    await asyncio.wait(self._waits)
        except TimeoutError:
            pass
        for wait in self._waits:
            wait.cancel()
        if self._waits:
            await asyncio.wait(self._waits)

    async def _begin(self) -> bool:
        """Let the ledger have the list, and say whether there is anything to be asked of the API."""
        options = self._options
        base_url = options.origin or self._client._base_url
        await self._ledger.claim(base_url, self._client._transport.key, new_key=options.new_key)
        await self._loading.stage(self._rows)
        await self._loading.apply(
            now=self._clock.wall(), retry_failed=options.retry_failed, retry_expired=options.retry_expired
        )
        self._is_loaded = True
        self._sender.refusals.accepted_before = await self._ledger.newest_job() is not None
        await self._recount()
        await self._stream.put(*map(RowSkipped, self._loading.problems), *self._loading.warnings)
        return bool(
            await self._ledger.has_pending() or await self._ledger.submitted(0, 1) or await self._ledger.unresolved()
        )

    async def _meet(self) -> None:
        """Learn the server's clock, and that the key works, before anything depends on either."""
        with suppress(NotFoundError):  # a gateway that has only what it needs
            await self._gate.insist(self._client.check_key, self._may_pass)

    def _may_pass(self, error: VoiceprintError) -> bool:
        """Return whether an error may pass by itself. A proxy that worked in this run may work again."""
        return error.retryable or (isinstance(error, ApiConnectionError) and self._accepted > 0)

    async def _await_leftovers(self) -> None:
        """Wait for the jobs of earlier runs: they are paid, and their outputs are deleted after a day."""
        after = 0
        while tasks := await self._ledger.submitted(after, _PAGE):
            after = tasks[-1].id
            for task in tasks:
                await self._room_to_wait.acquire()
                self._wait_for(task, str(task.job_id))
        with suppress(TimeoutError):
            if self._waits:
                async with deadline(self._clock, self._clock.time() + _PATIENCE):
                    await asyncio.wait(self._waits)

    # Rows to jobs

    async def _may_send(self) -> bool:
        most = self._options.max_jobs
        return not self._is_ending and (most is None or self._booked < most) and await self._ledger.has_pending()

    async def _send_all(self) -> None:
        """Send what is pending, until it is sent, or until it must be found out first what became of the last ones.

        Raises:
            VoiceprintError: nothing will succeed until somebody does something.
        """
        self._unknown_in_a_row, self._too_many_unknown = 0, False
        ahead = self._client._max_concurrency + _AHEAD
        self._sends = Results(self._feed(), self._send, lambda _item, _none, _error: None, ahead=ahead, waiting=ahead)
        try:
            async with self._sends as sends:
                async for _ in sends:
                    if self._error is not None:
                        raise self._error
        finally:
            self._sends = None

    async def _feed(self) -> AsyncGenerator[PendingRecording, None]:
        after, most = 0, self._options.max_jobs
        self._is_feeding = True
        try:
            while tasks := await self._ledger.pending(after, _PAGE):
                for task in tasks:
                    if self._must_find_out() or (most is not None and self._booked >= most):
                        return
                    await self._room_to_wait.acquire()
                    self._booked += 1
                    self.progress.sending += 1
                    after = task.id
                    yield task
        finally:
            self._is_feeding = False

    def _must_find_out(self) -> bool:
        if self._too_many_unknown:
            return True
        return self._unknown_since is not None and self._clock.time() - self._unknown_since > _OLDEST_UNKNOWN

    async def _send(self, item: BatchItem) -> None:
        task: PendingRecording = item.value
        is_waited_for, is_booked = False, False
        try:
            job = await self._sender.send(item, task)
            is_booked = True
            self._unknown_in_a_row = self._lost_rounds = 0
            is_waited_for = await self._accept(task, job)
        except VoiceprintError as error:
            what = meaning(error)
            if what is Meaning.UNKNOWN:
                is_booked = True
                self._note_unknown()
            elif what is Meaning.LATER:
                pass  # it is pending
            elif what is Meaning.ROW:
                await self._fail(task, str(error), error.reason if isinstance(error, RowError) else "refused")
            else:
                self._give_up(error)
                raise
        except Exception as defect:
            self._give_up(defect)
            raise
        finally:
            self.progress.sending -= 1
            self._booked -= not is_booked
            if not is_waited_for:
                self._room_to_wait.release()

    async def _accept(self, task: PendingRecording, job: JobCreated) -> bool:
        self._accepted += 1
        try:
            is_its_own = await self._ledger.record_job(task, job.job_id, self._clock.wall())
        except LedgerError:
            self._unsaved[job.job_id] = task
            raise
        if not is_its_own:
            self.progress.failed += len(task.labels)
            await self._stream.put(*(RowUncertain(label) for label in task.labels))
            return False
        self._wait_for(task, job.job_id, job.warning)
        await self._stream.put(*(RowSubmitted(label, job.job_id) for label in task.labels))
        return True

    def _note_unknown(self) -> None:
        self._unknown_in_a_row += 1
        self._too_many_unknown |= self._unknown_in_a_row >= _TOO_MANY_UNKNOWN
        if self._unknown_since is None:
            self._unknown_since = self._clock.time()

    async def _settle(self, *, uncertain_too: bool) -> None:
        """Find out what became of submissions that ended without an answer, in this run or an earlier one."""
        unresolved = [] if self._is_ending else await self._settling.unresolved(uncertain_too=uncertain_too)
        self._unknown_since = None
        if not unresolved:
            return
        await self._meet()
        if (left := self._settling.seconds_left(unresolved)) > 0:
            many = "a submission" if len(unresolved) == 1 else f"{len(unresolved)} submissions"
            self._pause(f"Nobody knows yet what became of {many}: a request that was cut off may still arrive.", left)
            await self._client._waits.sleep(left)
            await self._meet()
        settled = await self._gate.insist(lambda: self._settling.settle(unresolved), self._may_pass)
        self._resume()
        self._booked -= settled.unsent * (not uncertain_too)
        await self._recount()
        labels = await self._ledger.labels_of([*settled.uncertain, *(number for number, _ in settled.adopted)])
        for number in settled.uncertain:
            await self._stream.put(*(RowUncertain(label) for label in labels[number]))
        for number, voiceprint in settled.adopted:
            await self._stream.put(*(RowSucceeded(label, voiceprint) for label in labels[number]))
        if self._too_many_unknown:
            self._lost_rounds = 0 if settled.unsent else self._lost_rounds + 1
            if self._lost_rounds >= _TOO_MANY_LOST:
                raise EnrollmentError(
                    "The API seems to accept submissions whose answers do not arrive: jobs were made, and nobody knows "
                    "their ids. Nothing more is sent. Look at the network and at `pyannote-voiceprint jobs`, then run "
                    "again."
                )
            self._gate.shut("The API did not answer several submissions in a row.")

    # Jobs to voiceprints

    def _wait_for(self, task: PendingRecording, job_id: str, warning: str | None = None) -> None:
        self.progress.waiting += 1
        wait = asyncio.create_task(self._wait(task, job_id, warning))
        self._waits.add(wait)
        wait.add_done_callback(self._end_wait)

    def _end_wait(self, wait: asyncio.Task[None]) -> None:
        self._waits.discard(wait)
        self.progress.waiting -= 1
        self._room_to_wait.release()
        if not wait.cancelled() and (error := wait.exception()) is not None and self._error is None:
            # Nothing more will be read, or written: all of it ends.
            self._give_up(error)
            self._end_work()

    async def _wait(self, task: PendingRecording, job_id: str, warning: str | None) -> None:
        now = self._clock.wall
        try:
            job = await self._wait_patiently(job_id)
        except JobTimeoutError:
            return  # the next run takes it up
        except JobExpiredError as error:
            await self._ledger.record_expiry(task, str(error), now())
            await self._tell_failed(task, *(RowExpired(label, str(error)) for label in task.labels))
        except JobFailedError as error:
            await self._fail(task, f"The job failed: {error.message or 'the API gives no reason'}", "job-failed")
        except JobCanceledError:
            await self._fail(task, "The job was canceled.", "job-canceled")
        except JobError as error:
            await self._fail(task, str(error), "job-other")
        else:
            voiceprint = Voiceprint.of(job, task.model, warning)
            await self._ledger.record_voiceprint(task, voiceprint, now())
            self.progress.succeeded += len(task.labels)
            self.progress.finished_now += len(task.labels)
            await self._stream.put(*(RowSucceeded(label, voiceprint) for label in task.labels))

    async def _wait_patiently(self, job_id: str) -> VoiceprintJob:
        """Wait for a job. One of today cannot be deleted yet: where the API does not know it, the API is in trouble.

        Raises:
            JobTimeoutError: it is left to the next run.
            VoiceprintError: what `wait` raises.
        """
        until, given_up_at = self._clock.time() + OUTPUT_LIFETIME, float("inf")
        while True:
            try:
                return await self._client._wait_for_voiceprint(job_id, until)
            except JobExpiredError:
                accepted_at = await self._ledger.accepted_at(job_id)
                if accepted_at is None or self._timeline.now().earliest - accepted_at >= OUTPUT_LIFETIME:
                    raise
                given_up_at = min(given_up_at, self._clock.time() + _LONGEST_UNKNOWN)
                if self._clock.time() >= given_up_at:
                    raise JobTimeoutError(f"The API does not know job {job_id}.", job_id=job_id) from None
            await self._client._waits.sleep(_BETWEEN_UNKNOWN)

    async def _fail(self, task: PendingRecording, error: str, reason: str) -> None:
        await self._ledger.record_failure(task, error, reason, self._clock.wall())
        await self._tell_failed(task, *(RowFailed(label, error) for label in task.labels))

    # What it tells

    def _give_up(self, error: BaseException) -> None:
        """Keep the first error that ends the run, and report it at once: what is under way may take minutes to end."""
        if self._error is None:
            self._error = error
            self.progress.paused_for = str(error)
            self._stream.put_now(Stopping(str(error)))

    async def _tell_failed(self, task: PendingRecording, *events: Event) -> None:
        self.progress.failed += len(task.labels)
        self.progress.finished_now += len(task.labels)
        await self._stream.put(*events)

    def _on_gate(self, reason: str | None, seconds: float) -> None:
        if self._error is not None:
            return  # it ends: a pause more or less means nothing any more
        if reason is None:
            self._resume()
        else:
            self._pause(reason, seconds)

    def _on_ledger_waiting(self, is_waiting: bool) -> None:  # noqa: FBT001 - a callback
        if is_waiting:
            self._pause("Another program has the ledger locked, such as an SQLite browser. Close that program.", 0.0)
        else:
            self._resume()

    def _pause(self, reason: str, seconds: float) -> None:
        self.progress.paused_for = reason
        self._stream.put_now(Paused(reason, seconds))

    def _resume(self) -> None:
        if self.progress.paused_for is not None:
            self.progress.paused_for = None
            self._stream.put_now(Resumed())

    async def _recount(self) -> None:
        counts = await self._ledger.report()
        self.progress.total, self.progress.succeeded = counts.rows, counts.succeeded
        self.progress.failed = counts.failed + counts.expired + counts.uncertain

    async def _save_unsaved(self) -> None:
        """Save once more, all together: there may be room on the disk by now."""
        now = self._clock.wall()
        unsaved = list(self._unsaved.items())
        saving = (self._ledger.record_job(task, job_id, now) for job_id, task in unsaved)
        for (job_id, _), outcome in zip(unsaved, await asyncio.gather(*saving, return_exceptions=True), strict=True):
            if not isinstance(outcome, BaseException):
                del self._unsaved[job_id]

    async def _report(self) -> Report:
        try:
            known = await self._ledger.report()
        except LedgerError as error:
            # What could not be saved must be told all the same.
            self._error, known = self._error or error, Report()
        return attrs.evolve(
            known,
            invalid=self._loading.invalid,
            forgotten=self._loading.forgotten,
            replaced=self._loading.replaced,
            notes=tuple(self._loading.warnings),
            problems=tuple(self._loading.problems),
            jobs=self._accepted,
            unsaved_jobs={job_id: task.labels[0] for job_id, task in self._unsaved.items()},
            interrupted=self._interrupted,
            stopped_by=None if self._error is None else str(self._error),
        )

    @property
    def _is_ending(self) -> bool:
        return self._interrupted or self._error is not None
