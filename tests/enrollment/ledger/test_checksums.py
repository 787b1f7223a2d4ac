"""A flipped bit in a ledger is detected before anything is sent."""

import asyncio
import math
import random
import re
import sqlite3
from contextlib import closing

import pytest
from enrollment_world import columns_of, flip_bit_in, make_first_version, people, tables_of

from pyannote_voiceprint_async import LedgerError
from pyannote_voiceprint_async.enrollment.ledger import checksums
from pyannote_voiceprint_async.enrollment.ledger.connection import open_read_only, open_writable
from pyannote_voiceprint_async.enrollment.ledger.export import export
from pyannote_voiceprint_async.enrollment.ledger.maintenance import forget, purge, status
from pyannote_voiceprint_async.enrollment.ledger.schema import STEPS, SchemaStep
from pyannote_voiceprint_async.enrollment.ledger.sqlite_errors import is_damage
from pyannote_voiceprint_async.enrollment.ledger.voiceprints import read_voiceprints

COLUMNS = ("identity", "model", "source", "state", "job_id", "voiceprint", "voiceprint_hash")


def verified(path, steps=STEPS):
    with closing(open_read_only(path, steps=steps)) as connection:
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
        with closing(sqlite3.connect(world.path)) as connection, connection:
            make_first_version(connection)

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


UNCOVERED = {"owner", "reserve", "run_state", "schema_steps"}


def test_every_column_of_the_ledger_has_a_checksum(tmp_path):
    """Except in the owner mark, the reserve, the record of schema steps, and the state of the run."""
    with closing(open_writable(tmp_path / "x.ledger", create=True)) as connection:
        tables = set(tables_of(connection)) - UNCOVERED
        columns = {table: set(columns_of(connection, table)) - {"checksum"} for table in tables}
        assert {table: covered_by(connection, table) for table in tables} == columns


def covered_by(connection, table):
    """Return the columns that are part of a checksum and whose update writes a new one."""
    (sql,) = connection.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (f"{table}_updated",)).fetchone()
    written = set(re.search("UPDATE OF (.*) ON", sql)[1].split(", "))
    condition = checksums.intact(connection, table).removeprefix(f"{table}.checksum IS")
    return written & set(re.findall(rf"{table}\.(\w+)", condition))


EARLIER = """
UPDATE {table} SET checksum = row_checksum({values});
DROP TRIGGER {table}_inserted;
DROP TRIGGER {table}_updated;
CREATE TRIGGER {table}_inserted AFTER INSERT ON {table} BEGIN UPDATE {table} SET checksum = row_checksum({values}); END;
CREATE TRIGGER {table}_updated AFTER UPDATE OF {columns} ON {table} BEGIN
    SELECT RAISE(ABORT, 'damaged row') WHERE OLD.checksum IS NOT row_checksum({old});
END;
"""


def make_earlier_checksums(path):
    """Change a ledger back to the checksums that were computed in Python."""
    with closing(sqlite3.connect(path)) as connection:
        checksums.register(connection)
        for table in ("identifications", "identification_jobs"):  # later steps add them
            connection.execute(f"DROP TABLE {table}")
        for table in set(tables_of(connection)) - UNCOVERED:
            columns = [name for name in columns_of(connection, table) if name != "checksum"]
            values, old = (", ".join(f"{row}.{name}" for name in columns) for row in (table, "OLD"))
            connection.executescript(EARLIER.format(table=table, columns=", ".join(columns), values=values, old=old))
        earlier = [step.name for step in STEPS].index("faster checksums")
        connection.execute(f"PRAGMA user_version = {earlier}")


async def test_earlier_checksums_are_verified_and_replaced(world, tmp_path):
    await world.enroll(people(3))
    await asyncio.to_thread(make_earlier_checksums, world.path)
    found = world.ask("SELECT DISTINCT typeof(checksum) FROM recordings")
    assert (found, await asyncio.to_thread(verified, world.path)) == ([("blob",)], None)
    assert (await asyncio.to_thread(export, world.path, tmp_path / "out.jsonl", "jsonl")).voiceprints == 3
    assert (await world.enroll(people(3))).jobs == 0
    found = world.ask("SELECT DISTINCT typeof(checksum) FROM recordings")
    assert (found, await asyncio.to_thread(verified, world.path)) == ([("integer",)], None)


