"""Runs of `identify` over a ledger, on the fake clock: what is submitted, held, retried and counted."""

import asyncio

import attrs
import pytest

from pyannote_voiceprint_async import AsyncVoiceprintClient, IdentificationRequest, LedgerError, ServerError
from pyannote_voiceprint_async.enrollment.ledger import maintenance
from pyannote_voiceprint_async.enrollment.ledger.identifications import IdentificationStore
from pyannote_voiceprint_async.enrollment.ledger.snapshot import temporary_copy
from pyannote_voiceprint_async.enrollment.ledger.status import read_status
from pyannote_voiceprint_async.enrollment.options import Options
from pyannote_voiceprint_async.identification.ledger_run import LedgerRun, request_hash
from pyannote_voiceprint_async.models import ANY_URL
from pyannote_voiceprint_async.sandbox import Sandbox, voiceprint_of

REQUEST = IdentificationRequest(ANY_URL, {"Ada": voiceprint_of(b"ada"), "Bob": voiceprint_of(b"bob")})
TALK, OTHER, BROKEN = (f"https://example.com/{name}.wav" for name in ("talk", "other", "unreachable"))


@attrs.define
class Runs:
    """A sandbox, its client, and the path of a ledger."""

    clock: object
    sandbox: Sandbox
    client: AsyncVoiceprintClient
    path: object
    plan: object = None
    unsaved: list = attrs.field(factory=list)

    async def prepare(self, store, sources, requests, options):
        """Return a prepared run over an open store, and keep its plan."""
        await store.open()
        await store.claim("https://api", "key")
        run = LedgerRun(self.client, store, sources, requests, Options(**options), timeout=3600.0)
        self.plan = await run.prepare()
        return run

    async def identify(self, *urls, requests=(REQUEST,), change=None, **options):
        """Run to the end; return the result or the error of each job, in order."""
        store, ended = IdentificationStore(self.path), {}
        try:
            run = await self.prepare(store, [(url, 30.0) for url in urls], requests, options)
            if change is not None:
                change(store)
            async with self.clock.running(self.client):
                async for outcome in run.outcomes():
                    ended[outcome.job.recording, outcome.job.row] = outcome.error or outcome.identification
        finally:
            self.unsaved = run.unsaved
            await store.aclose()
        return [ended[key] for key in sorted(ended)]

    async def plan_of(self, *urls, **options):
        """Return the plan of a dry run, which does not change the ledger."""
        async with temporary_copy(self.path) as copy:
            store = IdentificationStore(copy)
            await self.prepare(store, [(url, 30.0) for url in urls], [REQUEST], options)
            await store.aclose()
        return self.plan

    async def report(self):
        return (await asyncio.to_thread(read_status, self.path)).identifications

    async def accept(self, row, job_id):
        await asyncio.to_thread(maintenance.accept, self.path, row, job_id)

    @property
    def jobs(self):
        return [job.id for job in self.sandbox.accepted]


@pytest.fixture
async def runs(start, clock, tmp_path) -> Runs:
    sandbox = await start(Sandbox(now=clock.wall, sleep=clock.sleep, window="none", job_seconds=1.0))
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, clock=clock))
    return Runs(clock, sandbox, client, tmp_path / "names.ledger")


async def test_results_are_not_paid_again_and_the_plan_says_so(runs):
    await runs.identify(TALK)
    assert (runs.plan.counts.jobs, runs.plan.billed_seconds) == (1, 30)
    plan = await runs.plan_of(TALK, OTHER)
    assert (plan.counts.rows, plan.counts.succeeded, plan.counts.jobs, plan.billed_seconds) == (2, 1, 1, 30)
    assert plan.counts.is_complete
    earlier, new = await runs.identify(TALK, OTHER)
    assert runs.plan == plan
    assert [earlier.job_id, new.job_id] == runs.jobs


# Failed


async def test_a_failed_identification_stays_failed_until_retry_failed(runs):
    [failed] = await runs.identify(BROKEN)
    for retry in (None, "another reason"):
        plan = await runs.plan_of(BROKEN, retry_failed=retry)
        assert (plan.counts.failed, plan.counts.jobs, plan.counts.is_complete) == (1, 0, False)
        [again] = await runs.identify(BROKEN, retry_failed=retry)
        assert (runs.plan, again.job_id, again.outcome_unknown) == (plan, failed.job_id, False)
        assert str(again) == f"{failed} To submit the recording again when the cause is fixed, add --retry-failed."
    assert len(runs.jobs) == 1
    for text in ("", "COULD NOT LOAD"):
        assert (await runs.plan_of(BROKEN, retry_failed=text)).counts.jobs == 1
        await runs.identify(BROKEN, retry_failed=text)
    report = await runs.report()
    assert len(runs.jobs) == 3
    assert (report.jobs_ever, report.failed_jobs_ever, report.billed_seconds) == (3, 3, 0)


