"""The public ledger: what a program reads and changes in Python, open or not."""

import asyncio
from contextlib import aclosing

import pytest
from enrollment_world import flip_bit_in, people

from pyannote_voiceprint_async import ConfigurationError, LedgerError, LedgerInUseError
from pyannote_voiceprint_async.enrollment import FailedRow, Ledger, Row, RowSubmitted, enroll
from pyannote_voiceprint_async.sandbox import voiceprint_of


async def voiceprints(ledger):
    return {label: voiceprint.value async for label, voiceprint in ledger.voiceprints()}


async def failed_rows(ledger):
    return [row async for row in ledger.failed_rows()]


def all_bytes(path):
    """All bytes of all files of a ledger."""
    return b"".join(file.read_bytes() for file in sorted(path.parent.glob(f"{path.name}*")))


async def test_an_open_and_a_closed_ledger_read_the_same(world, tmp_path):
    await world.enroll([*people(3), Row("Eve", "https://e.com/unreachable.wav")])
    ledger = Ledger(world.path)

    async def everything():
        exported = await ledger.export(tmp_path / "speakers.csv")
        return await voiceprints(ledger), await ledger.status(), await failed_rows(ledger), exported

    closed = await everything()
    assert not ledger.is_open
    async with ledger:
        assert ledger.is_open
        assert await everything() == closed
    values, report, failed, exported = closed
    assert values == {row.label: voiceprint_of(row.source) for row in people(3)}
    assert (report.rows, report.succeeded, report.failed) == (4, 3, 1)
    assert [(row.label, row.status) for row in failed] == [("Eve", "failed")]
    assert isinstance(failed[0], FailedRow)
    assert (exported.labels, exported.voiceprints) == (4, 3)


async def test_reading_creates_and_changes_no_file(world, tmp_path):
    await world.enroll(people(3))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for ledger in (Ledger(world.path), Ledger(tmp_path / "typo.ledger")):
        for read in (voiceprints, failed_rows, Ledger.status):
            if ledger.path == world.path:
                await read(ledger)
            else:
                with pytest.raises(LedgerError, match="There is no ledger"):
                    await read(ledger)
    with pytest.raises(LedgerError, match="There is no ledger"):
        await Ledger(tmp_path / "typo.ledger").export(tmp_path / "out.jsonl")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


async def test_a_ledger_is_read_while_a_run_has_it(world):
    async with Ledger(world.path) as ledger:
        async with world.clock.running(world.client), enroll(world.client, people(3), ledger) as run:
            async for event in run:
                if isinstance(event, RowSubmitted):
                    assert (await Ledger(world.path).status()).rows == 3
        assert len(await voiceprints(ledger)) == 3


async def test_a_ledger_that_a_run_uses_is_not_changed(world):
    await world.enroll(people(1))
    async with Ledger(world.path) as ledger:
        ledger.store.acquire()  # as a run does
        for change in (ledger.purge(), ledger.forget(["person 0"]), ledger.accept("person 0", "job")):
            with pytest.raises(LedgerInUseError, match="Another run of this program"):
                await change
        with pytest.raises(LedgerInUseError, match="Another run has this ledger open"):
            await Ledger(world.path).forget(["person 0"])
    assert world.states() == {"person 0": "succeeded"}


async def test_a_damaged_voiceprint_is_never_returned(world):
    await world.enroll(people(3))
    await asyncio.to_thread(flip_bit_in, world.path, "recordings", "voiceprint", 2)
    with pytest.raises(LedgerError, match="is damaged"):
        await voiceprints(Ledger(world.path))


@pytest.mark.parametrize("is_open", [True, False])
async def test_people_are_forgotten_to_the_last_byte(world, is_open):
    """In the open ledger as well, whose journal held the erased pages."""
    await world.enroll(people(30))
    ledger, secret = Ledger(world.path), voiceprint_of(people(30)[7].source).encode()
    if is_open:
        await ledger.open()
    assert secret in all_bytes(world.path)
    forgotten = await ledger.forget(["person 7", "Nobody"])
    assert (forgotten.labels, forgotten.unknown, forgotten.recordings) == (["person 7"], ["Nobody"], 1)
    assert secret not in all_bytes(world.path)
    await ledger.aclose()
    report = await world.enroll(people(30))
    assert (report.forgotten, report.succeeded, report.jobs) == (1, 29, 0)


async def test_a_single_string_is_no_list_of_labels():
    with pytest.raises(TypeError, match=r"\[label\]"):
        await Ledger("speakers.ledger").forget("Ada")


@pytest.mark.parametrize("is_open", [True, False])
async def test_only_exported_voiceprints_are_purged(world, tmp_path, is_open):
    await world.enroll(people(3))
    ledger = Ledger(world.path)
    if is_open:
        await ledger.open()
    with pytest.raises(LedgerError, match="have not been exported yet"):
        await ledger.purge()
    await ledger.export(tmp_path / "speakers.json")
    purged = await ledger.purge()
    assert (purged.dropped, purged.kept) == (3, 0)
    assert voiceprint_of(people(1)[0].source).encode() not in all_bytes(world.path)
    assert await voiceprints(ledger) == {}
    await ledger.aclose()


async def test_an_export_does_not_overwrite_the_ledger_or_other_files(world, tmp_path):
    await world.enroll(people(2))
    (tmp_path / "notes.txt").write_text("keep me")
    for out in (world.path, tmp_path / "notes.txt"):
        with pytest.raises(ConfigurationError):
            await Ledger(world.path).export(out)
    assert (tmp_path / "notes.txt").read_text() == "keep me"


@pytest.mark.parametrize("is_open", [True, False])
async def test_an_accepted_job_is_fetched_by_the_next_run(world, is_open):
    await world.enroll(people(2))
    [(job_id,)] = world.ask("SELECT job_id FROM recordings WHERE id = 1")
    world.ask("DELETE FROM jobs WHERE job_id = ?", job_id)
    world.ask("UPDATE recordings SET state = 'uncertain', job_id = NULL, voiceprint = NULL WHERE id = 1")
    ledger = Ledger(world.path)
    if is_open:
        await ledger.open()
    await ledger.accept("person 0", job_id)
    with pytest.raises(LedgerError, match=r"belongs to another row|has another job"):
        await ledger.accept("person 1", job_id)
    await ledger.aclose()
    report = await world.enroll(people(2))
    assert (report.succeeded, report.jobs) == (2, 0)


async def test_an_abandoned_iteration_does_not_lock_the_ledger(world):
    await world.enroll(people(3))
    ledger = Ledger(world.path)
    async with aclosing(ledger.voiceprints()) as iterator:
        await anext(iterator)
        report = await world.enroll(people(4))
    assert report.jobs == 1


def test_the_repr_shows_whether_it_is_open():
    assert repr(Ledger("speakers.ledger")) == "<Ledger closed>"
