"""The table of the services in this folder: a SQLite file, which all workers of a machine share.

It stands for your database. Voiceprints are biometric data: give access to nobody who does not need it.
"""

import asyncio
import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing

from pyannote_voiceprint_async import Voiceprint

TABLE = "CREATE TABLE IF NOT EXISTS speakers (job_id TEXT PRIMARY KEY, name TEXT NOT NULL, voiceprint TEXT)"
# The newest voiceprint of a name is the last one.
FIND = """SELECT name, voiceprint FROM speakers
WHERE voiceprint IS NOT NULL AND name IN (SELECT value FROM json_each(?)) ORDER BY rowid"""


class SpeakerTable:
    """One row for each accepted job of a speaker, so that no billed voiceprint is lost."""

    def __init__(self, path: str) -> None:
        self._path = path

    async def add(self, job_id: str, name: str) -> None:
        """Record an accepted job before its voiceprint exists."""
        await self._run("INSERT INTO speakers (job_id, name) VALUES (?, ?)", job_id, name)

    async def complete(self, voiceprint: Voiceprint) -> None:
        """Store the voiceprint of a recorded job. Jobs of other programs have no row."""
        stored = json.dumps(voiceprint.to_dict())
        await self._run("UPDATE speakers SET voiceprint = ? WHERE job_id = ?", stored, voiceprint.job_id)

    async def find(self, names: Iterable[str]) -> dict[str, Voiceprint]:
        """Return the voiceprints of these names. Names without one are missing."""
        rows = await self._run(FIND, json.dumps([*names]))
        return {name: Voiceprint.from_dict(json.loads(stored)) for name, stored in rows}

    async def _run(self, statement: str, *values: str) -> list[tuple[str, str]]:
        return await asyncio.to_thread(self._execute, statement, values)

    def _execute(self, statement: str, values: tuple[str, ...]) -> list[tuple[str, str]]:
        with closing(sqlite3.connect(self._path, timeout=30)) as database, database:
            database.execute(TABLE)
            return database.execute(statement, values).fetchall()