async def test_the_job_of_a_failed_identification_is_still_known(runs):
    await runs.identify(BROKEN)
    await runs.identify(BROKEN, retry_failed="")
    store = IdentificationStore(runs.path)
    await store.open()
    known = await store.known_jobs([*runs.jobs, "unknown"])
    await store.aclose()
    assert list(known) == runs.jobs
    assert {model for _, model in known.values()} == {"precision-2"}


async def test_a_refused_identification_is_failed_and_costs_nothing(runs):
    bad = attrs.evolve(REQUEST, model="precision-9")
    [refused] = await runs.identify(TALK, requests=[bad])
    assert refused.status == 400
    [again] = await runs.identify(TALK, requests=[bad])
    assert "--retry-failed" in str(again)
    report = await runs.report()
    assert (report.failed, report.jobs_ever, runs.jobs) == (1, 0, [])


# Expired


async def test_an_expired_identification_is_paid_again_only_with_retry_expired(runs):
    run_ended = asyncio.Event()

    def stop_before_the_result(store):
        async def fail(*_):
            run_ended.set()
            raise LedgerError("the disk is gone")

        store.record_row_result = fail

    with pytest.raises(LedgerError):
        await runs.identify(TALK, change=stop_before_the_result)
    assert run_ended.is_set()
    runs.clock.jump(runs.clock.time() + 25 * 3600.0)
    plan = await runs.plan_of(TALK)
    assert (plan.counts.submitted, plan.counts.overdue, plan.counts.is_complete) == (1, 1, False)
    await runs.identify(TALK)
    [expired] = await runs.identify(TALK)
    assert "add --retry-expired" in str(expired)
    assert (runs.plan.counts.expired, expired.job_id) == (1, runs.jobs[0])
    assert (await runs.plan_of(TALK, retry_expired=True)).counts.jobs == 1
    [done] = await runs.identify(TALK, retry_expired=True)
    report = await runs.report()
    assert done.job_id == runs.jobs[1]
    # The expired job is billed, too.
    assert (report.succeeded, report.jobs_ever, report.billed_jobs, report.billed_seconds) == (1, 2, 2, 60)


# Unknown outcomes


async def test_a_held_identification_is_continued_with_its_accepted_job(runs):
    runs.sandbox.fail_next("drop-after-accept", operation="identify")
    [held] = await runs.identify(TALK)
    plan = await runs.plan_of(TALK)
    assert (plan.counts.unresolved, plan.counts.jobs, plan.counts.possible_jobs) == (1, 0, 1)
    [again] = await runs.identify(TALK)
    assert (held.outcome_unknown, str(held)) == (True, str(again))
    row = str(held).split("ledger accept ")[1].split()[1]
    assert f"ledger accept {runs.path} {row} JOB_ID" in str(held)
    assert (await runs.report()).uncertain == 1
    [job_id] = runs.jobs
    await runs.accept(row, job_id)
    await runs.accept(row, job_id)  # changes nothing
    assert ((await runs.report()).submitted, (await runs.report()).jobs_of_unknown_length) == (1, 1)
    [done] = await runs.identify(TALK)
    report = await runs.report()
    assert (done.job_id, runs.jobs) == (job_id, [job_id])
    assert (report.succeeded, report.jobs_ever, report.billed_seconds, report.jobs_of_unknown_length) == (1, 1, 30, 0)
    # The job was an unknown one until it was accepted.
    assert (await asyncio.to_thread(read_status, runs.path)).report.unknown_jobs == 0


async def test_resubmit_submits_a_held_identification_once_more(runs):
    runs.sandbox.fail_next("drop-after-accept", operation="identify")
    await runs.identify(TALK)
    plan = await runs.plan_of(TALK, on_unknown="resubmit")
    assert (plan.counts.resubmitted, plan.counts.jobs, plan.billed_seconds) == (1, 1, 30)
    [done] = await runs.identify(TALK, on_unknown="resubmit")
    assert (done.job_id, len(runs.jobs)) == (runs.jobs[1], 2)
    assert (await asyncio.to_thread(read_status, runs.path)).report.possibly_paid_twice == 1


