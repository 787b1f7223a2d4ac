"""A program that submits many jobs with shared state, for tests that kill and stop processes."""

import asyncio
import json
import sys

from pyannote_voiceprint_async import AsyncVoiceprintClient, RateLimit, RateLimits, SharedState


def write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def run(url: str, address: str, limit: int, per: float, count: int, patience: float) -> None:
    limits = RateLimits(submissions=RateLimit(limit, per=per))
    shared = SharedState(address, patience=patience)
    async with AsyncVoiceprintClient("sandbox-key", base_url=url, shared=shared, rate_limits=limits) as client:

        async def submit() -> None:
            await client.submit("https://files.example.org/a.wav")
            write("accepted")

        await asyncio.gather(*(submit() for _ in range(count)))
        write(json.dumps({"rate_limited": client.stats.rate_limited}))


def main() -> None:
    """Run with: URL ADDRESS LIMIT PER COUNT PATIENCE."""
    url, address, limit, per, count, patience = sys.argv[1:]
    asyncio.run(run(url, address, int(limit), float(per), int(count), float(patience)))


if __name__ == "__main__":
    main()
