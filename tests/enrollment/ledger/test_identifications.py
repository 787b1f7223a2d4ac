"""The identifications of a ledger: their rows, their jobs, and their counts."""

import asyncio
from contextlib import closing

import pytest
from enrollment_world import people

from pyannote_voiceprint_async import LedgerError
from pyannote_voiceprint_async.enrollment.ledger import maintenance
from pyannote_voiceprint_async.enrollment.ledger.checksums import find_damage
from pyannote_voiceprint_async.enrollment.ledger.connection import open_writable
from pyannote_voiceprint_async.enrollment.ledger.identification_report import IdentificationReport
from pyannote_voiceprint_async.enrollment.ledger.identifications import IdentificationKey, IdentificationStore
from pyannote_voiceprint_async.enrollment.ledger.schema import STEPS
from pyannote_voiceprint_async.enrollment.ledger.snapshot import copy_ledger
from pyannote_voiceprint_async.enrollment.ledger.status import read_status

KEYS = [IdentificationKey(f"sha256:{number}", "request", "precision-2", 90.0) for number in range(3)]


@pytest.fixture
async def store(tmp_path):
    opened = IdentificationStore(tmp_path / "speakers.ledger")
    await opened.open()
    yield opened
    await opened.aclose()


async def submitted(store, *, job="job-{}"):
    """Return the rows, each with a job."""
    rows = await store.rows(KEYS)
    for row in rows:
        await store.record_intent(row, 1.0, 2.0)
        assert await store.record_row_job(row.id, job.format(row.id), 2.0, 90.0)
    return await store.rows(KEYS)


def report_of(store) -> IdentificationReport:
    return read_status(store.path).identifications


async def test_the_rows_of_the_same_keys_are_the_same_and_each_is_in_one_state(store):
    failed, expired, done = await submitted(store)
    await store.record_row_failure(failed.id, "No speech", 3.0, is_free=True)
    await store.record_row_expiry(expired.id, "It is gone", 3.0)
    await store.record_row_result(done.id, '{"job_id": "job-3"}', 3.0)
    rows = await store.rows(KEYS)
    assert [(row.state, row.job_id, row.error) for row in rows] == [
        ("failed", "job-1", "No speech"), ("expired", "job-2", "It is gone"), ("succeeded", "job-3", None),
    ]  # fmt: skip
    assert (rows[2].result, rows[0].name) == ({"job_id": "job-3"}, failed.name)
    assert len({row.name for row in rows}) == 3
    report = await asyncio.to_thread(report_of, store)
    assert report == IdentificationReport(
        rows=3, failed=1, expired=1, succeeded=1, jobs_ever=3, failed_jobs_ever=1, billed_seconds=180
    )


async def test_a_retried_row_gets_another_job_and_its_first_job_stays_known_and_counted(store):
    failed, expired, _ = await submitted(store)
    await store.record_row_failure(failed.id, "No speech", 3.0, is_free=True)
    await store.record_row_expiry(expired.id, "It is gone", 3.0)
    rows = await store.rows(KEYS, retry_failed="no SPEECH", retry_expired=True)
    assert [(row.state, row.job_id) for row in rows] == [("pending", None), ("pending", None), ("submitted", "job-3")]
    assert (await store.known_jobs(["job-1", "job-2", "job-9"])) == {
        "job-1": (2.0, "precision-2"), "job-2": (2.0, "precision-2"),
    }  # fmt: skip
    for row in rows[:2]:
        assert await store.record_row_job(row.id, f"second-{row.id}", 4.0)
    report = await asyncio.to_thread(report_of, store)
    assert (report.jobs_ever, report.billed_jobs, report.billed_seconds) == (5, 4, 180)
    assert report.jobs_of_unknown_length == 2
    await store.rows(KEYS)  # fills in the lengths
    assert (await asyncio.to_thread(report_of, store)).billed_seconds == 360


