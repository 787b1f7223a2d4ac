import asyncio
import json
from collections import Counter
from contextlib import suppress

import aiohttp
import pytest

from pyannote_voiceprint_async.sandbox import FAULTS, Sandbox
from pyannote_voiceprint_async.sandbox.faults import BURST, FaultPlan
from pyannote_voiceprint_async.sandbox.operations import OPERATIONS

URL = "https://example.com/voice.wav"


@pytest.mark.parametrize("name", ["drop-before-read", "drop-after-accept", "accept-late"])
async def test_a_dropped_connection_has_no_answer(caller, name):
    caller.sandbox.fail_next(name)
    with pytest.raises(aiohttp.ClientConnectionError):
        await caller.submit(URL)


@pytest.mark.parametrize(
    ("name", "accepted"),
    [
        ("drop-before-read", 0),
        ("drop-after-accept", 1),
        ("accept-late", 0),
        ("server-error", 0),
        ("bad-gateway", 0),
        ("unavailable", 0),
        ("rate-limited", 0),
        ("truncated-json", 1),
    ],
)
async def test_whether_the_job_exists(caller, name, accepted):
    caller.sandbox.fail_next(name, operation="voiceprint")
    with suppress(aiohttp.ClientConnectionError):
        await caller.submit(URL)
    assert [job.url for job in caller.sandbox.accepted] == [URL] * accepted


@pytest.mark.parametrize(
    ("name", "status", "content_type", "retry_after"),
    [
        ("server-error", 500, "application/json; charset=utf-8", None),
        ("bad-gateway", 502, "text/html; charset=utf-8", None),
        ("unavailable", 503, "application/json; charset=utf-8", "1"),
        ("rate-limited", 429, "application/json; charset=utf-8", "1"),
    ],
)
@pytest.mark.parametrize("operation", [("GET", "/v1/test"), ("POST", "/v1/voiceprint"), ("GET", "/v2/jobs")])
async def test_faults_with_an_answer(caller, operation, name, status, content_type, retry_after):
    method, path = operation
    caller.sandbox.fail_next(name)
    async with caller.session.request(method, caller.sandbox.url + path) as response:
        assert response.status == status
        assert response.headers["Content-Type"] == content_type
        assert response.headers.get("Retry-After") == retry_after
        assert "X-RateLimit-Limit" in response.headers


async def test_a_rate_limit_of_a_fault_looks_like_a_real_one(caller):
    caller.sandbox.fail_next("rate-limited")
    headers = (await caller.submit(URL)).headers
    assert {name: headers[f"X-RateLimit-{name}"] for name in ("Limit", "Remaining", "Reset")} == {
        "Limit": "100",
        "Remaining": "0",
        "Reset": "1",
    }


async def test_a_truncated_answer_is_whole_http_and_broken_json(caller):
    caller.sandbox.fail_next("truncated-json")
    reply = await caller.submit(URL)
    assert (reply.status, int(reply.headers["Content-Length"])) == (200, len(reply.body))
    with pytest.raises(json.JSONDecodeError):
        json.loads(reply.body)


async def test_a_late_job_appears_and_is_counted_late(open_sandbox, time):
    caller = await open_sandbox(accept_late_seconds=2.0, rate_limit=(1, 60.0))
    caller.sandbox.fail_next("accept-late")
    with pytest.raises(aiohttp.ClientConnectionError):
        await caller.submit(URL)
    await time.advance(1.9)
    assert caller.sandbox.accepted == []
    await time.advance(0.1)
    assert [job.created_at for job in caller.sandbox.accepted] == [time.moment]
    assert (await caller.submit(URL)).status == 429


async def test_a_late_job_still_has_to_pass_the_checks(open_sandbox, time):
    caller = await open_sandbox(credit=1)
    caller.sandbox.fail_next("accept-late")
    with pytest.raises(aiohttp.ClientConnectionError):
        await caller.submit(URL)
    assert (await caller.submit("https://example.com/faster")).status == 200
    await time.advance(2.0)
    assert [job.url for job in caller.sandbox.accepted] == ["https://example.com/faster"]


@pytest.mark.parametrize("name", ["drop-after-accept", "truncated-json"])
async def test_a_submission_that_is_not_accepted_is_answered_as_ever(caller, name):
    caller.sandbox.fail_next(name)
    reply = await caller.submit("nonsense")
    assert (reply.status, reply.json["message"]) == (400, "Invalid request")


