"""The programs of `bench_shared.py`: each is a process that submits, and writes a line for each accepted job."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import harness
import sandbox_server

from pyannote_voiceprint_async import AsyncVoiceprintClient, RateLimit, RateLimits, SharedState, VoiceprintError

CALLERS = 32
"""Concurrent callers of each program."""
Submit = Callable[[str], Awaitable[None]]


def submit_all(  # noqa: PLR0913, PLR0917 - the arguments of a process
    log: Path,
    contestant: str,
    address: str,
    base_url: str,
    rate: tuple[int, float],
    items: int,
    pause: float,
) -> None:
    """Submit `items` jobs, and write when each was accepted, and after how many seconds.

    Args:
        log: the file that is written.
        contestant: `shared/PATIENCE`, `alone`, `split/PROGRAMS`, `limits` or `pyrate-limiter`.
        address: the address of the store or of Redis.
        base_url: the sandbox.
        rate: its rate limit.
        items: the number of jobs.
        pause: seconds between two jobs; 0 submits with 32 callers.
    """
    with log.open("w", buffering=1, encoding="utf-8") as lines:

        async def main() -> None:
            async with AsyncExitStack() as stack:
                submit = await CONTESTANTS[contestant.partition("/")[0]](stack, contestant, address, base_url, rate)
                begin = await begin_at(log)
                numbers = iter(range(items))

                async def caller() -> None:
                    for number in numbers:
                        due = begin + number * pause
                        await asyncio.sleep(due - time.monotonic())
                        began = time.monotonic()
                        await submit(harness.url(number))
                        lines.write(f"{time.monotonic()} {time.monotonic() - began}\n")

                await asyncio.gather(*(caller() for _ in range(1 if pause else CALLERS)))

        asyncio.run(main())


async def begin_at(log: Path) -> float:
    """Report that this process is ready, and return when all begin, on the monotonic clock."""
    log.with_suffix(".ready").touch()
    begin = log.with_name("begin")
    while not begin.exists():  # noqa: ASYNC110 - the only signal between the processes
        await asyncio.sleep(0.02)
    return float(begin.read_text("ascii"))


async def this_client(
    stack: AsyncExitStack, contestant: str, address: str, base_url: str, rate: tuple[int, float]
) -> Submit:
    """Return `submit` of this client: with shared state, alone, or with a part of the limit."""
    limit, per = rate
    kind, _, number = contestant.partition("/")
    client = await stack.enter_async_context(
        AsyncVoiceprintClient(
            sandbox_server.KEY,
            base_url=base_url,
            rate_limits=RateLimits(submissions=RateLimit(limit // int(number) if kind == "split" else limit, per)),
            shared=SharedState(address, patience=float(number)) if kind == "shared" else None,
        )
    )

    async def submit(url: str) -> None:
        await client.submit(url)

    return submit


async def with_limits(
    stack: AsyncExitStack,
    _: str,
    address: str,
    base_url: str,
    rate: tuple[int, float],
) -> Submit:
    """Return a function that waits for `limits` with Redis, then sends; it looks often."""
    from limits import RateLimitItemPerSecond  # noqa: PLC0415 - only measured where it is installed
    from limits.aio.storage import RedisStorage  # noqa: PLC0415
    from limits.aio.strategies import MovingWindowRateLimiter  # noqa: PLC0415

    limiter = MovingWindowRateLimiter(RedisStorage(f"async+redis+{address}", implementation="redispy"))
    item = RateLimitItemPerSecond(rate[0], int(rate[1]))

    async def acquire() -> None:
        while not await limiter.hit(item, "submissions"):  # noqa: ASYNC110 - the library has no wait
            await asyncio.sleep(0.02)

    return await by_hand(stack, base_url, acquire)


async def with_pyrate_limiter(
    stack: AsyncExitStack,
    _: str,
    address: str,
    base_url: str,
    rate: tuple[int, float],
) -> Submit:
    """Return a function that waits for `pyrate-limiter` with Redis, then sends."""
    from pyrate_limiter import Limiter, Rate, RedisBucket  # noqa: PLC0415 - only measured where it is installed
    from redis.asyncio import Redis  # noqa: PLC0415

    bucket = await RedisBucket.init([Rate(rate[0], int(rate[1] * 1000))], Redis.from_url(address), "submissions")
    limiter = Limiter(bucket)

    async def acquire() -> None:
        await limiter.try_acquire_async("submissions")

    return await by_hand(stack, base_url, acquire)


async def by_hand(stack: AsyncExitStack, base_url: str, acquire: Callable[[], Awaitable[None]]) -> Submit:
    """Return a function that sends with aiohttp after `acquire`, and repeats each 429 after `Retry-After`."""
    headers = {"Authorization": f"Bearer {sandbox_server.KEY}"}
    session = await stack.enter_async_context(aiohttp.ClientSession(base_url, headers=headers))

    async def submit(url: str) -> None:
        while True:
            await acquire()
            async with session.post("/v1/voiceprint", json={"url": url, "model": "precision-2"}) as response:
                if response.status != 429:
                    await response.json()
                    return
                wait = float(response.headers["Retry-After"])
            await asyncio.sleep(wait)

    return submit


CONTESTANTS: dict[str, Callable[..., Awaitable[Submit]]] = {
    "shared": this_client,
    "alone": this_client,
    "split": this_client,
    "limits": with_limits,
    "pyrate-limiter": with_pyrate_limiter,
}


def submit_keys(log: Path, address: str, base_url: str, keys: list[str]) -> None:
    """Submit a job for each key, in this order, and write the outcome of each."""
    with log.open("a", buffering=1, encoding="utf-8") as lines:

        async def main() -> None:
            async with AsyncVoiceprintClient(sandbox_server.KEY, base_url=base_url, shared=address) as client:
                left = iter(keys)

                async def caller() -> None:
                    for key in left:
                        try:
                            await client.submit(f"https://example.com/{key}.wav", key=key)
                            lines.write(f"{key} accepted\n")
                        except VoiceprintError as error:
                            lines.write(f"{key} {type(error).__name__}\n")

                await asyncio.gather(*(caller() for _ in range(8)))

        asyncio.run(main())


def submit_one_by_one(
    base_url: str, stores: dict[str, Any], rate: tuple[int, float], slices: int, items: int
) -> dict[str, list[float]]:
    """Return the median seconds of an idle submission for each kind of client, slice by slice, all taking turns.

    A slice begins when all permits of the slice before have returned.
    """

    async def main() -> dict[str, list[float]]:
        found: dict[str, list[float]] = {name: [] for name in stores}
        async with AsyncExitStack() as stack:
            clients = {
                name: await stack.enter_async_context(
                    AsyncVoiceprintClient(
                        sandbox_server.KEY,
                        base_url=base_url,
                        rate_limits=RateLimits(submissions=RateLimit(*rate)),
                        shared=address,
                    )
                )
                for name, (address, _) in stores.items()
            }
            for number in range(slices):
                await asyncio.sleep(rate[1] if number else 0.0)
                for name, (_, has_key) in stores.items():
                    seconds = []
                    for item in range(items):
                        key = f"{number}-{item}" if has_key else None
                        began = time.perf_counter()
                        await clients[name].submit(harness.url(item), key=key)
                        seconds.append(time.perf_counter() - began)
                    found[name].append(sorted(seconds)[items // 2])
        return found

    return asyncio.run(main())
