"""Webhook deliveries that reach another process than the one that waits."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from fake_clock import settle

from pyannote_voiceprint_async import (
    AsyncVoiceprintClient,
    JobFailedError,
    JobStatus,
    Polling,
    VoiceprintOutput,
    VoiceprintRequest,
    WebhookEvent,
)
from pyannote_voiceprint_async.sandbox import Sandbox, voiceprint_of
from pyannote_voiceprint_async.shared import mailbox, postgres_store
from pyannote_voiceprint_async.shared.delivery_table import DeliveryTable
from pyannote_voiceprint_async.shared.mailbox import Mailbox
from pyannote_voiceprint_async.shared.state import SharedState
from pyannote_voiceprint_async.shared.store import Store

URL = "https://files.example.org/a.wav"
FAILED = "https://files.example.org/unreachable.wav"
HOOK = "https://example.com/hook"
PROGRAM = Path(__file__).with_name("deliver_program.py")
OneClient = Callable[..., Awaitable[AsyncVoiceprintClient]]


@pytest.fixture
def connect(start: Callable[..., Any], address: str, no_grace: None) -> OneClient:
    """Return a function that returns one more client, which does not poll for an hour if it expects a webhook."""

    def connect(sandbox: Sandbox, **settings: Any) -> Awaitable[AsyncVoiceprintClient]:
        return start(
            AsyncVoiceprintClient(
                sandbox.api_key,
                base_url=sandbox.url,
                **{"shared": address, "polling": Polling(webhook_grace=3600.0)} | settings,
            )
        )

    return connect


async def stored(store: Store) -> list[tuple[str, str]]:
    """Return the job id and the status of each stored delivery."""
    return await store.run(("SELECT job_id, status FROM voiceprint_deliveries", {}))


def submit(client: AsyncVoiceprintClient, url: str = URL) -> Awaitable[Any]:
    return client.submit(VoiceprintRequest(url, webhook=HOOK))


def event(job: Any, status: str = "succeeded", output: VoiceprintOutput | None = None) -> WebhookEvent:
    return WebhookEvent(job.job_id, JobStatus(status), output)


def count_reads(sandbox: Sandbox) -> int:
    operations = sandbox.state.operations
    return operations["job"].requests + operations["jobs"].requests


async def test_a_delivery_to_one_client_ends_the_wait_of_another(connect: OneClient, sandbox: Sandbox):
    receiver, waiter = await connect(sandbox), await connect(sandbox)
    job = await submit(waiter)
    waiting = asyncio.create_task(waiter.wait(job))
    await settle()
    receiver.deliver(event(job, output=VoiceprintOutput("dm9pY2U=")))
    # The result comes from the API: it is not in the store.
    assert (await waiting).voiceprint == voiceprint_of(URL)
    assert count_reads(sandbox) == 1


async def test_a_delivery_before_the_wait_ends_it_at_once(connect: OneClient, sandbox: Sandbox):
    receiver, waiter = await connect(sandbox), await connect(sandbox)
    job = await submit(waiter, FAILED)
    receiver.deliver(event(job, "failed"))
    with pytest.raises(JobFailedError):
        await waiter.wait(job)


async def test_one_wait_after_another(connect: OneClient, sandbox: Sandbox):
    """The second wait may begin while the looking for the first one ends."""
    receiver, waiter = await connect(sandbox), await connect(sandbox)
    for _ in range(3):
        job = await submit(waiter)
        waiting = asyncio.create_task(waiter.wait(job))
        await settle()
        receiver.deliver(event(job))
        await waiting


async def test_a_delivery_ends_the_waits_of_all_processes(connect: OneClient, sandbox: Sandbox):
    """Calls with the same key wait for one job."""
    clients = [await connect(sandbox) for _ in range(3)]
    jobs = [await client.submit(VoiceprintRequest(URL, webhook=HOOK), key="a") for client in clients]
    waiting = [asyncio.create_task(client.wait(job)) for client, job in zip(clients, jobs, strict=True)]
    await settle()
    clients[0].deliver(event(jobs[0]))
    results = await asyncio.gather(*waiting)
    assert [job.voiceprint for job in results] == [voiceprint_of(URL)] * 3


async def test_only_the_status_of_an_ended_job_is_stored(connect: OneClient, sandbox: Sandbox, store: Store):
    client = await connect(sandbox)
    job = await submit(client)
    client.deliver(event(job, output=VoiceprintOutput("dm9pY2U=")))
    client.deliver(WebhookEvent("running", JobStatus("running"), None))
    await client.aclose()
    assert await stored(store) == [(job.job_id, "succeeded")]
    columns = await store.run(("SELECT * FROM voiceprint_deliveries", {}))
    assert "dm9pY2U=" not in str(columns)


async def test_deliveries_are_deleted_after_a_minute(connect: OneClient, sandbox: Sandbox, store: Store):
    client = await connect(sandbox)
    old, new = await submit(client), await submit(client)
    await DeliveryTable(store, "scope").post({old.job_id: "succeeded"})
    await store.run(("UPDATE voiceprint_deliveries SET delivered_at = delivered_at - 61000", {}))
    client.deliver(event(new))
    await client.aclose()
    assert await stored(store) == [(new.job_id, "succeeded")]


async def test_teams_have_their_own_deliveries(connect: OneClient, sandbox: Sandbox, store: Store, address: str):
    client = await connect(sandbox, shared=SharedState(address, team="other"))
    job = await submit(client)
    client.deliver(event(job))
    await client.aclose()
    found = {team: await DeliveryTable(store, f"{team}|{sandbox.url}").read() for team in ("default", "other")}
    assert {team: [delivery.job_id for delivery in deliveries] for team, deliveries in found.items()} == {
        "default": [],
        "other": [job.job_id],
    }


async def test_each_delivery_is_passed_on_once(store: Store):
    """A read that fails is repeated with the next poll, and not with each look."""
    mailbox, passed_on = Mailbox(DeliveryTable(store, "scope")), []
    arrived = asyncio.Event()

    def receive(event: WebhookEvent) -> None:
        passed_on.append(event.job_id)
        arrived.set()

    mailbox.awaited, mailbox.on_delivery = {"first", "second"}, receive
    mailbox.start_reading()
    for job_id in ("first", "of another process", "second"):
        mailbox.post(WebhookEvent(job_id, JobStatus.SUCCEEDED))
        if job_id in mailbox.awaited:
            await arrived.wait()
            arrived.clear()
    await mailbox.aclose()
    assert passed_on == ["first", "second"]


async def test_a_closed_client_leaves_no_task(connect: OneClient, sandbox: Sandbox):
    tasks = asyncio.all_tasks()
    client = await connect(sandbox)
    job = await client.submit(URL)
    await client.wait(job)
    client.deliver(event(job))
    await client.aclose()
    client.deliver(event(job))
    await settle()
    assert asyncio.all_tasks() == tasks


async def test_lost_connections_lose_no_delivery(
    database: str, sandbox: Sandbox, start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(mailbox, "_TRY_INTERVAL", 0.01)
    monkeypatch.setattr(postgres_store, "_LISTEN_RETRY", 0.01)
    polling = Polling(webhook_grace=3600.0)
    waiter, receiver = [
        await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, shared=database, polling=polling))
        for _ in range(2)
    ]
    job = await submit(waiter)
    waiting = asyncio.create_task(waiter.wait(job))
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with psycopg.connect(database, autocommit=True) as db:
        while not db.execute(f"SELECT pid {others} AND query LIKE 'LISTEN%'").fetchall():
            await asyncio.sleep(0.01)
        db.execute(f"SELECT pg_terminate_backend(pid) {others}")
    receiver.deliver(event(job))
    assert (await waiting).voiceprint == voiceprint_of(URL)


async def test_a_delivery_to_another_process_ends_the_wait(connect: OneClient, sandbox: Sandbox, address: str):
    waiter = await connect(sandbox)
    job = await submit(waiter)
    waiting = asyncio.create_task(waiter.wait(job))
    process = await asyncio.create_subprocess_exec(
        sys.executable, PROGRAM, sandbox.url, address, job.job_id, stdout=PIPE
    )
    output, _ = await process.communicate()
    assert json.loads(output) == {"requests": 0}
    assert (await waiting).voiceprint == voiceprint_of(URL)
