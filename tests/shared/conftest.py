"""Fixtures of the tests of shared state: a PostgreSQL server, and the addresses of stores."""

import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
from postgres_relay import PostgresRelay
from postgres_server import postgres_server

from pyannote_voiceprint_async import SharedState
from pyannote_voiceprint_async.shared import member
from pyannote_voiceprint_async.shared.connection import open_store
from pyannote_voiceprint_async.shared.store import Store


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The DSN of a PostgreSQL server."""
    with postgres_server() as dsn:
        yield dsn


@pytest.fixture
def database(postgres: str) -> Iterator[str]:
    """The DSN of an empty database."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(postgres, autocommit=True) as db:
        db.execute(f"CREATE DATABASE {name}")
        yield postgres.replace("/postgres?", f"/{name}?")
        db.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgres"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty store of each kind."""
    return str(tmp_path / "shared.db") if request.param == "sqlite" else request.getfixturevalue("database")


@pytest.fixture
async def store(address: str) -> AsyncIterator[Store]:
    """An open store of each kind."""
    store = open_store(SharedState(address))
    await store.open()
    yield store
    await store.aclose()


@pytest.fixture
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new window grants permits at once: no other member can hold any."""
    monkeypatch.setattr(member, "_GRACE", 0.0)


@pytest.fixture
async def relay(database: str) -> AsyncIterator[PostgresRelay]:
    """A relay in front of an empty database."""
    async with PostgresRelay(database) as relay:
        yield relay
