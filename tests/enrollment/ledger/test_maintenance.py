"""Maintenance between runs: forget, purge, accept, recover, and read-only commands."""

import contextlib
import json
from asyncio import to_thread
from pathlib import Path

import pytest
from enrollment_world import flip_bit_in, people, url

from pyannote_voiceprint_async import LedgerError, LedgerInUseError
from pyannote_voiceprint_async.enrollment import Ledger, Row
from pyannote_voiceprint_async.enrollment.ledger.connection import open_read_only
from pyannote_voiceprint_async.enrollment.ledger.export import export
from pyannote_voiceprint_async.enrollment.ledger.identifications import IdentificationKey, IdentificationStore
from pyannote_voiceprint_async.enrollment.ledger.maintenance import (
    accept,
    count_voiceprints,
    failed_rows,
    forget,
    purge,
    recover,
    status,
)
from pyannote_voiceprint_async.enrollment.options import Options
from pyannote_voiceprint_async.enrollment.run.dry_run import DryRun
from pyannote_voiceprint_async.sandbox import voiceprint_of


def everything(path: Path) -> bytes:
    """All bytes of all files of a ledger."""
    return b"".join(file.read_bytes() for file in sorted(path.parent.glob(f"{path.name}*")))


# Forgetting


async def test_forget_erases_every_byte_of_a_person(world, speech, tmp_path):
    voice = tmp_path / "grace-hopper.wav"
    voice.write_bytes((speech / "june-fr.wav").read_bytes())
    await world.enroll([*people(30), Row("Grace Hopper", voice, extra={"badge": "navy-4711"})])
    secrets = [
        text.encode() for text in ("Grace Hopper", "grace-hopper", voiceprint_of(voice.read_bytes()), "navy-4711")
    ]
    assert [secret in everything(world.path) for secret in secrets] == [True] * 4
    forgotten = await to_thread(forget, world.path, ["Grace Hopper"])
    assert (forgotten.labels, forgotten.unknown, forgotten.recordings) == (["Grace Hopper"], [], 1)
    assert [secret in everything(world.path) for secret in secrets] == [False] * 4
    assert len(world.voiceprints()) == 30


async def test_a_later_run_does_not_enroll_a_forgotten_person(world, speech, tmp_path):
    """Neither under the same label nor with the same recording under another label."""
    voice = speech / "june-fr.wav"
    await world.enroll([Row("June", voice), *people(2)])
    await to_thread(forget, world.path, [" June "])
    other = [Row("June", "https://e.com/other.wav"), Row("Not June", voice), *people(2)]
    report = await world.enroll(other, allow_shared_audio=True)
    assert (report.rows, report.forgotten, report.jobs, report.is_complete) == (2, 2, 0, True)
    assert world.states().keys() == {"person 0", "person 1"}


NFC, NFD = "Jos\u00e9", "Jose\u0301"


async def test_forget_erases_the_identifications_that_name_a_person(world):
    await world.enroll(people(2))
    store, (forgotten, kept) = IdentificationStore(world.path), ("person 0", "person 1")
    await store.open()
    try:
        keys = [IdentificationKey(f"sha256:{label}", "request", "precision-2", 30.0) for label in (forgotten, kept)]
        rows = await store.rows(keys)
        for row, label in zip(rows, (forgotten, kept), strict=True):
            result = {"job_id": "job", "speakers": [{"scores": {label: 90.0}}]}
            await store.record_row_result(row.id, json.dumps(result), 1.0)
    finally:
        await store.aclose()
    await Ledger(world.path).forget([forgotten])
    assert world.ask("SELECT identity FROM identifications") == [(f"sha256:{kept}",)]


