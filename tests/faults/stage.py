"""The clients of a scene."""

from contextlib import AsyncExitStack
from typing import Any, Self

from faults.scenes import Scene

from pyannote_voiceprint_async import AsyncVoiceprintClient, Polling, RateLimit, RateLimiter, RateLimits, RetryPolicy

_UNLIMITED = RateLimits(
    submissions=RateLimit(10**9), identify=RateLimit(10**9), job_reads=RateLimit(10**9), job_lists=RateLimit(10**9)
)
_TWICE = RetryPolicy(max_tries=2, max_elapsed=1e9)
_IN_FLIGHT = 32


class Stage:
    """The clients of a scene; they are closed with it."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self._clients: list[AsyncVoiceprintClient] = []
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self.client = await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def requests(self) -> int:
        """The number of requests."""
        return sum(client.stats.requests for client in self._clients)

    @property
    def in_flight(self) -> int:
        """The number of requests in flight."""
        return sum(client.stats.in_flight for client in self._clients)

    @property
    def abandoned(self) -> set[str]:
        """The ids of the abandoned jobs."""
        return {job.job_id for client in self._clients for job in client.abandoned}

    async def open(self) -> AsyncVoiceprintClient:
        """Return a new client."""
        scene = self.scene
        # A real program retries more often; two tries show the same behaviour in less time.
        options: dict[str, Any] = {
            "retry": _TWICE,
            "polling": Polling(first=1.0, longest=10.0),
            "rate_limiter": _rate_limiter(scene.options.get("max_concurrency", _IN_FLIGHT)),
            **scene.options,
        }
        client = AsyncVoiceprintClient(scene.key, base_url=scene.url, clock=scene.clock, **options)
        self._clients.append(await self._stack.enter_async_context(client))
        return client


def _rate_limiter(max_concurrency: int) -> RateLimiter:
    """Return a rate limiter that has recorded a response: before the first one, requests go one by one."""
    rate_limiter = RateLimiter(max_concurrency, _UNLIMITED)
    for operation in ("submissions", "identify", "job_reads"):
        permit = rate_limiter.scheduler.request(operation, 0.0, lambda _: None)
        rate_limiter.scheduler.record_response(permit, 0.0)
    return rate_limiter
