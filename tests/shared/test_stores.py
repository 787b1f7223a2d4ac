"""What both stores do, and how they fail."""

import asyncio
import os
import sqlite3
import threading
import traceback
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pyannote_voiceprint_async import (
    AsyncVoiceprintClient,
    ConfigurationError,
    RateLimiter,
    SharedState,
    SharedStateError,
)
from pyannote_voiceprint_async.sandbox import Sandbox
from pyannote_voiceprint_async.secret import Secret
from pyannote_voiceprint_async.shared import postgres_store, sqlite_store
from pyannote_voiceprint_async.shared.connection import open_store
from pyannote_voiceprint_async.shared.fleet_window import StepMessage, WindowRules
from pyannote_voiceprint_async.shared.postgres_connection import PostgresConnection
from pyannote_voiceprint_async.shared.postgres_store import PostgresStore
from pyannote_voiceprint_async.shared.sqlite_store import SqliteStore
from pyannote_voiceprint_async.shared.store import Store, StoreUnavailableError

RULES = WindowRules(limit=5, per=1000, permit_lifetime=3000, member_lifetime=3000, grace=0, reserve=0)
URL = "https://files.example.org/a.wav"


@pytest.fixture
async def connect(address: str) -> Any:
    """Return a function that returns one more store at the same address."""
    stores: list[Store] = []

    async def connect() -> Store:
        stores.append(open_store(SharedState(address)))
        await stores[-1].open()
        return stores[-1]

    yield connect
    for store in stores:
        await store.aclose()


def client_of(sandbox: Sandbox, address: object) -> AsyncVoiceprintClient:
    return AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, shared=address)


async def error_of_entering(client: AsyncVoiceprintClient) -> SharedStateError:
    with pytest.raises(SharedStateError) as raised:
        await client.__aenter__()
    await client.aclose()
    return raised.value


async def test_stores_see_the_steps_of_each_other(connect: Callable[[], Any]):
    stores = [await connect() for _ in range(4)]
    replies = await asyncio.gather(
        *(store.step("window", StepMessage(f"m{index}", 1, 1, RULES)) for index, store in enumerate(stores))
    )
    # One request goes first.
    assert sum(len(reply.granted) for reply in replies) == 1
    assert len({reply.epoch for reply in replies}) == 1


async def test_an_outdated_step_changes_nothing(connect: Callable[[], Any]):
    store = await connect()
    await store.step("window", StepMessage("m", 7, 1, RULES))
    assert await store.step("window", StepMessage("m", 7, 1, RULES)) is None


async def test_statements_run_in_one_transaction(connect: Callable[[], Any]):
    one, other = await connect(), await connect()
    insert = "INSERT INTO voiceprint_deliveries VALUES ('scope', :job, 'succeeded', {now})"
    await one.run((insert, {"job": "a"}))
    with pytest.raises(StoreUnavailableError):
        await one.run((insert, {"job": "b"}), (insert, {"job": "a"}))
    assert await other.run(("SELECT job_id FROM voiceprint_deliveries", {})) == [("a",)]


async def test_another_version_is_refused(address: str, connect: Callable[[], Any], sandbox: Sandbox):
    store = await connect()
    await store.run(("UPDATE voiceprint_version SET version = 99", {}))
    error = await error_of_entering(client_of(sandbox, address))
    assert "has version 99" in str(error)
    assert not error.retryable


async def test_a_client_that_is_not_entered_connects_when_it_is_used(address: str, sandbox: Sandbox):
    client = client_of(sandbox, address)
    await client.submit(URL)
    await client.aclose()
    assert len(sandbox.accepted) == 1


async def test_a_closed_client_leaves_neither_task_nor_thread(address: str, sandbox: Sandbox):
    tasks = asyncio.all_tasks()
    async with client_of(sandbox, address) as client:
        await client.submit(URL)
    while any(thread.name.startswith("pyannote-voiceprint-shared") for thread in threading.enumerate()):
        await asyncio.sleep(0.001)
    assert asyncio.all_tasks() == tasks


