"""The status of a ledger, as another process sees it."""

import asyncio
import os
import subprocess
import sys
from functools import partial

from enrollment_world import people

from pyannote_voiceprint_async.enrollment import Ledger, Paused, Row, enroll
from pyannote_voiceprint_async.enrollment.ledger.file_lock import FileLock, is_locked
from pyannote_voiceprint_async.enrollment.ledger.maintenance import failed_rows, forget
from pyannote_voiceprint_async.enrollment.ledger.status import read_status
from pyannote_voiceprint_async.enrollment.ledger.store import LedgerStore

_PROGRAM = """
import sys
from pathlib import Path
from pyannote_voiceprint_async.enrollment.ledger.file_lock import is_locked
print(is_locked(Path(sys.argv[1])))
"""


def test_the_lock_of_a_run_is_seen_by_this_and_by_another_process(tmp_path):
    path = tmp_path / "x.ledger"
    path.touch()
    assert is_locked(path) is False
    lock = FileLock(path)
    assert is_locked(path) is True
    process = subprocess.run([sys.executable, "-c", _PROGRAM, path], check=True, capture_output=True, text=True)
    assert process.stdout == "True\n"
    lock.release()
    assert is_locked(path) is False


async def test_a_run_is_alive_with_its_process_and_estimate_until_it_has_ended(make_world):
    world = await make_world(window="none", job_seconds=20.0)
    async with world.clock.running(world.client), enroll(world.client, people(150), world.path) as run:
        async for _ in run:
            if run.progress.finished_now:
                break
        status = await asyncio.to_thread(read_status, world.path)
        assert status.is_alive
        assert status.run.process == os.getpid()
        assert status.run.started_at <= status.run.updated_at <= world.clock.wall()
        assert status.run.ends_at >= status.run.updated_at
    status = await asyncio.to_thread(read_status, world.path)
    assert not status.is_alive
    assert status.run.ended_at is not None


async def test_a_run_that_was_killed_is_not_alive_although_its_mark_is_open(world):
    """Its state and its owner mark are those of a living run; only the lock is gone."""
    await world.enroll()
    statement = "UPDATE owner SET is_open = 1 RETURNING process"
    world.ask(statement)
    world.ask("UPDATE run_state SET ended_at = NULL")
    status = await asyncio.to_thread(read_status, world.path)
    assert (status.is_alive, status.run.ended_at) == (False, None)


async def test_the_reason_of_a_pause_is_in_the_ledger_while_it_lasts(make_world, monkeypatch):
    world = await make_world()
    fails, written = True, []

    def write_run_state(store, state):
        # The clock may pass the end of the pause before another connection reads the file.
        written.append(state)
        return LedgerStore.write_run_state(store, state)

    async def handle(request, forward):
        if fails and request.method == "POST":
            return world.json_response({"message": "down"}, status=503)
        return await forward(request)

    world.intercept(handle)
    ledger = Ledger(world.path)
    async with world.clock.running(world.client), ledger, enroll(world.client, people(3), ledger) as run:
        monkeypatch.setattr(ledger.store, "write_run_state", partial(write_run_state, ledger.store))
        async for event in run:
            if isinstance(event, Paused):
                paused = next(state for state in written if state.paused_for == event.reason)
                assert paused.next_attempt_at > paused.updated_at
                fails = False
    assert not fails
    assert (await asyncio.to_thread(read_status, world.path)).run.paused_for is None


async def test_the_last_error_is_that_of_the_row_that_failed_last(world):
    await world.enroll([Row("a", "https://example.com/unreachable/a.wav"), *people(2)])
    status = await asyncio.to_thread(read_status, world.path)
    assert status.last_error == ("a", "The job failed: Could not load audio")
    assert (status.report.jobs_ever, status.report.failed_jobs_ever) == (3, 1)


async def test_failed_rows_have_their_source_without_secrets_and_the_other_columns(world):
    source = "https://example.com/unreachable/a.wav?X-Amz-Signature=secret"
    await world.enroll([Row("a", source, extra={"team": "red"})])
    [row] = await asyncio.to_thread(lambda: list(failed_rows(world.path)))
    assert (row.label, row.status, row.extra) == ("a", "failed", {"team": "red"})
    assert row.source.startswith("https://example.com/unreachable/a.wav")
    assert "secret" not in row.source


async def test_forgetting_a_person_deletes_the_state_of_the_run(world):
    await world.enroll()
    assert (await asyncio.to_thread(read_status, world.path)).run is not None
    await asyncio.to_thread(forget, world.path, ["person 1"])
    assert (await asyncio.to_thread(read_status, world.path)).run is None
