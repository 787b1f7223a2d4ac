"""The submissions of a run: models, `max_jobs`, and job ids that cannot be recorded."""

import sqlite3
import uuid

import pytest
from enrollment_world import people, url

from pyannote_voiceprint_async import (
    LedgerError,
)
from pyannote_voiceprint_async.enrollment import (
    Row,
)
from pyannote_voiceprint_async.enrollment.ledger.database import Database


async def test_a_row_without_a_model_uses_the_model_of_the_run(world):
    rows = [Row("a", url(1), "precision-2"), Row("b", url(1)), Row("c", url(2))]
    await world.enroll(rows, model="precision-3", allow_shared_audio=True)
    assert sorted(job.model for job in world.sandbox.accepted) == ["precision-2", "precision-3", "precision-3"]


async def test_max_jobs_limits_the_submitted_jobs(world):
    report = await world.enroll(people(10), max_jobs=3)
    assert (report.jobs, report.succeeded, report.pending, len(world.sandbox.accepted)) == (3, 3, 7, 3)
    report = await world.enroll(people(10))
    assert (report.succeeded, len(world.sandbox.accepted)) == (10, 10)


async def test_a_job_id_that_arrives_twice_belongs_to_one_row_only(world, monkeypatch):
    """A proxy that repeats an earlier response must not give one voice two names."""
    monkeypatch.setattr(uuid, "uuid4", lambda: uuid.UUID(int=1))
    report = await world.enroll(people(2))
    assert (report.succeeded, report.uncertain) == (1, 1)


async def test_a_full_disk_stops_the_run_and_the_report_keeps_unsaved_job_ids(world, monkeypatch):
    real, refused = Database._commit, 0

    def commit(self, works):
        nonlocal refused
        if refused or len(world.sandbox.accepted) >= 10:
            refused += 1
            raise sqlite3.OperationalError("database or disk is full")
        return real(self, works)

    monkeypatch.setattr(Database, "_commit", commit)
    with pytest.raises(LedgerError, match="disk is full"):
        await world.enroll(people(50))
    report = world.events[-1].report
    known = {job_id for (job_id,) in world.ask("SELECT job_id FROM jobs")}
    assert report.unsaved_jobs.keys() | known == {job.id for job in world.sandbox.accepted}
    assert report.unsaved_jobs.keys().isdisjoint(known)
    monkeypatch.undo()
    before = len(world.sandbox.accepted)
    report = await world.enroll(people(50))
    assert report.succeeded + report.uncertain == 50
    assert len(world.sandbox.accepted) == before + 50 - len(known) - report.uncertain