async def test_resubmit_sends_again_in_the_same_run_and_only_once(runs):
    runs.sandbox.fail_next(["drop-after-accept"] * 2, operation="identify")
    [lost] = await runs.identify(TALK, on_unknown="resubmit")
    assert (lost.outcome_unknown, len(runs.jobs)) == (True, 2)
    assert (await runs.report()).unresolved == 1


async def test_a_submission_that_was_not_accepted_is_sent_again_in_the_same_run(runs):
    await runs.identify(OTHER)  # the list of jobs is trusted if it has a job of ours
    runs.sandbox.fail_next("drop-before-read", operation="identify")
    [done] = await runs.identify(TALK)
    assert done.job_id == runs.jobs[-1]
    assert len(runs.jobs) == 2


async def test_an_unknown_outcome_is_reported_if_it_cannot_be_resolved(runs):
    """The API fails after the submission."""
    runs.sandbox.fail_next("drop-after-accept", operation="identify")
    runs.sandbox.fail_next(["server-error"] * 50, operation="test")
    ended = []
    store = IdentificationStore(runs.path)
    run = await runs.prepare(store, [(TALK, 30.0)], [REQUEST], {})
    with pytest.raises(ServerError):
        async with runs.clock.running(runs.client):
            async for outcome in run.outcomes():
                ended.append(outcome)
    await store.aclose()
    assert [outcome.error.outcome_unknown for outcome in ended] == [True]


# Files


async def test_a_file_that_changes_before_its_upload_is_not_submitted_as_another_recording(runs, tmp_path):
    path = tmp_path / "talk.wav"
    path.write_bytes(b"first")
    [changed] = await runs.identify(path, change=lambda _: path.write_bytes(b"second"))
    assert (str(changed), runs.jobs) == (
        "The audio file changed during the run. Run again: the new file is then checked.",
        [],
    )
    [done] = await runs.identify(path)
    assert [done.job_id] == runs.jobs


# Job ids that cannot be saved


async def test_an_unsaved_job_is_reported_and_can_be_fed_back(runs):
    def fill_disk(store):
        async def fail(*_):
            raise LedgerError("The disk is full.")

        store.record_row_job = fail

    with pytest.raises(LedgerError, match="full"):
        await runs.identify(TALK, change=fill_disk)
    [unsaved] = runs.unsaved
    assert [unsaved.job_id] == runs.jobs
    await runs.accept(unsaved.row.name, unsaved.job_id)
    [done] = await runs.identify(TALK)
    assert [done.job_id] == runs.jobs


async def test_an_unsaved_job_is_saved_at_the_end_if_the_disk_has_room_by_then(runs):
    def fail_once(store):
        record, calls = store.record_row_job, []

        async def record_later(*values):
            calls.append(values)
            if len(calls) == 1:
                raise LedgerError("The disk is full.")
            return await record(*values)

        store.record_row_job = record_later

    with pytest.raises(LedgerError, match="full"):
        await runs.identify(TALK, change=fail_once)
    assert runs.unsaved == []
    assert (await runs.report()).submitted == 1


async def test_a_run_is_alive_in_the_status_until_it_ends(runs):
    store, seen = IdentificationStore(runs.path), []
    run = await runs.prepare(store, [(TALK, 30.0)], [REQUEST], {})

    async def look(*_):
        seen.append((await asyncio.to_thread(read_status, runs.path)).is_alive)

    run.on_submitted = look
    async with runs.clock.running(runs.client):
        assert [outcome.error async for outcome in run.outcomes()] == [None]
    await store.aclose()
    status = await asyncio.to_thread(read_status, runs.path)
    assert (seen, status.is_alive, status.run.ended_at is not None) == ([True], False, True)


def test_the_order_of_the_labels_does_not_matter_and_every_field_does():
    voiceprints = {"Ada": "YQ==", "Bob": "Yg=="}
    request = IdentificationRequest(ANY_URL, voiceprints)
    turned = IdentificationRequest(ANY_URL, dict(reversed(voiceprints.items())))
    assert request_hash(request) == request_hash(turned)
    assert request_hash(request) != request_hash(IdentificationRequest(ANY_URL, voiceprints, num_speakers=2))
    assert request_hash(request) != request_hash(IdentificationRequest(ANY_URL, {"Ada": "YQ==", "Bob": "YQ=="}))
