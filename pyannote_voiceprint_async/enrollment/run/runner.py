"""One run, step by step, from the list of rows to the report."""

import asyncio
import inspect
from collections.abc import AsyncIterable, Iterable
from contextlib import suppress
from datetime import UTC, datetime

import attrs

from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.enrollment.events import (
    Finished,
    Progress,
    Report,
    RowSkipped,
    RowSucceeded,
    RowUncertain,
    RunPlanned,
)
from pyannote_voiceprint_async.enrollment.ledger.staging import Staging
from pyannote_voiceprint_async.enrollment.ledger.store import LedgerStore
from pyannote_voiceprint_async.enrollment.manifest.rows import Problem, Row
from pyannote_voiceprint_async.enrollment.options import Options
from pyannote_voiceprint_async.enrollment.plan import RunPlan
from pyannote_voiceprint_async.errors import (
    ApiConnectionError,
    EnrollmentError,
    LedgerError,
    NotFoundError,
    SubscriptionRequiredError,
    VoiceprintError,
)

from .context import RunContext
from .forecast import Forecast
from .job_waits import JobWaits
from .outcome_resolver import OutcomeResolver, Resolution
from .planning import make_plan
from .row_source import stage_rows
from .state_writer import StateWriter
from .submissions import PendingSubmissions

__all__ = ["EnrollmentRun"]

# The longest wait for the jobs of earlier runs before new rows are sent, and, in a team without credit, for the jobs in
# progress before the run ends.
_WAIT_TIMEOUT = 900.0
_PAGE = 256