@pytest.mark.parametrize(("listed", "forgotten", "again"), [(NFC, NFD, NFD), (NFD, NFC, NFC), (NFC, NFC, NFD)])
async def test_forget_covers_every_unicode_form_of_a_name(world, listed, forgotten, again):
    await world.enroll([Row(listed, url(1)), *people(1)])
    assert (await to_thread(forget, world.path, [forgotten])).labels == [NFC]
    report = await world.enroll([Row(again, url(2)), *people(1)])
    assert (report.forgotten, report.jobs) == (1, 0)
    assert (await to_thread(forget, world.path, [again])).unknown == []


async def test_forget_covers_all_forms_that_an_earlier_version_stored(world):
    await world.enroll(people(3))
    for form, label in ((NFC, "person 0"), (NFD, "person 1")):
        world.ask("UPDATE labels SET label = ? WHERE label = ?", form, label)
    forgotten = await to_thread(forget, world.path, [NFD, NFC])
    assert (forgotten.labels, forgotten.recordings) == ([NFC], 2)
    assert world.states().keys() == {"person 2"}


async def test_forget_keeps_job_ids_without_their_recording(world):
    await world.enroll(people(2))
    await to_thread(forget, world.path, ["person 0"])
    assert [recording for (recording,) in world.ask("SELECT recording_id FROM jobs ORDER BY recording_id")] == [None, 2]


async def test_forget_keeps_a_recording_that_another_label_shares(world):
    await world.enroll([Row("Ada", url(0)), Row("A. Lovelace", url(0))], allow_shared_audio=True)
    assert (await to_thread(forget, world.path, ["Ada"])).recordings == 0
    assert world.voiceprints() == {"A. Lovelace": voiceprint_of(url(0))}
    report = await world.enroll([Row("A. Lovelace", url(0))])
    assert (report.succeeded, report.forgotten, report.jobs) == (1, 0, 0)


async def test_forget_does_not_block_the_same_audio_under_another_model(world):
    rows = [Row("Ada", url(0)), Row("A. Lovelace", url(0), "precision-3")]
    await world.enroll(rows, allow_shared_audio=True)
    assert (await to_thread(forget, world.path, ["Ada"])).recordings == 1
    report = await world.enroll(rows, allow_shared_audio=True)
    assert (report.rows, report.succeeded, report.forgotten, report.jobs) == (1, 1, 1, 0)


async def test_forget_erases_earlier_recordings_of_a_label(world):
    await world.enroll([Row("Ada", "https://e.com/wrong-ada.wav"), *people(1)])
    await world.enroll([Row("Ada", "https://e.com/right-ada.wav"), *people(1)])
    assert (await to_thread(forget, world.path, ["Ada"])).recordings == 2
    assert b"ada.wav" not in everything(world.path)


async def test_forget_keeps_the_times_of_unresolved_intents(world):
    await world.enroll(people(2))
    world.ask("UPDATE recordings SET state = 'uncertain', intended_from = 5, intended_until = 7 WHERE id = 1")
    await to_thread(forget, world.path, ["person 0"])
    assert world.ask("SELECT was_resubmitted, intended_from, intended_until FROM lost_intents") == [(0, 5.0, 7.0)]
    assert (await to_thread(status, world.path)).possibly_paid_twice == 0


async def test_forget_reports_unknown_labels_and_can_be_repeated(world):
    await world.enroll(people(2))
    first, second = (
        await to_thread(forget, world.path, ["person 0", "Nobody"]),
        await to_thread(forget, world.path, ["person 0"]),
    )
    assert (first.labels, first.unknown, first.recordings) == (["person 0"], ["Nobody"], 1)
    assert (second.labels, second.unknown, second.recordings) == (["person 0"], [], 0)


