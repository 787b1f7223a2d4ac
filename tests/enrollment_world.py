"""What a run of enrollment needs in a test, and what is asked of it afterwards."""

import sqlite3
from pathlib import Path
from typing import Any

import attrs
from fake_clock import FakeClock

from pyannote_voiceprint_async import AsyncVoiceprintClient
from pyannote_voiceprint_async.enrollment import Finished, Report, Row, enroll
from pyannote_voiceprint_async.enrollment.ledger import checksums
from pyannote_voiceprint_async.sandbox import Sandbox


@attrs.define
class World:
    """Everything that a run needs."""

    clock: FakeClock
    sandbox: Sandbox
    client: AsyncVoiceprintClient
    path: Path
    events: list = attrs.field(factory=list)

    async def enroll(self, rows=None, ledger=None, **options) -> Report:
        """Run to the end; the events are kept."""
        self.events = []
        rows = people(5) if rows is None else rows
        async with self.clock.running(self.client), enroll(self.client, rows, ledger or self.path, **options) as run:
            async for event in run:
                self.events.append(event)
        assert isinstance(self.events[-1], Finished)
        assert run.report == self.events[-1].report
        return run.report

    def of(self, kind) -> list:
        """The events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def ask(self, statement: str, *values: Any) -> list[tuple]:
        """Look into the ledger."""
        with sqlite3.connect(self.path) as connection:
            checksums.register(connection)
            found = connection.execute(statement, values).fetchall()
        connection.close()
        return found

    def states(self) -> dict[str, str]:
        """State by label."""
        return dict(self.ask("SELECT label, state FROM labels JOIN recordings ON id = recording_id"))

    def voiceprints(self) -> dict[str, str]:
        """Voiceprint by label."""
        return dict(self.ask("SELECT label, voiceprint FROM labels JOIN recordings ON id = recording_id"))


def url(number: int) -> str:
    return f"https://example.com/voices/{number}.wav"


def people(many: int, first: int = 0) -> list[Row]:
    return [Row(f"person {number}", url(number)) for number in range(first, first + many)]


def make_first_version(connection: sqlite3.Connection) -> None:
    """Undo what the later steps of the schema did to a ledger."""
    for (trigger,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {trigger}")
    for table in ("meta", "recordings", "labels", "jobs", "lost_intents", "forgotten"):
        connection.execute(f"ALTER TABLE {table} DROP COLUMN checksum")
    for column in ("pieces", "asked", "notes"):
        connection.execute(f"ALTER TABLE recordings DROP COLUMN {column}")
    for table in ("looks", "owner", "reserve"):
        connection.execute(f"DROP TABLE {table}")
    connection.execute("PRAGMA user_version = 1")


def flip_bit_in(path: Path, table: str, column: str, number: int) -> None:
    """Flip the lowest bit of the last byte of a value, past the triggers that would notice.

    Args:
        path: the ledger; no run has it.
        table: the table.
        column: the column of a text.
        number: the row, from 1.
    """
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        trigger = f"{table}_updated"
        (restore,) = connection.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (trigger,)).fetchone()
        connection.execute(f"DROP TRIGGER {trigger}")
        connection.create_function("flipped", 1, lambda text: text[:-1] + chr(ord(text[-1]) ^ 1))
        connection.execute(
            f"UPDATE {table} SET {column} = flipped({column}) "  # noqa: S608 - names of our own schema
            f"WHERE rowid = (SELECT rowid FROM {table} ORDER BY rowid LIMIT 1 OFFSET ?)",
            (number - 1,),
        )
        connection.execute(restore)
    connection.close()