async def test_a_closed_store_is_not_opened_again(address: str):
    store = open_store(SharedState(address))
    await store.open()
    await store.aclose()
    for call in (store.open, store.windows, lambda: store.run(("SELECT 1", {}))):
        with pytest.raises(StoreUnavailableError, match="was closed with its client"):
            await call()


async def test_a_cancelled_submission_leaves_nothing(address: str, sandbox: Sandbox):
    tasks = asyncio.all_tasks()
    client = client_of(sandbox, address)
    submitting = asyncio.create_task(client.submit(URL))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    submitting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await submitting
    await client.aclose()
    assert asyncio.all_tasks() == tasks


# SQLite


async def test_a_missing_folder_is_reported(tmp_path: Path, sandbox: Sandbox):
    error = await error_of_entering(client_of(sandbox, tmp_path / "missing" / "shared.db"))
    assert "No such file or directory" in str(error)
    assert not error.retryable


async def test_a_read_only_file_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox):
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    # The tests may run as root, who may write everywhere.
    monkeypatch.setattr(os, "open", refuse)
    error = await error_of_entering(client_of(sandbox, tmp_path / "shared.db"))
    monkeypatch.undo()
    assert "shared.db cannot be used: Permission denied." in str(error)
    assert not error.retryable


@pytest.mark.parametrize("content", [b"speaker,url\n" * 100, None])
async def test_a_file_of_another_kind_is_left_alone(tmp_path: Path, content: bytes | None, sandbox: Sandbox):
    path = tmp_path / "other.db"
    if content is None:
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("CREATE TABLE recordings (id)")
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    error = await error_of_entering(client_of(sandbox, path))
    assert not error.retryable
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("suffix", "advice"), [("", "Restore it from a backup"), ("-permits", "holds rate limits only")]
)
async def test_a_damaged_file_is_named(tmp_path: Path, suffix: str, advice: str, sandbox: Sandbox):
    """A power failure may damage the file of the windows. Nobody must delete the one with the keys then."""
    path = tmp_path / "shared.db"
    damaged = Path(f"{path}{suffix}")
    async with client_of(sandbox, path) as client:
        await client.submit(URL, key="a")
    damaged.write_bytes(b"\xff" * damaged.stat().st_size)
    error = await error_of_entering(client_of(sandbox, path))
    assert str(error).startswith(f"The shared state file {damaged} cannot be used: ")
    assert advice in str(error)
    assert not error.retryable
    assert len(sandbox.accepted) == 1


async def test_the_current_directory_may_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox):
    monkeypatch.chdir(tmp_path)
    async with client_of(sandbox, "shared.db") as client:
        await client.submit(URL, key="a")
        monkeypatch.chdir("/")
        await client.submit(URL, key="a")
    assert len(sandbox.accepted) == 1


@pytest.mark.parametrize("suffix", ["", "-permits"])
async def test_a_deleted_file_fails_all_requests(tmp_path: Path, suffix: str, sandbox: Sandbox):
    path = tmp_path / "shared.db"
    async with client_of(sandbox, path) as client:
        await client.submit(URL)
        Path(f"{path}{suffix}").unlink()
        with pytest.raises(SharedStateError, match="was deleted or replaced") as raised:
            await client.submit(URL)
        assert not raised.value.retryable
        assert len(sandbox.accepted) == 1


async def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox):
    monkeypatch.setattr(sqlite_store, "network_file_system", lambda _path: "nfs4")
    error = await error_of_entering(client_of(sandbox, tmp_path / "shared.db"))
    assert "is on a network file system (nfs4)" in str(error)