async def test_a_job_belongs_to_one_row_of_either_kind(world):
    await world.enroll(people(1))
    [(voiceprint_job,)] = world.ask("SELECT job_id FROM jobs")
    store = IdentificationStore(world.path)
    await store.open()
    first, second, third = await store.rows(KEYS)
    assert await store.record_row_job(first.id, "job-1", 2.0)
    assert not await store.record_row_job(second.id, "job-1", 2.0)
    assert not await store.record_row_job(third.id, voiceprint_job, 2.0)
    assert [row.state for row in await store.rows(KEYS)] == ["submitted", "uncertain", "uncertain"]
    await store.aclose()
    world.ask("UPDATE recordings SET state = 'pending', job_id = NULL")
    for label, job_id in (("person 0", "job-1"), (second.name, voiceprint_job), (second.name, "job-1")):
        with pytest.raises(LedgerError, match="belongs to another row"):
            await asyncio.to_thread(maintenance.accept, world.path, label, job_id)


async def test_accept_records_the_job_of_an_identification_and_refuses_a_second_one(store):
    first, *_ = await store.rows(KEYS)
    await store.resolve_uncertain([first.id])
    await store.record_unknown_jobs([("job-1", 2.0)])
    await store.aclose()
    await asyncio.to_thread(maintenance.accept, store.path, first.name, " job-1 ")
    status = await asyncio.to_thread(read_status, store.path)
    assert (status.identifications.submitted, status.identifications.jobs_ever) == (1, 1)
    assert status.report.unknown_jobs == 0
    with pytest.raises(LedgerError, match="has another job already, whose state is submitted"):
        await asyncio.to_thread(maintenance.accept, store.path, first.name, "job-2")
    with pytest.raises(LedgerError, match="no such label"):
        await asyncio.to_thread(maintenance.accept, store.path, "identification:000000000000", "job-2")


async def test_forget_erases_a_result_with_the_label_and_keeps_its_job(world):
    await world.enroll(people(1))
    store = IdentificationStore(world.path)
    await store.open()
    *_, done = await submitted(store)
    await store.record_row_result(done.id, '{"scores": {"person 0": 70.0}}', 3.0)
    await store.aclose()
    await asyncio.to_thread(maintenance.forget, world.path, ["person 0"])
    report = await asyncio.to_thread(report_of, store)
    assert (report.rows, report.succeeded, report.jobs_ever, report.billed_seconds) == (2, 0, 3, 270)


async def test_forget_finds_a_person_who_is_only_in_results(store):
    first, second, _ = await submitted(store)
    await store.record_row_result(first.id, '{"scores": {"Jos\u00e9": 70.0}}', 3.0)
    await store.record_row_result(second.id, '{"scores": {"Josephine": 70.0}}', 3.0)
    await store.aclose()
    forgotten = await asyncio.to_thread(maintenance.forget, store.path, ["Jose\u0301", "Jo"])
    assert (forgotten.labels, forgotten.unknown) == (["Jos\u00e9"], ["Jo"])
    assert (await asyncio.to_thread(report_of, store)).rows == 2
    again = await asyncio.to_thread(maintenance.forget, store.path, ["Jos\u00e9"])
    assert again.labels == ["Jos\u00e9"]


async def test_the_copy_of_a_dry_run_has_the_states_and_the_jobs_without_the_results(store, tmp_path):
    *_, done = await submitted(store)
    await store.record_row_result(done.id, '{"scores": {"Ada": 70.0}}', 3.0)
    await store.aclose()
    copy = tmp_path / "copy.ledger"
    await asyncio.to_thread(copy_ledger, store.path, copy)
    assert (await asyncio.to_thread(read_status, copy)).identifications == await asyncio.to_thread(report_of, store)
    assert b"Ada" not in copy.read_bytes()


def test_the_jobs_of_an_earlier_version_are_kept(tmp_path):
    path, before = tmp_path / "earlier.ledger", [step.name for step in STEPS].index("jobs of identifications")
    with closing(open_writable(path, create=True, steps=STEPS[:before])) as connection:
        connection.executemany(
            "INSERT INTO identifications (identity, request, model, state, job_id, accepted_at) "
            "VALUES (?, 'request', 'precision-2', ?, ?, 2.0)",
            [("a", "succeeded", "job-1"), ("b", "failed", "job-2"), ("c", "pending", None)],
        )
    earlier = read_status(path).identifications
    with closing(open_writable(path)) as connection:
        assert find_damage(connection) is None
    assert read_status(path).identifications == earlier
    assert (earlier.jobs_ever, earlier.failed_jobs_ever, earlier.jobs_of_unknown_length) == (2, 1, 1)
