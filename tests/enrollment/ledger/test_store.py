"""One run per ledger, and an intent only if nothing was sent before."""

import asyncio
import contextlib
import os
import sqlite3

import pytest
from enrollment_world import people

from pyannote_voiceprint_async import LedgerError, LedgerInUseError
from pyannote_voiceprint_async.enrollment import Ledger, Paused, Row
from pyannote_voiceprint_async.enrollment.ledger import database as database_room
from pyannote_voiceprint_async.enrollment.ledger.staging import Staging
from pyannote_voiceprint_async.enrollment.ledger.store import LedgerStore


@pytest.fixture
async def ledger(tmp_path):
    async with Ledger(tmp_path / "x.ledger") as opened:
        ledger = opened.store
        await ledger.claim("https://api.example", "key")
        staging = Staging(ledger, "precision-2")
        await staging.stage([Row("Ada", "https://e.com/a.wav")])
        await staging.apply(now=1.0)
        yield ledger


async def only_task(ledger):
    [task] = await ledger.pending(0, 9)
    return task


async def test_an_intent_is_recorded_for_a_pending_row_only(ledger):
    task = await only_task(ledger)
    await ledger.record_intent(task, 1.0, 2.0)
    with pytest.raises(LedgerError, match="no longer pending"):
        await ledger.record_intent(task, 1.5, 2.5)
    await ledger.record_job(task, "job", 3.0)
    with pytest.raises(LedgerError, match="no longer pending"):
        await ledger.record_intent(task, 1.0, 2.0)


async def test_a_request_that_was_never_sent_is_repeated_under_its_intent(ledger):
    task = await only_task(ledger)
    await ledger.record_intent(task, 1.0, 2.0)
    await ledger.record_intent(task, 1.0, 7.0)
    [outcome] = await ledger.unknown_outcomes()
    assert (outcome.intended_from, outcome.intended_until) == (1.0, 7.0)


async def test_a_withdrawn_intent_may_be_followed_by_another(ledger):
    task = await only_task(ledger)
    await ledger.record_intent(task, 1.0, 2.0)
    ledger.withdraw_intent_later(task)
    await ledger.record_intent(task, 5.0, 6.0)
    assert [one.intended_from for one in await ledger.unknown_outcomes()] == [5.0]


async def test_a_row_that_was_withdrawn_a_moment_ago_has_no_unknown_outcome(ledger):
    task = await only_task(ledger)
    await ledger.record_intent(task, 1.0, 2.0)
    ledger.withdraw_intent_later(task)
    assert await ledger.unknown_outcomes() == []


async def test_a_row_with_a_job_is_never_held(ledger):
    task = await only_task(ledger)
    await ledger.record_intent(task, 1.0, 2.0)
    await ledger.record_job(task, "job", 3.0)
    await ledger.resolve_uncertain([task.id])
    assert [one.job_id for one in await ledger.submitted(0, 9)] == ["job"]


def linked_softly(path):
    other = path.with_name("soft.ledger")
    other.symlink_to(path)
    return other


def linked_hard(path):
    other = path.with_name("hard.ledger")
    os.link(path, other)
    return other


def with_everything_beside_it_deleted(path):
    for other in path.parent.iterdir():
        if other != path:
            other.unlink()
    return path


@pytest.mark.parametrize("reach", [linked_softly, linked_hard, with_everything_beside_it_deleted])
async def test_a_second_run_is_refused_under_every_path(ledger, reach):
    path = await asyncio.to_thread(reach, ledger.path)
    with pytest.raises(LedgerError, match=r"Another run has this ledger|a second name"):
        await LedgerStore(path).open()
    task = await only_task(ledger)
    await ledger.record_intent(task, 1.0, 2.0)


async def test_the_error_names_the_process_that_has_the_ledger(ledger):
    with pytest.raises(LedgerInUseError, match=f"process {os.getpid()}"):
        await LedgerStore(ledger.path).open()


async def test_a_locked_ledger_pauses_the_run(world, monkeypatch):
    monkeypatch.setattr(database_room, "_REPORT_AFTER", 0.0)
    monkeypatch.setattr(database_room, "_ATTEMPT_TIMEOUT", 0.01)
    async with Ledger(world.path) as opened:
        ledger = opened.store
        other = await asyncio.to_thread(sqlite3.connect, world.path, isolation_level=None, check_same_thread=False)
        with contextlib.closing(other):
            await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")
            on_waiting = asyncio.Event()
            claim = ledger.claim

            async def claim_while_locked(*args, **options):
                report, database = ledger.on_lock_wait, ledger.database
                database._on_lock_wait = lambda is_waiting: (report(is_waiting), on_waiting.set())
                claiming = asyncio.create_task(claim(*args, **options))
                await on_waiting.wait()
                await asyncio.to_thread(other.execute, "ROLLBACK")
                await claiming

            monkeypatch.setattr(ledger, "claim", claim_while_locked)
            report = await world.enroll(people(2), opened)
    assert report.succeeded == 2
    assert "Another program has the ledger locked" in world.of(Paused)[0].reason
