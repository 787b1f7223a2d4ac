import asyncio

import pytest

from pyannote_voiceprint_async.sandbox import Limit, Settings
from pyannote_voiceprint_async.sandbox.rate_limit_windows import RateLimitWindows


def budget(reply):
    return {name: value for name, value in reply.headers.items() if name.startswith("X-Rate") or name == "Retry-After"}


async def answers(caller):
    """One answer of each operation."""
    return {
        "test": await caller.get("/v1/test"),
        "media": await caller.post("/v1/media/input", {"url": "media://x"}),
        "voiceprint": await caller.submit(),
        "job": await caller.get("/v1/jobs/unknown"),
        "jobs": await caller.get("/v2/jobs"),
    }


async def test_every_operation_has_a_budget_of_its_own(open_sandbox):
    caller = await open_sandbox(rate_limit=(5, 60.0), read_limit=(7, 60.0))
    remaining = {name: reply.headers["X-RateLimit-Remaining"] for name, reply in (await answers(caller)).items()}
    assert remaining == {"test": "4", "media": "4", "voiceprint": "4", "job": "6", "jobs": "6"}


async def test_a_shared_budget_counts_them_all(open_sandbox):
    caller = await open_sandbox(rate_limit=(5, 60.0), shared_budgets=True)
    remaining = {name: reply.headers["X-RateLimit-Remaining"] for name, reply in (await answers(caller)).items()}
    assert remaining == {"test": "4", "media": "3", "voiceprint": "2", "job": "1", "jobs": "0"}
    assert (await caller.get("/v1/test")).status == 429


@pytest.mark.parametrize(
    ("window", "age", "retry_after"), [("sliding", 0.0, "60"), ("sliding", 59.5, "1"), ("fixed", 45.25, "15")]
)
@pytest.mark.parametrize("reset", ["delta", "epoch"])
async def test_a_429_says_when_to_come_back(open_sandbox, time, window, age, retry_after, reset):
    """The sandbox's time starts at a full minute."""
    caller = await open_sandbox(rate_limit=(1, 60.0), window=window, reset_header=reset)
    first = await caller.submit()
    await time.advance(age)
    refused = await caller.submit()
    assert budget(first) == {"X-RateLimit-Limit": "1", "X-RateLimit-Remaining": "0"}
    assert refused.status == 429
    assert sorted(refused.json) == ["message", "requestId"]
    assert budget(refused) == {
        "X-RateLimit-Limit": "1",
        "X-RateLimit-Remaining": "0",
        "Retry-After": retry_after,
        "X-RateLimit-Reset": retry_after if reset == "delta" else "1800000060",
    }
    await time.advance(int(retry_after))
    assert (await caller.submit()).status == 200


@pytest.mark.parametrize(("wait", "retry_after"), [(0.0, "1"), (1e-9, "1"), (1.0, "1"), (1.1, "2")])
def test_a_pause_is_whole_seconds_and_never_none(wait, retry_after):
    """Rounding may put the end of a window a hair before now."""
    budgets = RateLimitWindows(Settings(), {"test": Limit(1)})
    assert budgets.refusal("test", wait, 0.0).headers["Retry-After"] == retry_after


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("GET", "/v1/test", {}, 200),
        ("GET", "/v1/test", {"headers": {"Authorization": "Bearer wrong"}}, 401),
        ("POST", "/v1/media/input", {"json": {"url": "media://x"}}, 201),
        ("POST", "/v1/voiceprint", {"data": b"nonsense"}, 400),
        ("POST", "/v1/voiceprint", {"json": {"url": "https://example.com"}}, 402),
        ("GET", "/v1/jobs/unknown", {}, 404),
    ],
)
async def test_every_answer_tells_limit_and_remaining(open_sandbox, method, path, options, status):
    caller = await open_sandbox(credit=0)
    async with caller.session.request(method, caller.sandbox.url + path, **options) as response:
        assert response.status == status
        assert "X-RateLimit-Limit" in response.headers
        assert "X-RateLimit-Remaining" in response.headers


async def test_without_headers_only_retry_after_remains(open_sandbox):
    caller = await open_sandbox(rate_limit=(1, 60.0), headers=False)
    assert [budget(await caller.submit()) for _ in range(2)] == [{}, {"Retry-After": "60"}]


async def test_without_windows_everything_passes_and_nothing_is_said(open_sandbox):
    caller = await open_sandbox(rate_limit=(1, 60.0), window="none")
    replies = await asyncio.gather(*(caller.submit() for _ in range(20)))
    assert {(reply.status, *budget(reply)) for reply in replies} == {(200,)}
