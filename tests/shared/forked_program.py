"""A program that constructs a client and then forks, as a server with preloaded code does."""

import asyncio
import os
import sys

from pyannote_voiceprint_async import AsyncVoiceprintClient

FORKS = 3


async def submit(client: AsyncVoiceprintClient) -> None:
    async with client:
        job = await client.submit("https://files.example.org/a.wav", key="a")
    sys.stdout.write(f"{job.job_id}\n")
    sys.stdout.flush()


def main() -> None:
    """Run with: URL ADDRESS."""
    url, address = sys.argv[1:]
    client = AsyncVoiceprintClient("sandbox-key", base_url=url, shared=address)
    for _ in range(FORKS):
        if not os.fork():
            asyncio.run(submit(client))
            os._exit(0)
    for _ in range(FORKS):
        os.wait()


if __name__ == "__main__":
    main()
