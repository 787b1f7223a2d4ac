"""A flipped bit in a ledger is detected before anything is sent."""

import asyncio
import random
import re
import sqlite3
from contextlib import closing

import pytest
from enrollment_world import flip_bit_in, make_first_version, people

from pyannote_voiceprint_async import LedgerError
from pyannote_voiceprint_async.enrollment.ledger import checksums
from pyannote_voiceprint_async.enrollment.ledger.connection import open_read_only, open_writable
from pyannote_voiceprint_async.enrollment.ledger.maintenance import forget, purge
from pyannote_voiceprint_async.enrollment.ledger.sqlite_errors import is_damage

COLUMNS = ("identity", "model", "source", "state", "job_id", "voiceprint", "voiceprint_hash")


def verified(path):
    with closing(open_read_only(path)) as connection:
        return checksums.find_damage(connection)


async def test_every_row_of_a_run_matches_its_checksum(world):
    world.sandbox.fail_next(["drop-after-accept", "server-error"], operation="voiceprint")
    await world.enroll(people(6))
    assert await asyncio.to_thread(verified, world.path) is None
    assert world.ask("SELECT count(*) FROM recordings WHERE checksum IS NULL") == [(0,)]


@pytest.mark.parametrize("column", COLUMNS)
async def test_a_flipped_bit_is_refused_before_anything_is_sent(world, column):
    await world.enroll(people(4))
    before = len(world.sandbox.accepted)
    await asyncio.to_thread(flip_bit_in, world.path, "recordings", column, 3)
    with pytest.raises(LedgerError, match="is damaged"):
        await world.enroll(people(8))
    assert len(world.sandbox.accepted) == before


@pytest.mark.parametrize("command", [lambda path: forget(path, ["person 0"]), purge])
async def test_maintenance_does_not_change_a_damaged_ledger(world, command):
    await world.enroll(people(3))
    await asyncio.to_thread(flip_bit_in, world.path, "recordings", "job_id", 1)
    before = world.path.read_bytes()
    with pytest.raises(LedgerError, match="is damaged"):
        await asyncio.to_thread(command, world.path)
    assert world.path.read_bytes() == before


async def test_flipped_bits_in_tables_and_indexes_never_cause_a_payment(world, tmp_path):
    """A run refuses the file, or submits nothing that is paid already."""
    await world.enroll(people(12))
    whole, chance = world.path.read_bytes(), random.Random(5)
    places = [found.start() for found in re.finditer(rb"https://example\.com|succeeded|precision-2|person ", whole)]
    before, refused = len(world.sandbox.accepted), 0
    for _ in range(30):
        damaged = bytearray(whole)
        damaged[chance.choice(places) + chance.randrange(7)] ^= 1 << chance.randrange(8)
        world.path.write_bytes(damaged)
        try:
            await world.enroll(people(12))
        except LedgerError:
            refused += 1
    assert len(world.sandbox.accepted) == before
    assert refused >= 20


async def test_an_update_of_a_damaged_row_is_refused(world):
    """Damage must not get a new checksum."""
    await world.enroll(people(2))
    await asyncio.to_thread(flip_bit_in, world.path, "recordings", "identity", 1)
    with pytest.raises(sqlite3.IntegrityError, match="damaged row") as error:
        world.ask("UPDATE recordings SET state = 'pending' WHERE id = 1")
    assert is_damage(error.value)


async def test_a_ledger_of_an_earlier_version_gets_checksums(world):
    await world.enroll(people(3))

    def as_it_was():
        with sqlite3.connect(world.path) as connection:
            make_first_version(connection)
        connection.close()

    await asyncio.to_thread(as_it_was)
    assert await asyncio.to_thread(verified, world.path) is None
    report = await world.enroll(people(4))
    assert (report.succeeded, report.jobs) == (4, 1)
    await asyncio.to_thread(flip_bit_in, world.path, "recordings", "job_id", 1)
    assert "one row" in await asyncio.to_thread(verified, world.path)


def test_an_integer_in_a_real_column_has_one_checksum(tmp_path):
    """SQLite stores an integer, and must pass a real to every trigger and check."""
    connection = open_writable(tmp_path / "x.ledger", create=True)
    connection.execute("INSERT INTO jobs (job_id, is_ours, created_at) VALUES ('a', 1, 5), ('b', 1, 5.0)")
    assert checksums.find_damage(connection) is None
    connection.execute("UPDATE jobs SET created_at = created_at + 1")
    connection.execute("UPDATE jobs SET is_ours = 0")
    assert checksums.find_damage(connection) is None
    assert connection.execute("SELECT created_at FROM jobs").fetchall() == [(6.0,), (6.0,)]
    connection.close()


def test_every_table_of_the_ledger_has_checksums(tmp_path):
    """Except the owner mark, the reserve, the record of schema steps, and the state of the run."""
    connection = open_writable(tmp_path / "x.ledger", create=True)
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    columns = {
        table: {name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))}
        for table in tables - {"owner", "reserve", "run_state", "schema_steps"}
    }
    connection.close()
    assert {table: covered | {"checksum"} for table, covered in checksums.COVERED_COLUMNS.items()} == columns
