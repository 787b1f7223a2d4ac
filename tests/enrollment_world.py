"""What a test needs to run an enrollment and to check its events and its ledger."""

import json
import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias

import attrs
from aiohttp import web
from fake_clock import FakeClock

from pyannote_voiceprint_async import AsyncVoiceprintClient
from pyannote_voiceprint_async.enrollment import Finished, Report, Row, enroll
from pyannote_voiceprint_async.enrollment.ledger import checksums
from pyannote_voiceprint_async.enrollment.ledger.schema import STEPS, apply_steps
from pyannote_voiceprint_async.sandbox import Sandbox, voiceprint_of
from pyannote_voiceprint_async.sandbox.clock import http_date

Handler: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Handle: TypeAlias = Callable[[web.BaseRequest, Handler], Awaitable[web.StreamResponse]]


@attrs.define
class World:
    """A clock, a sandbox, a client and the path of a ledger: everything that a run needs."""

    clock: FakeClock
    sandbox: Sandbox
    client: AsyncVoiceprintClient
    path: Path
    events: list = attrs.field(factory=list)

    async def enroll(self, rows=None, ledger=None, **options) -> Report:
        """Run to the end, keep the events, and return the report."""
        self.events = []
        rows = people(5) if rows is None else rows
        async with self.clock.running(self.client), enroll(self.client, rows, ledger or self.path, **options) as run:
            async for event in run:
                self.events.append(event)
        assert isinstance(self.events[-1], Finished)
        assert run.report == self.events[-1].report
        return run.report

    def of(self, kind) -> list:
        """Return the events of one class."""
        return [event for event in self.events if isinstance(event, kind)]

    def ask(self, statement: str, *values: Any) -> list[tuple]:
        """Execute a statement on the ledger and return the rows."""
        with closing(sqlite3.connect(self.path)) as connection, connection:
            checksums.register(connection)
            return connection.execute(statement, values).fetchall()

    def states(self) -> dict[str, str]:
        """Return the states by label."""
        return dict(self.ask("SELECT label, state FROM labels JOIN recordings ON id = recording_id"))

    def voiceprints(self) -> dict[str, str]:
        """Return the voiceprints by label."""
        return dict(self.ask("SELECT label, voiceprint FROM labels JOIN recordings ON id = recording_id"))

    def intercept(self, handle: Handle) -> None:
        """Replace the sandbox's handler; `handle(request, forward)` may respond itself or await `forward(request)`."""
        server = self.sandbox._runner.server
        forward = server.request_handler

        async def handler(request: web.BaseRequest) -> web.StreamResponse:
            return await handle(request, forward)

        server.request_handler = handler

    def json_response(self, body: Any, status: int = 200) -> web.Response:
        """Return a JSON response that is dated by the test's clock."""
        return web.Response(
            status=status, body=json.dumps(body).encode(), headers={"Date": http_date(self.clock.wall())}
        )


def url(number: int) -> str:
    """Return the URL of a recording."""
    return f"https://example.com/voices/{number}.wav"


def people(many: int, first: int = 0) -> list[Row]:
    """Return rows with different labels and recordings."""
    return [Row(f"person {number}", url(number)) for number in range(first, first + many)]


def expected_voiceprints(rows: Iterable[Row]) -> dict[str, str]:
    """Return the voiceprints that the sandbox makes of the rows' sources, by label."""
    return {row.label: voiceprint_of(row.source) for row in rows}


def make_first_version(connection: sqlite3.Connection) -> None:
    """Change a ledger back to the first version of its schema."""
    for (trigger,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {trigger}")
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as first:
        apply_steps(first, STEPS[:1], 0)
        columns = {table: columns_of(first, table) for table in tables_of(first)}
    for table in tables_of(connection):
        if table not in columns:
            connection.execute(f"DROP TABLE {table}")
            continue
        for column in columns_of(connection, table):
            if column not in columns[table]:
                connection.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
    connection.execute("PRAGMA user_version = 1")


def tables_of(connection: sqlite3.Connection) -> list[str]:
    """Return the names of the tables of a ledger."""
    return [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]


def columns_of(connection: sqlite3.Connection, table: str) -> list[str]:
    """Return the names of the columns of a table."""
    return [name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))]


def flip_bit_in(path: Path, table: str, column: str, number: int) -> None:
    """Flip the lowest bit of the last byte of a value, with the triggers disabled that update its checksum.

    Args:
        path: the ledger, which no run has open.
        table: the table.
        column: a column of type text.
        number: the row, from 1.
    """
    with closing(sqlite3.connect(path)) as connection, connection:
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
