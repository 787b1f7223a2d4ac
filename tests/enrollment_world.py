"""What a run of enrollment needs in a test, and what is asked of it afterwards."""

import sqlite3
from pathlib import Path
from typing import Any

import attrs
from fake_clock import FakeClock

from pyannote_voiceprint_async import AsyncVoiceprintClient
from pyannote_voiceprint_async.enrollment import Finished, Report, Row, enroll
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