async def test_scripted_faults_strike_once_each_in_their_order(caller):
    caller.sandbox.fail_next(["server-error", "bad-gateway"], operation="voiceprint")
    caller.sandbox.fail_next("unavailable", operation="test")
    statuses = [(await caller.submit(URL)).status for _ in range(3)]
    assert (statuses, (await caller.get("/v1/test")).status) == ([500, 502, 200], 503)


async def test_a_scripted_rate_limit_has_no_burst(caller):
    caller.sandbox.fail_next("rate-limited")
    assert [(await caller.submit(URL)).status for _ in range(2)] == [429, 200]


async def test_a_fault_for_submissions_waits_for_one(caller):
    caller.sandbox.fail_next("truncated-json")
    assert (await caller.get("/v1/test")).json["status"] == "OK"
    with pytest.raises(json.JSONDecodeError):
        json.loads((await caller.submit(URL)).body)


async def test_faults_spare_what_is_behind_the_scenes(open_sandbox):
    caller = await open_sandbox(faults={"server-error": 1.0})
    paths = ("/v1/test", "/_sandbox/state", "/_sandbox/jobs")
    assert [(await caller.get(path)).status for path in paths] == [500, 200, 200]


@pytest.mark.parametrize(
    ("faults", "operation", "sentence"),
    [
        ("gremlins", None, f"There is no fault 'gremlins'; there are {', '.join(FAULTS)}."),
        (["server-error", "gremlins"], "test", "There is no fault 'gremlins'"),
        ("server-error", "identify", "There is no operation 'identify'; there are test, media, "),
        ("accept-late", "test", "'accept-late' fits submissions only, and 'test' makes no job."),
    ],
)
def test_a_script_that_cannot_be_played_is_refused(faults, operation, sentence):
    with pytest.raises(ValueError) as caught:
        Sandbox().fail_next(faults, operation=operation)
    assert sentence in str(caught.value)


def chosen(faults: FaultPlan, operation: str, count: int):
    return [fault and fault.name for fault in (faults.choose(OPERATIONS[operation]) for _ in range(count))]


def test_dice_repeat_with_their_seed():
    series = [chosen(FaultPlan({"server-error": 0.5}, seed), "test", 100) for seed in (1, 1, 2)]
    assert series[0] == series[1]
    assert series[0] != series[2]


def test_dice_are_fair():
    """Ten thousand rolls with a fixed seed come close to the probabilities."""
    shares = {"drop-before-read": 0.1, "accept-late": 0.2, "server-error": 0.3}
    counts = Counter(chosen(FaultPlan(shares, 0), "voiceprint", 10_000))
    assert {name: round(count / 10_000, 1) for name, count in counts.items()} == {**shares, None: 0.4}


def test_other_operations_are_spared_what_fits_submissions_only():
    assert set(chosen(FaultPlan({"accept-late": 0.5, "truncated-json": 0.5}, 0), "job", 100)) == {None}


def test_a_rolled_rate_limit_comes_in_bursts():
    """After the roll that hits, the next requests of the operation are refused without one."""
    series = chosen(FaultPlan({"rate-limited": 0.01}, 0), "test", 5_000)
    first = series.index("rate-limited")
    assert series[first : first + 1 + BURST] == ["rate-limited"] * (1 + BURST)
    assert series[first + 1 + BURST] is None


def test_a_burst_stays_within_its_operation():
    faults = FaultPlan({"rate-limited": 0.01}, 0)
    while chosen(faults, "test", 1) != ["rate-limited"]:
        pass
    assert chosen(faults, "job", 1) == [None]
    assert chosen(faults, "test", 1) == ["rate-limited"]


async def test_every_submission_meets_its_fault_under_load(open_sandbox):
    """Money is counted right whatever the wire does: one job for every request that got as far."""
    caller = await open_sandbox(window="none", faults={"drop-after-accept": 0.3, "drop-before-read": 0.3})
    results = await asyncio.gather(*(caller.submit(f"{URL}?{index}") for index in range(100)), return_exceptions=True)
    answered = [reply.json["jobId"] for reply in results if not isinstance(reply, Exception)]
    expected = chosen(FaultPlan({"drop-after-accept": 0.3, "drop-before-read": 0.3}, 0), "voiceprint", 100)
    assert len(answered) == expected.count(None)
    assert len(caller.sandbox.accepted) == expected.count(None) + expected.count("drop-after-accept")
    assert set(answered) <= {job.id for job in caller.sandbox.accepted}