async def test_damage_is_found_by_earlier_checksums_and_survives_their_replacement(world, tmp_path):
    await world.enroll(people(3))
    await asyncio.to_thread(make_earlier_checksums, world.path)
    await asyncio.to_thread(flip_bit_in, world.path, "recordings", "job_id", 2)
    assert await asyncio.to_thread(verified, world.path) == "one row of its table recordings"
    with pytest.raises(LedgerError, match="is damaged"):
        await asyncio.to_thread(export, world.path, tmp_path / "out.jsonl", "jsonl")
    with pytest.raises(LedgerError, match="is damaged"):
        await world.enroll(people(3))
    assert await asyncio.to_thread(verified, world.path) == "one row of its table recordings"


def test_all_bits_of_a_time_and_of_a_hash_are_covered(tmp_path):
    """Bytes after a zero byte, and the last bit of a floating-point number, too."""
    with closing(open_writable(tmp_path / "x.ledger", create=True)) as connection:
        is_intact = checksums.intact(connection, "jobs")
        connection.execute("INSERT INTO jobs (job_id, is_ours, created_at) VALUES ('a', 1, 1764500000.25)")
        connection.execute("INSERT INTO forgotten (hash) VALUES (x'01000002')")
        assert checksums.find_damage(connection) is None
        connection.execute("DROP TRIGGER jobs_updated")
        for time in (math.nextafter(1764500000.25, 0), math.nextafter(1764500000.25, math.inf), -1764500000.25, 0.25):
            connection.execute("UPDATE jobs SET created_at = ?", (time,))
            assert connection.execute(f"SELECT {is_intact} FROM jobs").fetchone() == (0,)  # noqa: S608 - our own schema
        connection.execute("UPDATE jobs SET created_at = 1764500000.25")
        connection.execute("DROP TRIGGER forgotten_updated")
        connection.execute("UPDATE forgotten SET hash = x'01000003'")
        assert checksums.find_damage(connection) == "one row of its table forgotten"


# A column that a later version adds

LANGUAGE = SchemaStep("language", "2027-01-01", "ALTER TABLE recordings ADD COLUMN language TEXT", ("recordings",))
LATER_STEPS = (*STEPS, LANGUAGE)


@pytest.fixture
async def older(world):
    """A ledger without the column, with one damaged row."""
    await world.enroll(people(3))
    await asyncio.to_thread(flip_bit_in, world.path, "recordings", "job_id", 2)
    return world


def test_a_new_column_is_covered(tmp_path):
    path = tmp_path / "x.ledger"
    insert = "INSERT INTO recordings (identity, model, source, is_file) VALUES (?, 'precision-2', 'https://e.com', 0)"
    with closing(open_writable(path, create=True)) as connection:
        connection.execute(insert, ("url:1",))
    with closing(open_writable(path, steps=LATER_STEPS)) as connection:
        assert "language" in covered_by(connection, "recordings")
        connection.execute(insert, ("url:2",))
        connection.execute("UPDATE recordings SET language = 'fr'")
        assert checksums.find_damage(connection) is None
    flip_bit_in(path, "recordings", "language", 1)
    assert verified(path, LATER_STEPS) == "one row of its table recordings"


async def test_a_new_column_leaves_a_damaged_row_damaged(older):
    def add_column():
        with closing(open_writable(older.path, steps=LATER_STEPS)) as connection:
            is_intact = checksums.intact(connection, "recordings")
            query = f"SELECT id, language, {is_intact} FROM recordings"  # noqa: S608 - names of our own schema
            return connection.execute(query).fetchall()

    assert await asyncio.to_thread(add_column) == [(1, None, 1), (2, None, 0), (3, None, 1)]


async def test_a_step_that_changes_a_damaged_row_is_refused(older):
    steps = (*STEPS, SchemaStep("models", "2027-01-01", "UPDATE recordings SET model = 'precision-9'"))
    with pytest.raises(LedgerError, match="is damaged"):
        await asyncio.to_thread(open_writable, older.path, steps=steps)


async def test_readers_do_not_add_a_later_column(world, tmp_path):
    """They verify the rows by the columns that the file has."""
    await world.enroll(people(3))

    def read():
        with closing(open_read_only(world.path, steps=LATER_STEPS)) as connection:
            return checksums.find_damage(connection), columns_of(connection, "recordings")

    before = await asyncio.to_thread(world.path.read_bytes)
    damage, columns = await asyncio.to_thread(read)
    assert (damage, "language" in columns) == (None, False)
    assert (await asyncio.to_thread(status, world.path)).succeeded == 3
    assert len(await asyncio.to_thread(read_voiceprints, world.path, "")) == 3
    assert await asyncio.to_thread(world.path.read_bytes) == before
    assert (await asyncio.to_thread(export, world.path, tmp_path / "out.jsonl", "jsonl")).voiceprints == 3