@pytest.mark.parametrize("work", [lambda path: forget(path, ["person 0"]), purge])
async def test_a_ledger_in_use_or_missing_is_refused(world, tmp_path, work):
    await world.enroll(people(1))
    async with Ledger(world.path):
        with pytest.raises(LedgerInUseError):
            await to_thread(work, world.path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(LedgerError, match="There is no ledger"):
        await to_thread(work, tmp_path / "gone.ledger")
    assert sorted(tmp_path.iterdir()) == before


async def test_forget_is_refused_during_a_read_and_can_be_repeated(world, monkeypatch):
    await world.enroll(people(1))
    monkeypatch.setattr("pyannote_voiceprint_async.enrollment.ledger.connection.BUSY_TIMEOUT", 0.05)
    with contextlib.closing(await to_thread(open_read_only, world.path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM labels").fetchone()
        with pytest.raises(LedgerError, match="is locked by another program"):
            await to_thread(forget, world.path, ["person 0"])
    await to_thread(forget, world.path, ["person 0"])
    assert b"person 0" not in everything(world.path)


# Purging


async def test_purged_voiceprints_are_never_paid_again(world, tmp_path):
    await world.enroll(people(3))
    await to_thread(export, world.path, tmp_path / "out.jsonl", "jsonl")
    await world.enroll(people(4))
    hashes = world.ask("SELECT voiceprint_hash, job_id FROM recordings WHERE id <= 3")
    purged = await to_thread(purge, world.path)
    assert (purged.dropped, purged.kept) == (3, 1)
    assert world.voiceprints() == {f"person {n}": None for n in range(3)} | {"person 3": voiceprint_of(url(3))}
    assert voiceprint_of(url(0)).encode() not in everything(world.path)
    assert world.ask("SELECT voiceprint_hash, job_id FROM recordings WHERE id <= 3") == hashes
    report = await world.enroll(people(4))
    assert (report.succeeded, report.jobs) == (4, 0)
    assert await to_thread(count_voiceprints, world.path) == 1


async def test_purge_without_an_export_is_refused(world):
    await world.enroll(people(2))
    with pytest.raises(LedgerError, match="have not been exported yet"):
        await to_thread(purge, world.path)
    assert await to_thread(count_voiceprints, world.path) == 2


async def test_purge_drops_nothing_after_a_clock_was_set_back(world, tmp_path):
    """A row that finished after the export, at an earlier time of the clock, was not exported."""
    await world.enroll(people(2))
    await to_thread(export, world.path, tmp_path / "out.jsonl", "jsonl")
    await world.enroll(people(3))
    world.ask("UPDATE recordings SET finished_at = 1.0 WHERE id = 3")
    with pytest.raises(LedgerError, match="Export all of them once more"):
        await to_thread(purge, world.path)
    assert await to_thread(count_voiceprints, world.path) == 3
    await to_thread(export, world.path, tmp_path / "out.jsonl", "jsonl")
    assert (await to_thread(purge, world.path)).dropped == 3


# Reading


async def test_status_and_failed_rows_work_during_a_run(world):
    await world.enroll([*people(2), Row("Eve", "https://e.com/unreachable.wav")])
    async with Ledger(world.path):
        report = await to_thread(status, world.path)
        found = await to_thread(lambda: list(failed_rows(world.path)))
    assert (report.rows, report.succeeded, report.failed, report.jobs_ever) == (3, 2, 1, 3)
    assert [(one.label, one.status) for one in found] == [("Eve", "failed")]
    assert report.failures == {found[0].error: 1}


async def test_status_reports_only_the_newest_list(world):
    await world.enroll([Row("Eve", "https://e.com/unreachable.wav")])
    await world.enroll(people(2))
    assert (await to_thread(status, world.path)).rows == 2
    assert await to_thread(lambda: list(failed_rows(world.path))) == []


# Accepting jobs


async def test_an_accepted_job_is_fetched_by_the_next_run(world):
    await world.enroll(people(2))
    world.ask("DELETE FROM jobs WHERE recording_id = 1")
    (job_id,) = world.ask("SELECT job_id FROM recordings WHERE id = 1")[0]
    world.ask("UPDATE recordings SET state = 'submitting', job_id = NULL, intended_from = 1, intended_until = 2")
    world.ask("UPDATE recordings SET voiceprint = NULL, finished_at = NULL WHERE id = 1")
    for _ in range(2):
        await to_thread(accept, world.path, " person 0 ", f"{job_id}\n")
    assert world.ask("SELECT state, job_id, intended_from FROM recordings WHERE id = 1") == [
        ("submitted", job_id, None)
    ]
    report = await world.enroll(people(1))
    assert (report.succeeded, report.jobs, len(world.sandbox.accepted)) == (1, 0, 2)
    assert world.voiceprints()["person 0"] == voiceprint_of(url(0))


@pytest.mark.parametrize(
    ("label", "job_id", "sentence"),
    [
        ("Nobody", "new", "no such label"),
        ("person 0", "new", "has another job already, whose state is succeeded"),
        ("person 1", "", "job id is empty"),
        ("person 1", "a\x1b[2J", "has invalid characters"),
        ("person 1", "job of 0", "belongs to another row"),
    ],
)
async def test_a_job_that_cannot_be_accepted_changes_nothing(world, label, job_id, sentence):
    await world.enroll(people(2))
    world.ask("UPDATE recordings SET state = 'uncertain', job_id = NULL WHERE id = 2")
    (known,) = world.ask("SELECT job_id FROM recordings WHERE id = 1")[0]
    before = world.ask("SELECT * FROM recordings"), world.ask("SELECT * FROM jobs")
    with pytest.raises(LedgerError, match=sentence):
        await to_thread(accept, world.path, label, known if job_id == "job of 0" else job_id)
    assert (world.ask("SELECT * FROM recordings"), world.ask("SELECT * FROM jobs")) == before


async def test_no_job_is_accepted_during_a_run(world):
    await world.enroll(people(1))
    async with Ledger(world.path):
        with pytest.raises(LedgerInUseError):
            await to_thread(accept, world.path, "person 0", "new")


# Recovering


async def test_a_copy_of_an_open_ledger_must_be_recovered_first(world, tmp_path):
    """A run and a dry run both refuse it before."""
    await world.enroll(people(2))
    copy = tmp_path / "copy.ledger"
    async with Ledger(world.path):
        for end in ("", "-journal"):
            await to_thread(Path(f"{copy}{end}").write_bytes, Path(f"{world.path}{end}").read_bytes())
    before = len(world.sandbox.accepted)
    with pytest.raises(LedgerError, match=r"copy of a ledger that was made while a run.*ledger recover"):
        await world.enroll(people(3), copy)
    with pytest.raises(LedgerError, match=r"copy of a ledger"):
        await DryRun(world.client, people(3), copy, Options()).run()
    assert len(world.sandbox.accepted) == before
    assert await to_thread(recover, copy) == 0
    assert (await world.enroll(people(3), copy)).jobs == 1
    assert len(world.sandbox.accepted) == before + 1


async def test_recover_does_not_change_a_damaged_ledger(world):
    await world.enroll(people(2))
    await to_thread(flip_bit_in, world.path, "recordings", "job_id", 1)
    before = world.path.read_bytes()
    with pytest.raises(LedgerError, match="is damaged"):
        await to_thread(recover, world.path)
    assert world.path.read_bytes() == before


async def test_recover_is_refused_during_a_run(world):
    async with Ledger(world.path):
        with pytest.raises(LedgerInUseError):
            await to_thread(recover, world.path)


async def test_a_slow_reader_of_failed_rows_does_not_block_a_run(world, monkeypatch):
    """For example the output of `ledger failed` in a pager."""
    monkeypatch.setattr("pyannote_voiceprint_async.enrollment.ledger.maintenance._PAGE", 2)
    await world.enroll([Row(f"Eve {n}", f"https://e.com/unreachable.{n}.wav") for n in range(5)])
    rows = failed_rows(world.path)
    first = await to_thread(next, rows)
    world.ask("UPDATE recordings SET reason = 'changed meanwhile'")
    assert [one.label for one in [first, *await to_thread(list, rows)]] == [f"Eve {n}" for n in range(5)]
