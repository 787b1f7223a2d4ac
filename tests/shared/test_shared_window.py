"""Clients that share windows, on a fake clock: limits, pauses, estimates, outages, closing."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import orjson
import pytest
from fake_clock import FakeClock, settle
from memory_store import MemoryStore, unreachable

from pyannote_voiceprint_async import (
    AsyncVoiceprintClient,
    QueueTooLongError,
    RateLimit,
    RateLimitError,
    RateLimits,
    RetryPolicy,
    SharedStateError,
)
from pyannote_voiceprint_async.events import ClientEvent, SharedStateLost, SharedStateRestored
from pyannote_voiceprint_async.sandbox import Sandbox
from pyannote_voiceprint_async.shared import connection

URL = "https://files.example.org/a.wav"
LIMIT = 10
OneClient = Callable[..., Awaitable[AsyncVoiceprintClient]]


@pytest.fixture
def store(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    memory = MemoryStore(clock)
    monkeypatch.setattr(connection, "open_store", lambda _state: memory)
    return memory


@pytest.fixture
async def api(start: Callable[..., Any], clock: FakeClock) -> Sandbox:
    return await start(Sandbox(rate_limit=(LIMIT, 60.0), now=clock.wall, sleep=clock.sleep))


@pytest.fixture
def connect(start: Callable[..., Any], store: MemoryStore, api: Sandbox, clock: FakeClock) -> OneClient:
    """Return a function that returns one more client of the store."""

    def connect(**settings: Any) -> Awaitable[AsyncVoiceprintClient]:
        settings = {"shared": "unused.db", "base_url": api.url} | settings
        return start(AsyncVoiceprintClient(api.api_key, clock=clock, **settings))

    return connect


def refusals(*clients: AsyncVoiceprintClient) -> int:
    return sum(client.stats.rate_limited for client in clients)


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


async def meet(clients: Iterable[AsyncVoiceprintClient], clock: FakeClock) -> None:
    """Submit once with each client, and wait until each knows the others: it learns of them with its next heartbeat."""
    for client in clients:
        await client.submit(URL)
    await until(lambda: clock.time() > 5)


async def test_clients_share_the_limit_of_an_operation(connect: OneClient, clock: FakeClock, api: Sandbox):
    shared = connection.SharedState("unused.db", reserve=0)
    clients = [await connect(shared=shared), await connect(shared=shared), await connect(shared=shared)]
    async with clock.running(*clients):
        await asyncio.gather(*(client.submit(URL) for client in clients for _ in range(LIMIT)))
    assert len(api.accepted) == 3 * LIMIT
    assert refusals(*clients) == 0
    # Three windows of 60 s need two waits.
    assert 120 <= clock.time() < 150


async def test_clients_without_shared_state_exceed_the_limit(connect: OneClient, clock: FakeClock):
    """The tests of this file could not fail otherwise."""
    clients = [await connect(shared=None), await connect(shared=None)]
    async with clock.running(*clients):
        await asyncio.gather(*(client.submit(URL) for client in clients for _ in range(LIMIT)))
    assert refusals(*clients) > 0


async def test_teams_share_nothing(connect: OneClient, store: MemoryStore, clock: FakeClock, api: Sandbox):
    one = await connect(shared=connection.SharedState("unused.db", team="one"))
    async with clock.running(one):
        await one.submit(URL)
        await one.check_key()
    assert set(store.windows) == {f"one|{api.url}|submissions", f"one|{api.url}|key_test"}


async def test_a_ceiling_of_one_client_leaves_the_rest_to_others(connect: OneClient, clock: FakeClock, api: Sandbox):
    modest, other = await connect(rate_limits=RateLimits(submissions=RateLimit(2))), await connect()
    async with clock.running(modest, other):
        await other.submit(URL)
        began = clock.time()
        await asyncio.gather(*(other.submit(URL) for _ in range(LIMIT - 2)))
        assert clock.time() - began < 30
        await modest.submit(URL)
        assert clock.time() - began > 30
    assert refusals(modest, other) == 0


async def test_a_queue_that_other_clients_fill_is_too_long(connect: OneClient, clock: FakeClock):
    busy, light = await connect(), await connect()
    async with clock.running(busy, light):
        await asyncio.gather(*(busy.submit(URL) for _ in range(LIMIT)))
        with pytest.raises(QueueTooLongError) as raised:
            await light.submit(URL, max_queue_wait=20.0)
        assert 50 < raised.value.expected_wait <= 61
        await light.submit(URL, max_queue_wait=70.0)
    assert refusals(busy, light) == 0


@pytest.mark.parametrize(("used", "remaining", "shortest", "longest"), [(LIMIT - 1, 1, 0, 0), (LIMIT, 0, 50, 61)])
async def test_the_status_counts_the_permits_of_all_clients(
    connect: OneClient, clock: FakeClock, used: int, remaining: int, shortest: float, longest: float
):
    shared = connection.SharedState("unused.db", reserve=0)
    busy, idle = await connect(shared=shared), await connect(shared=shared)
    async with clock.running(busy, idle):
        await idle.submit(URL)
        await asyncio.gather(*(busy.submit(URL) for _ in range(used - 1)))
        status = busy.rate_limit("submissions")
    assert (status.limit, status.remaining) == (LIMIT, remaining)
    assert shortest <= status.next_permit_in <= longest


async def test_a_refusal_pauses_all_clients_and_one_request_goes_first(
    connect: OneClient, clock: FakeClock, start: Callable[..., Any]
):
    hidden = await start(Sandbox(rate_limit=(3, 60.0), headers=False, now=clock.wall, sleep=clock.sleep))
    clients = [await connect(base_url=hidden.url), await connect(base_url=hidden.url)]
    async with clock.running(*clients):
        await clients[0].submit(URL)
        await clients[0].submit(URL)
        await clients[0].submit(URL)
        first = asyncio.create_task(clients[0].submit(URL))
        await until(lambda: refusals(*clients))
        await asyncio.gather(first, clients[1].submit(URL))
    assert refusals(*clients) == 1


async def test_a_long_pause_fails_the_waiting_requests_of_all_clients(
    connect: OneClient, clock: FakeClock, start: Callable[..., Any]
):
    hidden = await start(Sandbox(rate_limit=(3, 60.0), headers=False, now=clock.wall, sleep=clock.sleep))
    settings = {"base_url": hidden.url, "retry": RetryPolicy(max_retry_after=10.0)}
    one, other = await connect(**settings), await connect(**settings)
    async with clock.running(one, other):
        for _ in range(3):
            await one.submit(URL)
        results = await asyncio.gather(one.submit(URL), other.submit(URL), return_exceptions=True)
    assert [type(result) for result in results] == [RateLimitError, RateLimitError]
    assert refusals(one, other) <= 2


async def test_clients_that_lose_the_store_send_their_shares(
    connect: OneClient, store: MemoryStore, clock: FakeClock, api: Sandbox, caplog: pytest.LogCaptureFixture
):
    clients = [await connect(), await connect()]
    async with clock.running(*clients):
        await meet(clients, clock)
        store.failure = unreachable()
        began = clock.time()
        await asyncio.gather(*(client.submit(URL) for client in clients for _ in range(2)))
        # They wait for the store first.
        assert clock.time() - began >= 10
        # Each has a share of 5, of which one and two are used.
        await asyncio.gather(*(client.submit(URL) for client in clients for _ in range(3)))
        assert clock.time() - began > 50
        warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
        assert [record.message.split(" Until")[0] for record in warnings] == ["The store is away."] * len(clients)
        store.failure = None
        await asyncio.gather(*(client.submit(URL) for client in clients for _ in range(LIMIT)))
    assert refusals(*clients) == 0
    assert len(api.accepted) == 12 + 2 * LIMIT


async def test_clients_that_start_without_the_store_send_what_others_leave_for_them(
    connect: OneClient, store: MemoryStore, clock: FakeClock, api: Sandbox
):
    """They know no other client: if each of them used the whole limit, most of their requests would be refused."""
    store.failure = unreachable(may_have_happened=False)
    clients = [await connect(shared=connection.SharedState("unused.db", reserve=count)) for count in (0, 1, 2, 3)]
    async with clock.running(*clients):
        submitting = [asyncio.create_task(client.submit(URL)) for client in clients for _ in range(LIMIT)]
        await until(lambda: clock.time() > 50)
        assert [client.stats.submitted for client in clients] == [1, 1, 2, 3]
        store.failure = None
        await asyncio.gather(*submitting)
    assert refusals(*clients) == 0


async def test_the_clients_of_one_window_are_known_in_the_others(
    connect: OneClient, store: MemoryStore, clock: FakeClock
):
    limits = RateLimits(key_test=RateLimit(LIMIT))
    clients = [await connect(rate_limits=limits), await connect(rate_limits=limits)]
    async with clock.running(*clients):
        await meet(clients, clock)
        store.failure = unreachable()
        began = clock.time()
        checks = [asyncio.create_task(clients[0].check_key()) for _ in range(LIMIT)]
        await until(lambda: clock.time() > began + 50)
        assert sum(check.done() for check in checks) == LIMIT // 2
        store.failure = None
        await asyncio.gather(*checks)


async def test_a_store_that_returns_learns_what_was_sent_meanwhile(
    connect: OneClient, store: MemoryStore, clock: FakeClock
):
    seen: list[ClientEvent] = []
    client = await connect(on_event=seen.append)
    async with clock.running(client):
        await client.check_key()
        store.failure = unreachable(may_have_happened=False)
        await asyncio.gather(*(client.submit(URL) for _ in range(LIMIT)))
        assert [event for event in seen if event.operation == "shared"] == [
            SharedStateLost(0, "shared", str(store.failure))
        ]
        store.failure = None
        newcomer = await connect()
        with pytest.raises(QueueTooLongError):
            await newcomer.submit(URL, max_queue_wait=30.0)
    assert SharedStateRestored(0, "shared") in seen


async def test_lost_replies_cost_no_permit(connect: OneClient, store: MemoryStore, clock: FakeClock):
    client = await connect()
    async with clock.running(client):
        await client.submit(URL)
        store.failure, store.loses_replies = unreachable(), True
        submitting = asyncio.gather(*(client.submit(URL) for _ in range(LIMIT - 1)))
        steps = store.steps.total()
        await until(lambda: store.steps.total() >= steps + 5)
        store.failure = None
        await submitting
        # A permit of a lost reply would return after 122 s.
        assert clock.time() < 60


@pytest.mark.parametrize("newcomers", [0, 1])
@pytest.mark.parametrize("jump", [300.0, -300.0])
async def test_a_store_whose_clock_is_set_exceeds_no_limit_and_delays_nobody(
    connect: OneClient, store: MemoryStore, clock: FakeClock, jump: float, newcomers: int
):
    """A process that starts just then cannot know that the clock was set."""
    shared = connection.SharedState("unused.db", reserve=0)
    clients = [await connect(shared=shared) for _ in range(3)]
    async with clock.running(*clients):
        submitting = [asyncio.create_task(client.submit(URL)) for client in clients for _ in range(LIMIT)]
        for until_time in (20, 70, 80, 100):
            await until(lambda: clock.time() > until_time)  # noqa: B023 - used in this iteration only
            store.clock_offset = jump - store.clock_offset
            new = [await connect(shared=shared) for _ in range(newcomers)]
            submitting += [asyncio.create_task(client.submit(URL)) for client in new]
            clients += new
        await asyncio.gather(*submitting)
    assert refusals(*clients) == 0
    # Three windows of 60 s need two waits, four of them three; each is a little longer after the clock was set.
    assert 120 + 60 * newcomers <= clock.time() < 140 + 60 * newcomers


async def test_a_lost_window_is_told_what_is_in_use(connect: OneClient, store: MemoryStore, clock: FakeClock):
    clients = [await connect(), await connect()]
    async with clock.running(*clients):
        await asyncio.gather(*(client.submit(URL) for client in clients for _ in range(LIMIT // 2)))
        store.windows.clear()
        await asyncio.gather(*(client.submit(URL) for client in clients for _ in range(LIMIT // 2)))
    assert refusals(*clients) == 0


async def test_a_store_that_can_never_be_used_fails_the_waiting_requests(
    connect: OneClient, store: MemoryStore, clock: FakeClock
):
    client = await connect()
    store.failure = unreachable(is_final=True)
    async with clock.running(client):
        with pytest.raises(SharedStateError, match=r"The store is away\.") as raised:
            await client.submit(URL)
    assert not raised.value.retryable
    assert not raised.value.outcome_unknown


async def test_an_idle_client_makes_no_steps(connect: OneClient, store: MemoryStore, clock: FakeClock):
    client = await connect()
    async with clock.running(client):
        await client.submit(URL)
    await clock.advance(100.0)
    for _ in range(200):
        await clock.advance(1.0)
    steps = store.steps.total()
    await clock.advance(1000.0)
    assert store.steps.total() == steps
    assert clock.next_at() is None


async def test_a_closed_client_reports_its_responses_and_leaves_nothing(
    connect: OneClient, store: MemoryStore, clock: FakeClock
):
    tasks = asyncio.all_tasks()
    client = await connect()
    running = clock.running(client)
    async with running:
        await client.submit(URL)
    sent_at = clock.time()
    await client.aclose()
    await settle()
    (window,) = [orjson.loads(state) for name, state in store.windows.items() if name.endswith("|submissions")]
    assert [round(when / 1000) for when in window["permits"].values()] == [round(sent_at + 60)]
    assert window["members"] == {}
    assert asyncio.all_tasks() <= tasks | {asyncio.current_task()}
    assert clock.next_at() is None
    assert store.clients == 0