class EnrollmentRun:
    """Executes one run, from the list to the report.

    Args:
        client: the client.
        rows: the list.
        ledger: the ledger.
        options: the options of `enroll`.
        owns_ledger: whether the run opens and closes the ledger.
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
        self.report: Report | None = None
        """The result of the run, once it is over; None if it failed before the list was staged."""
        self.is_stopped = False
        """Whether the caller stopped the run."""
        self._client = client
        self._rows = rows
        self._ledger = ledger
        self._options = options
        self._owns_ledger = owns_ledger
        self._clock = client.engine.clock
        self._context = RunContext.create(client, ledger, options)
        self.reporter = self._context.reporter
        """Events and progress."""
        self._forecast = Forecast(client, self.reporter)
        self._state = StateWriter(ledger, self._clock, lambda: self.progress)
        self._staging = Staging.for_run(ledger, options)
        self._waits = JobWaits(self._context, self._on_wait_error)
        self._submissions = PendingSubmissions(self._context, self._waits)
        self._resolver = OutcomeResolver(client, ledger, options.on_unknown, self._context.timeline)
        self._work: asyncio.Task[None] | None = None
        self._stop_task: asyncio.Task[None] | None = None
        self._is_staged = self._has_ledger = False
        self._started_at = self._clock.wall()

    @property
    def progress(self) -> Progress:
        """How far the run is."""
        progress = self._forecast.update(self._submissions.unsent)
        progress.read, progress.checking = self._staging.rows_read, self._staging.checking
        return progress

    def stop(self) -> None:
        """Send nothing new, finish the submissions in flight, and leave the jobs to the next run."""
        if not self.is_stopped:
            self.is_stopped = True
            self._ledger.shorten_lock_waits()
            self._stop_work()
            self._waits.cancel()

    async def run(self) -> None:
        """Do the work, stop the waits, write the job ids that could not be written before, and report."""
        self._started_at = self._clock.wall()
        self._work = asyncio.create_task(self._do_work())
        try:
            await asyncio.wait([self._work])
            if not self._work.cancelled() and (error := self._work.exception()) is not None:
                self.reporter.record_error(error)
            await self._stop_waits()
            if self._is_staged:
                await self._submissions.save_unsaved()
                self.report = await self._build_report()
                await self.reporter.events.put(Finished(self.report))
        except Exception as error:  # noqa: BLE001 - raised out of the iteration
            self.reporter.record_error(error)
        finally:
            self._work.cancel()
            await self._release_ledger()

    async def _do_work(self) -> None:
        """Read the list, finish what earlier runs left, then submit the pending rows and wait for their jobs."""
        await self._acquire_ledger()
        if await self._stage():
            await self._check_key()
            await self._wait_for_leftovers()
            await self._resolve_outcomes(of_earlier_runs=True)
        while not self._is_stopping and await self._submissions.has_more():
            await self._submissions.send_pending()
            await self._resolve_outcomes(of_earlier_runs=False)
        await self._waits.join()

    # The ledger

    async def _acquire_ledger(self) -> None:
        if self._owns_ledger:
            await self._ledger.open()
        self._ledger.acquire()
        self._has_ledger = True
        self._ledger.on_lock_wait = self.reporter.on_ledger_wait
        self.reporter.on_pause, self.reporter.on_write = self._state.write, self._state.update
        self._state.start()

    async def _release_ledger(self) -> None:
        if self._has_ledger:
            self.reporter.on_pause = self.reporter.on_write = self._ledger.on_lock_wait = None
            self._state.end(self.reporter.error)
            self._ledger.release()
        if self._owns_ledger:
            await self._ledger.aclose()

    async def _stage(self) -> bool:
        """Read the list into the ledger, and return whether any row still needs the API."""
        options = self._options
        base_url = options.origin or self._client.engine.base_url
        await self._ledger.claim(base_url, self._client.engine.api_key, new_key=options.new_key)
        self._state.write()
        await stage_rows(self._staging, self._rows)
        now = self._clock.wall()
        await self._staging.apply(now=now, retry_failed=options.retry_failed, retry_expired=options.retry_expired)
        self._is_staged = True
        self._context.refusals.accepted_earlier = await self._ledger.newest_job() is not None
        await self._recount()
        plan = await make_plan(self._client, self._ledger, self._staging, options, now)
        await self.reporter.events.put(*map(RowSkipped, plan.problems), *plan.warnings, RunPlanned(plan))
        await self._agree(plan)
        return bool(
            await self._ledger.has_pending()
            or await self._ledger.submitted(0, 1)
            or await self._ledger.unknown_outcomes()
        )

    async def _agree(self, plan: RunPlan) -> None:
        """Record that the list is begun, once the caller confirms the plan: the rest of it needs no second consent.

        Raises:
            EnrollmentError: the caller declined.
        """
        if (confirm := self._options.confirm) is not None:
            confirmed = confirm(plan)
            if not (await confirmed if inspect.isawaitable(confirmed) else confirmed):
                raise EnrollmentError("Nothing was sent: the plan of the run was not confirmed.")
        await self._ledger.agree_to_jobs(plan.jobs + plan.possible_jobs + plan.left)

    async def _recount(self) -> None:
        counts, progress = await self._ledger.report(), self.reporter.progress
        progress.total, progress.succeeded = counts.rows, counts.succeeded
        progress.failed = counts.failed + counts.expired + counts.uncertain
        await self._submissions.count_unsent()

    # The steps before and between submissions

    async def _check_key(self) -> None:
        """Check the key, and record the server's time from the response, before other steps depend on them."""
        with suppress(NotFoundError):  # a gateway may serve only the endpoints that its users need
            await self._context.breaker.call(self._client.check_key, self._is_transient)

    def _is_transient(self, error: VoiceprintError) -> bool:
        """Return whether a repeated request may succeed. A proxy that worked in this run may work again."""
        return error.retryable or (isinstance(error, ApiConnectionError) and self._context.refusals.accepted > 0)

    async def _wait_for_leftovers(self) -> None:
        """Wait for the jobs of earlier runs first: they are billed, and their results expire after a day."""
        after = 0
        while recordings := await self._ledger.submitted(after, _PAGE):
            after = recordings[-1].id
            for recording in recordings:
                await self._waits.reserve()
                self._waits.start(recording, str(recording.job_id))
        await self._waits.join(self._clock.time() + _WAIT_TIMEOUT)

    async def _resolve_outcomes(self, *, of_earlier_runs: bool) -> None:
        """Resolve the submissions of unknown outcome.

        Args:
            of_earlier_runs: whether to include rows that earlier runs could not resolve.
        """
        unresolved = [] if self._is_stopping else await self._resolver.unresolved(of_earlier_runs=of_earlier_runs)
        self._context.unknown_outcomes.begin_resolving()
        if not unresolved:
            return
        await self._check_key()
        if (seconds := self._resolver.seconds_left(unresolved)) > 0:
            submissions = "a submission" if len(unresolved) == 1 else f"{len(unresolved)} submissions"
            reason = f"The outcome of {submissions} is unknown: a request that was cut off may still arrive."
            self.reporter.pause(reason, seconds)
            await self._client.engine.sleep(seconds)
            await self._check_key()
        resolution = await self._context.breaker.call(lambda: self._resolver.resolve(unresolved), self._is_transient)
        self.reporter.resume()
        if not of_earlier_runs:
            self._submissions.subtract_not_accepted(resolution.not_accepted)
        await self._recount()
        await self._report_resolution(resolution)
        self._check_for_lost_responses(resolution)

    async def _report_resolution(self, resolution: Resolution) -> None:
        adopted = dict(resolution.adopted)
        labels = await self._ledger.labels_of([*resolution.uncertain, *adopted])
        for number in resolution.uncertain:
            await self.reporter.events.put(*(RowUncertain(label) for label in labels[number]))
        for number, voiceprint in adopted.items():
            await self.reporter.events.put(*(RowSucceeded(label, voiceprint) for label in labels[number]))

    def _check_for_lost_responses(self, resolution: Resolution) -> None:
        unknown = self._context.unknown_outcomes
        unknown.record_resolution(resolution.not_accepted)
        if unknown.has_lost_responses:
            raise EnrollmentError(
                "The API seems to accept submissions whose responses do not arrive: jobs were created, and their ids "
                "are unknown. Nothing more is sent. Check the network and `pyannote-voiceprint jobs`, then run again.",
                outcome_unknown=True,
            )
        if unknown.has_too_many:
            self._context.breaker.record_failure("The API did not respond to several submissions in a row.")

    # Stopping

    @property
    def _is_stopping(self) -> bool:
        return self.is_stopped or self.reporter.error is not None

    def _on_wait_error(self, error: BaseException) -> None:
        if self.reporter.error is None:
            self.reporter.report_error(error)
            self._stop_work()

    def _stop_work(self) -> None:
        """Start nothing new, and finish the submissions in flight in a task of their own."""
        if self._stop_task is None:
            self._stop_task = asyncio.create_task(self._finish_submissions_and_cancel())

    async def _finish_submissions_and_cancel(self) -> None:
        await self._submissions.aclose()
        if self._work is not None:
            self._work.cancel()

    async def _stop_waits(self) -> None:
        """Leave the jobs to the next run. Without credit (402), wait for them first: results can still be fetched."""
        if isinstance(self.reporter.error, SubscriptionRequiredError) and not self.is_stopped:
            await self._waits.join(self._clock.time() + _WAIT_TIMEOUT)
        await self._waits.aclose()

    async def _build_report(self) -> Report:
        try:
            report = await self._ledger.report()
        except LedgerError as error:
            # Jobs that could not be saved must be reported even when the ledger can no longer be read.
            self.reporter.record_error(error)
            report = Report()
        return attrs.evolve(
            report,
            invalid=self._staging.invalid,
            forgotten=self._staging.forgotten,
            replaced=self._staging.replaced,
            warnings=tuple(self._staging.warnings),
            problems=tuple(self._staging.problems),
            jobs=self._context.refusals.accepted,
            failed_jobs=self._context.results.failed_jobs,
            price=self._options.price,
            started_at=datetime.fromtimestamp(self._started_at, UTC),
            finished_at=datetime.fromtimestamp(self._clock.wall(), UTC),
            unsaved_jobs={job_id: recording.labels[0] for job_id, recording in self._submissions.unsaved.items()},
            interrupted=self.is_stopped,
            stopped_by=None if self.reporter.error is None else str(self.reporter.error),
        )