async def test_a_locked_file_is_tried_again(tmp_path: Path, sandbox: Sandbox):
    path = tmp_path / "shared.db"
    async with client_of(sandbox, path) as client:
        other = sqlite3.connect(f"{path}-permits", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        submitting = asyncio.create_task(client.submit(URL))
        await asyncio.sleep(0.05)
        assert not submitting.done()
        other.execute("COMMIT")
        other.close()
        await submitting


async def test_locked_keys_hold_up_no_rate_limit(tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch):
    """Another process was stopped in the middle of a change of a key."""
    monkeypatch.setattr(sqlite_store, "_KEYS_LOCK_TIMEOUT", 0.5)
    path = tmp_path / "shared.db"
    async with client_of(sandbox, path) as client:
        await client.submit(URL)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        with_key = [asyncio.create_task(client.submit(URL, key=f"key-{index}")) for index in range(10)]
        await client.submit(URL)
        assert not any(submitting.done() for submitting in with_key)
        for submitting in with_key:
            with pytest.raises(SharedStateError, match="another process holds its lock") as raised:
                await submitting
            assert raised.value.retryable
        other.execute("COMMIT")
        other.close()
        await client.submit(URL, key="key-1")
    assert len(sandbox.accepted) == 3


async def test_only_the_owner_may_read_the_files(tmp_path: Path):
    store = SqliteStore(tmp_path / "shared.db")
    await store.open()
    await store.aclose()
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


# PostgreSQL


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("/test_", "/missing_", "does not exist"),
        ("//postgres:", "//nobody:", "does not exist"),
    ],
)
async def test_a_wrong_dsn_is_reported(database: str, old: str, new: str, reason: str, sandbox: Sandbox):
    error = await error_of_entering(client_of(sandbox, database.replace(old, new)))
    assert reason in str(error)
    assert not error.retryable


async def test_a_server_that_cannot_be_reached_is_waited_for(tmp_path: Path):
    store = PostgresStore(Secret(f"postgresql://user@/database?host={tmp_path}"))
    with pytest.raises(StoreUnavailableError, match="cannot be reached") as raised:
        await store.open()
    assert not raised.value.is_final
    assert not raised.value.may_have_happened


async def test_many_processes_may_open_an_empty_database_at_once(database: str):
    for _ in range(20):
        with psycopg.connect(database, autocommit=True) as db:
            db.execute(
                "DROP TABLE IF EXISTS voiceprint_version, voiceprint_keys, voiceprint_deliveries, voiceprint_windows"
            )
        stores = [PostgresStore(Secret(database)) for _ in range(16)]
        await asyncio.gather(*(store.open() for store in stores))
        await asyncio.gather(*(store.aclose() for store in stores))


async def test_a_connection_that_the_server_closes_is_opened_again(database: str):
    store = PostgresStore(Secret(database))
    await store.open()
    with psycopg.connect(database, autocommit=True) as db:
        db.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    with pytest.raises(StoreUnavailableError) as raised:
        await store.step("window", StepMessage("m", 1, 1, RULES))
    assert not raised.value.is_final
    assert await store.step("window", StepMessage("m", 2, 1, RULES)) is not None
    await store.aclose()


async def test_a_step_does_not_wait_for_longer_than_the_patience_of_its_client(database: str):
    store = PostgresStore(Secret(database), patience=0.0)
    await store.step("window", StepMessage("m", 1, 1, RULES))
    with psycopg.connect(database) as db:
        db.execute("UPDATE voiceprint_windows SET state = state")
        with pytest.raises(StoreUnavailableError, match=r"no reply within 0\.5 s") as raised:
            await store.step("window", StepMessage("m", 2, 1, RULES))
    assert raised.value.may_have_happened
    await store.aclose()


