"""A scene with clients in it."""

from contextlib import AsyncExitStack
from typing import Any, Self

from faults.scenes import Scene

from pyannote_voiceprint_async import AsyncVoiceprintClient, Polling, RateLimit, RateLimiter, RateLimits, RetryPolicy

_UNLIMITED = RateLimits(submissions=RateLimit(10**9), job_reads=RateLimit(10**9), job_lists=RateLimit(10**9))
_TWICE = RetryPolicy(max_tries=2, max_elapsed=1e9)
_IN_FLIGHT = 32


class PermitState:
    """Clients of a scene, which end with it."""

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
        """How many were made."""
        return sum(client.stats.requests for client in self._clients)

    @property
    def in_flight(self) -> int:
        """How many are on their way."""
        return sum(client.stats.in_flight for client in self._clients)

    @property
    def abandoned(self) -> set[str]:
        """Ids of jobs whose callers had gone."""
        return {job.job_id for client in self._clients for job in client.abandoned}

    async def open(self) -> AsyncVoiceprintClient:
        """Give a client of its own to who wants one."""
        scene = self.scene
        # Those of a real program have a far longer breath; what they do with a fault is the same.
        options: dict[str, Any] = {
            "retry": _TWICE,
            "polling": Polling(first=1.0, longest=10.0),
            "rate_limiter": _experienced(scene.options.get("max_concurrency", _IN_FLIGHT)),
            **scene.options,
        }
        client = AsyncVoiceprintClient(scene.key, base_url=scene.url, clock=scene.clock, **options)
        self._clients.append(await self._stack.enter_async_context(client))
        return client


def _experienced(max_concurrency: int) -> RateLimiter:
    """Make a throttle that has had an answer: before its first one, requests go one by one."""
    throttle = RateLimiter(max_concurrency, _UNLIMITED)
    for budget in ("submissions", "job_reads"):
        throttle.answered(throttle.ask(budget, 0.0, lambda _: None), 0.0)
    return throttle
