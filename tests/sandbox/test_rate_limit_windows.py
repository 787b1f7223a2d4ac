import asyncio

import pytest

from pyannote_voiceprint_async.sandbox import Limit, Settings
from pyannote_voiceprint_async.sandbox.rate_limit_windows import RateLimitWindows


def rate_limit_headers(response):
    return {
        name: value for name, value in response.headers.items() if name.startswith("X-Rate") or name == "Retry-After"
    }


async def one_response_each(client):
    """Return one response of each operation."""
    return {
        "test": await client.get("/v1/test"),
        "media": await client.post("/v1/media/input", {"url": "media://x"}),
        "voiceprint": await client.submit(),
        "job": await client.get("/v1/jobs/unknown"),
        "jobs": await client.get("/v2/jobs"),
    }


async def test_every_operation_has_its_own_window(open_sandbox):
    client = await open_sandbox(rate_limit=(5, 60.0), read_limit=(7, 60.0))
    remaining = {
        name: response.headers["X-RateLimit-Remaining"] for name, response in (await one_response_each(client)).items()
    }
    assert remaining == {"test": "4", "media": "4", "voiceprint": "4", "job": "6", "jobs": "6"}


async def test_a_shared_window_counts_all_operations(open_sandbox):
    client = await open_sandbox(rate_limit=(5, 60.0), shared_limit=True)
    remaining = {
        name: response.headers["X-RateLimit-Remaining"] for name, response in (await one_response_each(client)).items()
    }
    assert remaining == {"test": "4", "media": "3", "voiceprint": "2", "job": "1", "jobs": "0"}
    assert (await client.get("/v1/test")).status == 429


@pytest.mark.parametrize(
    ("window", "age", "retry_after"), [("sliding", 0.0, "60"), ("sliding", 59.5, "1"), ("fixed", 45.25, "15")]
)
@pytest.mark.parametrize("reset", ["delta", "epoch"])
async def test_a_429_reports_when_to_retry(open_sandbox, clock, window, age, retry_after, reset):
    """The fake clock starts at a full minute."""
    client = await open_sandbox(rate_limit=(1, 60.0), window=window, reset_header=reset)
    first = await client.submit()
    await clock.advance(age)
    refused = await client.submit()
    assert rate_limit_headers(first) == {"X-RateLimit-Limit": "1", "X-RateLimit-Remaining": "0"}
    assert refused.status == 429
    assert sorted(refused.json) == ["message", "requestId"]
    assert rate_limit_headers(refused) == {
        "X-RateLimit-Limit": "1",
        "X-RateLimit-Remaining": "0",
        "Retry-After": retry_after,
        "X-RateLimit-Reset": retry_after if reset == "delta" else "1800000060",
    }
    await clock.advance(int(retry_after))
    assert (await client.submit()).status == 200


@pytest.mark.parametrize(("wait", "retry_after"), [(0.0, "1"), (1e-9, "1"), (1.0, "1"), (1.1, "2")])
def test_retry_after_is_whole_seconds_and_at_least_one(wait, retry_after):
    """Rounding errors may put the end of a window before now."""
    windows = RateLimitWindows(Settings(), {"test": Limit(1)})
    assert windows.too_many_requests("test", wait, 0.0).headers["Retry-After"] == retry_after


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
async def test_every_response_reports_limit_and_remaining(open_sandbox, method, path, options, status):
    client = await open_sandbox(credit=0)
    async with client.session.request(method, client.sandbox.url + path, **options) as response:
        assert response.status == status
        assert "X-RateLimit-Limit" in response.headers
        assert "X-RateLimit-Remaining" in response.headers


async def test_without_headers_only_retry_after_remains(open_sandbox):
    client = await open_sandbox(rate_limit=(1, 60.0), headers=False)
    assert [rate_limit_headers(await client.submit()) for _ in range(2)] == [{}, {"Retry-After": "60"}]


async def test_without_windows_all_requests_pass_and_no_headers_are_sent(open_sandbox):
    client = await open_sandbox(rate_limit=(1, 60.0), window="none")
    responses = await asyncio.gather(*(client.submit() for _ in range(20)))
    assert {(response.status, *rate_limit_headers(response)) for response in responses} == {(200,)}