async def test_a_process_that_is_stopped_in_a_step_holds_up_others_only_until_its_transaction_is_ended(database: str):
    """The server ends its transaction, and the lock of the window is free."""

    async def begin_step(db: psycopg.AsyncConnection[Any]) -> None:
        await psycopg.AsyncClientCursor(db).execute(postgres_store._LOCK_WINDOW, ["window", "window"])

    stopped, other = PostgresConnection(Secret(database)), PostgresStore(Secret(database))
    await stopped.call(begin_step)
    assert await other.step("window", StepMessage("m", 1, 1, RULES)) is not None
    with pytest.raises(StoreUnavailableError) as raised:
        await stopped.call(begin_step)
    assert not raised.value.is_final
    await stopped.aclose()
    await other.aclose()


PASSWORD = "p4ssw0rd-of-the-database"


@pytest.mark.parametrize(
    "dsn",
    [
        f"postgresql://user:{PASSWORD}@127.0.0.1:1/database",
        f"postgresql://user:{PASSWORD}@/missing?host=/nowhere",
        f"postgresql://user:{PASSWORD}%zz@127.0.0.1/database",
        f"postgresql://user:{PASSWORD}@127.0.0.1:port/database",
        f"postgresql://user:{PASSWORD}@domain..example.org/database",
        f"postgresql://user:a@{PASSWORD}@127.0.0.1/database",
        f"postgresql://user:a/{PASSWORD}@127.0.0.1/database",
        f"postgresql://user:{PASSWORD}/a@127.0.0.1/database",
        f"postgresql://user:{PASSWORD}?a@127.0.0.1/database",
        f"postgresql://user:{PASSWORD}",
        f"postgresql://user:{PASSWORD}\udcff@127.0.0.1/database",
        f"host=127.0.0.1 user=user password={PASSWORD}",
        f" postgresql://user:{PASSWORD}@127.0.0.1/database",
        f"mysql://user:{PASSWORD}@127.0.0.1/database",
    ],
)
async def test_the_password_is_shown_nowhere(dsn: str):
    """Neither a message nor a local variable of any frame shows the password, also in chained errors."""
    texts = []
    try:
        state = SharedState(dsn)
        texts.append(repr(state))
        client = AsyncVoiceprintClient("key", shared=dsn)
        texts.append(repr(client))
        await client.aclose()
        store = open_store(state)
        await store.open()
    except (ConfigurationError, StoreUnavailableError) as error:
        chain: list[BaseException | None] = [error, error.__context__, error.__cause__]
        for link in filter(None, chain):
            frames = traceback.TracebackException.from_exception(link, capture_locals=True).format()
            # The first frame is that of this test.
            texts += [text for text in frames if __file__ not in text]
            texts.append(str(link))
    assert texts
    assert not [text for text in texts if PASSWORD in text]


# The setting


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://",
        "postgresql:///database",
        "postgres://user:p%40ss%2Fword@host:5432/database?sslmode=require&application_name=a@b",
        "postgresql://user@one:1,[::1]:2,three/database",
        "postgresql://%2Fvar%2Frun/database",
        "postgresql:///?host=@abstract&user=user",
    ],
)
def test_dsns_of_every_form_are_accepted(dsn: str):
    assert SharedState(dsn).store[:] == dsn


@pytest.mark.parametrize("shared", ["", 3, b"path", "redis://localhost", "postgresql://host/%zz", "a\0b"])
def test_other_values_are_refused(shared: Any):
    with pytest.raises(ConfigurationError):
        AsyncVoiceprintClient("key", shared=shared)


@pytest.mark.parametrize(
    "setting", [{"team": ""}, {"team": "a|b"}, {"reserve": -1}, {"reserve": 1.5}, {"patience": -1}]
)
def test_invalid_settings_are_refused(setting: dict[str, Any]):
    with pytest.raises(ConfigurationError):
        SharedState("shared.db", **setting)


def test_a_rate_limiter_beside_shared_state_is_refused():
    with pytest.raises(ConfigurationError, match="shared= or rate_limiter=, not both"):
        AsyncVoiceprintClient("key", shared="shared.db", rate_limiter=RateLimiter())
