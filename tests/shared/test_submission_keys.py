"""Submission keys: at most one accepted job for each key."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from fake_clock import settle
from postgres_relay import PostgresRelay

from pyannote_voiceprint_async import (
    ApiConnectionError,
    AsyncVoiceprintClient,
    ClientClosedError,
    ConfigurationError,
    InvalidRequestError,
    JobCreated,
    JobExpiredError,
    NotFoundError,
    Polling,
    RetryPolicy,
    SharedStateError,
    SubmissionInProgressError,
    UnknownOutcomeError,
    VoiceprintError,
    VoiceprintRequest,
)
from pyannote_voiceprint_async.sandbox import Sandbox
from pyannote_voiceprint_async.shared import fingerprint, key_table, keyed_call, submission_keys
from pyannote_voiceprint_async.shared.connection import open_store
from pyannote_voiceprint_async.shared.key_states import CHANGES, KeyChange, KeyState
from pyannote_voiceprint_async.shared.key_table import LEASE, Claim, KeyTable
from pyannote_voiceprint_async.shared.keyed_call import unknown_outcome
from pyannote_voiceprint_async.shared.state import SharedState

URL = "https://bucket.s3.amazonaws.com/a.wav?versionId=1&X-Amz-Signature={}&X-Amz-Credential=c&X-Amz-Algorithm=a"
OneClient = Callable[..., Awaitable[AsyncVoiceprintClient]]


def jobs_of(sandbox: Sandbox) -> list[str]:
    return [job.id for job in sandbox.accepted]


@pytest.fixture
def connect(start: Callable[..., Any], address: str, no_grace: None) -> OneClient:
    """Return a function that returns one more client of the store."""

    def connect(sandbox: Sandbox, **settings: Any) -> Awaitable[AsyncVoiceprintClient]:
        polling = Polling(first=0.01, longest=0.05)
        return start(
            AsyncVoiceprintClient(
                sandbox.api_key, base_url=sandbox.url, **{"shared": address, "polling": polling} | settings
            )
        )

    return connect


async def test_repeated_calls_return_the_job_of_the_first(connect: OneClient, sandbox: Sandbox):
    one, other = await connect(sandbox), await connect(sandbox)
    jobs = [await one.submit(URL.format(1), key="a"), await one.submit(URL.format(2), key="a")]
    jobs.append(await other.submit(VoiceprintRequest(URL.format(3), webhook="https://example.org/hook"), key="a"))
    assert {job.job_id for job in jobs} == set(jobs_of(sandbox))
    assert len(sandbox.accepted) == 1


async def test_a_repeated_call_returns_its_job_after_an_upgrade_that_knows_a_new_signature(
    connect: OneClient, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    earlier, later = await connect(sandbox), await connect(sandbox)
    with monkeypatch.context() as patch:
        patch.setattr(fingerprint, "url_identity", str)
        job = await earlier.submit(URL.format(1), key="a")
    assert (await later.submit(URL.format(1), key="a")).job_id == job.job_id
    assert len(sandbox.accepted) == 1
    with pytest.raises(InvalidRequestError, match="the audio differs"):
        await later.submit(URL.format(1).replace("a.wav", "b.wav"), key="a")


async def test_concurrent_calls_submit_once(connect: OneClient, start: Callable[..., Any]):
    slow = await start(Sandbox(latency=(0.05, 0.05)))
    clients = [await connect(slow) for _ in range(3)]
    jobs = await asyncio.gather(*(client.submit(URL.format(1), key="a") for client in clients for _ in range(3)))
    assert {job.job_id for job in jobs} == set(jobs_of(slow))
    assert len(slow.accepted) == 1


async def test_different_keys_submit_each(connect: OneClient, sandbox: Sandbox):
    client = await connect(sandbox)
    async with client.submit_many([URL.format(1), URL.format(2)] * 2, key=str) as results:
        jobs = {result.job.job_id async for result in results if result.job}
    assert jobs == set(jobs_of(sandbox))
    assert len(jobs) == 2


@pytest.mark.parametrize(
    ("request_", "part"),
    [
        (VoiceprintRequest(URL.format(1), model="precision-3"), "model"),
        (VoiceprintRequest(URL.format(1).replace("a.wav", "b.wav")), "audio"),
        (VoiceprintRequest(URL.format(1).replace("versionId=1", "versionId=2")), "audio"),
    ],
)
async def test_a_key_of_another_request_is_an_error(
    connect: OneClient, sandbox: Sandbox, request_: VoiceprintRequest, part: str
):
    client = await connect(sandbox)
    await client.submit(URL.format(1), key="a")
    with pytest.raises(InvalidRequestError, match=f"the {part} differs"):
        await client.submit(request_, key="a")
    with pytest.raises(InvalidRequestError, match="the operation differs"):
        await client.submit_identification(URL.format(1), {"Anna": "dm9pY2U="}, key="a")
    assert len(sandbox.accepted) == 1


async def test_an_accepted_key_of_local_audio_uploads_nothing(connect: OneClient, sandbox: Sandbox, speech: Path):
    audio = min(speech.glob("*.wav"), key=lambda path: path.stat().st_size)
    one, other = await connect(sandbox), await connect(sandbox)
    first = await one.voiceprint(audio, key="a")
    again = await other.voiceprint(audio.read_bytes(), key="a")
    assert again == first
    assert len(sandbox.accepted) == 1
    assert other.stats.requests == 1  # the read of the job
    with pytest.raises(InvalidRequestError, match="the audio differs"):
        await other.voiceprint(b"RIFF other audio", key="a", check=False)


async def test_a_refused_submission_frees_its_key(connect: OneClient, start: Callable[..., Any]):
    poor = await start(Sandbox(credit=0))
    client = await connect(poor)
    for _ in range(2):
        with pytest.raises(VoiceprintError) as raised:
            await client.submit(URL.format(1), key="a")
        assert raised.value.status == 402
    # Also for another request.
    with pytest.raises(VoiceprintError) as raised:
        await client.submit("https://example.org/b.wav", key="a")
    assert raised.value.status == 402


async def test_an_unknown_outcome_is_never_paid_again(connect: OneClient, start: Callable[..., Any]):
    lossy = await start(Sandbox(faults={"drop-after-accept": 1.0}))
    client = await connect(lossy, retry=RetryPolicy(replay_unknown=True))
    with pytest.raises((UnknownOutcomeError, ApiConnectionError)) as first:
        await client.submit(URL.format(1), key="a")
    assert first.value.outcome_unknown
    other = await connect(lossy)
    with pytest.raises(UnknownOutcomeError, match="may have been accepted") as raised:
        await other.submit(URL.format(1), key="a")
    assert raised.value.key == "a"
    assert [job.job_id for job in raised.value.candidates] == jobs_of(lossy)
    assert len(lossy.accepted) == 1
    with pytest.raises(NotFoundError):
        await other.resolve_key("a", job_id="00000000-0000-4000-8000-000000000000")
    await other.resolve_key("a", job_id=raised.value.candidates[0].job_id)
    assert (await other.submit(URL.format(1), key="a")).job_id in jobs_of(lossy)
    assert len(lossy.accepted) == 1
    await other.resolve_key("a", job_id=None)
    with pytest.raises(VoiceprintError):
        await other.submit(URL.format(1), key="a")
    assert len(lossy.accepted) == 2


async def test_a_cancelled_caller_leaves_its_job_to_the_key(connect: OneClient, start: Callable[..., Any]):
    slow = await start(Sandbox(latency=(0.1, 0.1)))
    client = await connect(slow)
    submitting = asyncio.create_task(client.submit(URL.format(1), key="a"))
    while not slow.state.total.in_flight:
        await asyncio.sleep(0.001)
    submitting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await submitting
    job = await client.submit(URL.format(1), key="a")
    assert jobs_of(slow) == [job.job_id]


async def test_a_caller_that_is_cancelled_before_sending_frees_its_key(connect: OneClient, start: Callable[..., Any]):
    full = await start(Sandbox(rate_limit=(1, 1000.0)))
    client, other = await connect(full), await connect(full)
    await client.submit(URL.format(0))
    submitting = asyncio.create_task(client.submit(URL.format(1), key="a"))
    while not client.stats.queued:
        await asyncio.sleep(0.001)
    with pytest.raises(SubmissionInProgressError):
        await other.voiceprint(URL.format(1), key="a", timeout=0.3)
    submitting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await submitting
    assert await other.engine.keys.jobs() == set()
    with pytest.raises(InvalidRequestError, match="There is no submission key"):
        await other.resolve_key("a", job_id=None)


@pytest.mark.parametrize("turns", [1, 2, 20])
async def test_a_client_that_is_closed_meanwhile_frees_its_keys(
    connect: OneClient, sandbox: Sandbox, address: str, turns: int
):
    client, other = await connect(sandbox), await connect(sandbox)
    urls = [f"https://files.example.org/{index}.wav" for index in range(5)]
    submitting = [asyncio.create_task(client.submit(url, key=url)) for url in urls]
    await settle(turns)
    await client.aclose()
    results = await asyncio.gather(*submitting, return_exceptions=True)
    jobs = {result.job_id for result in results if isinstance(result, JobCreated)}
    assert all(isinstance(result, JobCreated | ClientClosedError) for result in results)
    assert jobs == set(jobs_of(sandbox)) == await other.engine.keys.jobs()
    again = await asyncio.gather(*(other.submit(url, key=url) for url in urls))
    assert {job.job_id for job in again} == set(jobs_of(sandbox))
    assert len(sandbox.accepted) == len(urls)


async def test_a_deleted_job_names_the_key(connect: OneClient, sandbox: Sandbox, address: str):
    client = await connect(sandbox)
    await client.submit(URL.format(1), key="a")
    store = open_store(SharedState(address))
    await store.run(("UPDATE voiceprint_keys SET job_id = 'deleted'", {}))
    await store.aclose()
    with pytest.raises(JobExpiredError) as raised:
        await client.voiceprint(URL.format(1), key="a")
    assert raised.value.job_id == "deleted"
    assert "resolve_key('a', job_id=None)" in raised.value.__notes__[0]


async def test_keys_of_accepted_jobs_are_purged(connect: OneClient, sandbox: Sandbox):
    client = await connect(sandbox)
    await client.submit(URL.format(1), key="a")
    assert await client.purge_keys(older_than=3600) == 0
    assert await client.purge_keys(older_than=0) == 1
    await client.submit(URL.format(1), key="a")
    assert len(sandbox.accepted) == 2


async def test_teams_have_their_own_keys(connect: OneClient, sandbox: Sandbox, address: str):
    one, other = await connect(sandbox), await connect(sandbox, shared=SharedState(address, team="other"))
    await one.submit(URL.format(1), key="a")
    await other.submit("https://example.org/b.wav", key="a")
    assert len(sandbox.accepted) == 2


async def test_without_the_store_nothing_with_a_key_is_sent(
    sandbox: Sandbox, tmp_path: Path, start: Callable[..., Any]
):
    path = tmp_path / "shared.db"
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, shared=path))
    path.unlink()
    with pytest.raises(SharedStateError, match="was deleted"):
        await client.submit(URL.format(1), key="a")
    assert not sandbox.accepted


async def test_a_store_that_cannot_be_reached_refuses_keys_until_it_is_back(
    sandbox: Sandbox, start: Callable[..., Any], relay: PostgresRelay, no_grace: None
):
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, shared=relay.dsn))
    await client.submit(URL.format(1), key="a")
    await relay.cut()
    for _ in range(2):
        with pytest.raises(SharedStateError, match="Nothing with a submission key is sent without it") as raised:
            await client.submit(URL.format(1), key="b")
        assert raised.value.retryable
    assert len(sandbox.accepted) == 1
    await relay.restore()
    await client.submit(URL.format(1), key="b")
    assert len(sandbox.accepted) == 2


@pytest.mark.parametrize("end", ["renewal", "close"])
async def test_a_job_is_recorded_when_the_store_is_back(
    start: Callable[..., Any],
    relay: PostgresRelay,
    database: str,
    no_grace: None,
    monkeypatch: pytest.MonkeyPatch,
    end: str,
):
    """However long the outage is: the renewals of the process must not keep the key in the state `sending`."""
    monkeypatch.setattr(keyed_call, "_MAX_TRIES", 2)
    monkeypatch.setattr(keyed_call, "_TRY_INTERVAL", 0.01)
    monkeypatch.setattr(submission_keys, "_RENEWAL_INTERVAL", 0.05)
    slow = await start(Sandbox(latency=(0.2, 0.2)))
    client, other = [
        await start(AsyncVoiceprintClient(slow.api_key, base_url=slow.url, shared=dsn)) for dsn in (relay.dsn, database)
    ]
    submitting = asyncio.create_task(client.submit(URL.format(1), key="a"))
    while not slow.state.total.in_flight:
        await asyncio.sleep(0.001)
    await relay.cut()
    job = await submitting
    await relay.restore()
    if end == "close":
        await client.aclose()
    assert (await other.submit(URL.format(1), key="a")).job_id == job.job_id
    assert jobs_of(slow) == [job.job_id]


async def test_a_key_without_shared_state_is_an_error(client: AsyncVoiceprintClient):
    with pytest.raises(ConfigurationError, match="pass shared= to the client"):
        await client.submit(URL.format(1), key="a")


@pytest.mark.parametrize("key", ["", "a\0b", "x" * 501, 7, "line\nbreak"])
async def test_invalid_keys_are_refused(client: AsyncVoiceprintClient, key: Any):
    with pytest.raises(InvalidRequestError, match="key must be a text"):
        await client.submit(URL.format(1), key=key)


# The table


@pytest.fixture
async def table(address: str) -> Any:
    store = open_store(SharedState(address))
    await store.open()
    yield KeyTable(store, "team|url")
    await store.aclose()


_PATHS = {
    KeyState.CLAIMED: [],
    KeyState.SENDING: [KeyChange.BEGIN],
    KeyState.ACCEPTED: [KeyChange.BEGIN, KeyChange.ACCEPT],
    KeyState.UNKNOWN: [KeyChange.BEGIN, KeyChange.LOSE],
}


async def test_the_store_makes_exactly_the_changes_of_the_table(table: KeyTable):
    for state, path in _PATHS.items():
        for change, (before, after) in CHANGES.items():
            claim = Claim(f"{state} {change}", "owner", 1)
            await table.claim(claim, "request")
            for step in path:
                assert await table.change(claim, step, "job")
            for stranger in (claim._replace(owner="other"), claim._replace(number=2)):
                assert not await table.change(stranger, change, "job")
            assert await table.change(claim, change, "job") == (state in before)
            stored = await table.read(claim.key)
            assert (stored and stored.state) == (after if state in before else state)


@pytest.mark.parametrize("path", _PATHS.values(), ids=_PATHS)
async def test_keys_of_an_ended_owner(table: KeyTable, path: list[KeyChange]):
    """A claimed key can be claimed again; of a submission in flight, the outcome is unknown."""
    first, second = Claim("a", "first", 1), Claim("a", "second", 1)
    await table.claim(first, "request")
    for step in path:
        await table.change(first, step, "job")
    assert (await table.claim(second, "request")).owner == "first"
    await table.end("first")
    stored = await table.claim(second, "request")
    assert stored.is_of(second) == (path == [])
    assert stored.state is not KeyState.SENDING
    # The owner was only stopped. If others have not claimed the key, its response counts.
    assert await table.change(first, KeyChange.ACCEPT, "late job") == (
        path in ([KeyChange.BEGIN], [*_PATHS[KeyState.UNKNOWN]])
    )
    assert not await table.change(first, KeyChange.BEGIN)


async def test_a_key_that_was_claimed_by_an_ended_owner_is_free(table: KeyTable):
    """Also for another request, and for the person who resolves it."""
    for index, use in enumerate(["claim", "read", "resolve"]):
        first = Claim(use, "first", index)
        await table.claim(first, "request")
        await table.end("first")
        if use == "claim":
            assert (await table.claim(first._replace(owner="second"), "other request")).request == "other request"
        elif use == "read":
            assert await table.read(use) is None
        else:
            assert not await table.resolve(use, None)
            assert await table.read(use) is None


@pytest.mark.parametrize("lease", [LEASE, 0])
async def test_a_key_is_not_resolved_while_its_owner_may_send(
    table: KeyTable, monkeypatch: pytest.MonkeyPatch, lease: int
):
    """The owner may only be stopped. Also a clock that was set forward ends no claim early."""
    for key in "ab":
        claim = Claim(key, "owner", 1)
        await table.claim(claim, "request")
        await table.change(claim, KeyChange.BEGIN)
    await table.end("owner")
    monkeypatch.setattr(key_table, "LEASE", lease)
    for key, job_id in (("a", None), ("b", "job")):
        assert await table.resolve(key, job_id) == (lease == 0)


async def test_a_lost_try_can_be_resolved_at_once(table: KeyTable):
    claim = Claim("a", "owner", 1)
    await table.claim(claim, "request")
    await table.change(claim, KeyChange.BEGIN)
    await table.change(claim, KeyChange.LOSE)
    assert await table.resolve("a", None)


async def test_a_renewal_returns_the_claims_that_the_owner_still_has(table: KeyTable):
    claims = {key: Claim(key, "owner", number) for number, key in enumerate("abcd")}
    for claim in claims.values():
        await table.claim(claim, "request")
    await table.change(claims["a"], KeyChange.BEGIN)
    await table.change(claims["b"], KeyChange.FREE)
    await table.change(claims["c"], KeyChange.BEGIN)
    await table.change(claims["c"], KeyChange.LOSE)
    await table.claim(Claim("e", "other", 1), "request")
    assert await table.renew("owner") == {claims["a"], claims["d"]}


async def test_a_clock_that_was_set_back_extends_no_claim(table: KeyTable, address: str):
    hour = 3_600_000
    first = Claim("a", "first", 1)
    await table.claim(first, "request")
    await table.change(first, KeyChange.BEGIN)
    store = open_store(SharedState(address))
    for column in ("sent_at", "alive_until"):
        await store.run((f"UPDATE voiceprint_keys SET {column} = {column} + :hour", {"hour": hour}))  # noqa: S608 - constants
    assert (await table.claim(first._replace(owner="second"), "request")).is_of(first)
    rows = await store.run(("SELECT alive_until - {now} FROM voiceprint_keys", {}))
    await store.aclose()
    assert rows[0][0] <= LEASE
    stored = await table.read("a")
    assert unknown_outcome("a", stored).sent_before == 0.0


async def test_the_last_try_of_a_claim_counts(table: KeyTable, address: str):
    """All tries before it were refused: its time shows which job it may have created."""
    claim = Claim("a", "owner", 1)
    await table.claim(claim, "request")
    await table.change(claim, KeyChange.BEGIN)
    store = open_store(SharedState(address))
    await store.run(("UPDATE voiceprint_keys SET sent_at = 0", {}))
    await store.aclose()
    await table.change(claim, KeyChange.NOT_SENT)
    await table.change(claim, KeyChange.BEGIN)
    stored = await table.read("a")
    assert stored is not None
    assert stored.sent_at
