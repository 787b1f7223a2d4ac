"""A program that submits jobs with keys, for tests that kill it at any point."""

import asyncio
import sys

from pyannote_voiceprint_async import AsyncVoiceprintClient, SubmissionInProgressError, UnknownOutcomeError


async def run(url: str, address: str, count: int) -> None:
    async with AsyncVoiceprintClient("sandbox-key", base_url=url, shared=address, max_concurrency=8) as client:

        async def submit(key: str) -> None:
            try:
                await client.submit(f"https://files.example.org/{key}.wav", key=key)
                outcome = "accepted"
            except (UnknownOutcomeError, SubmissionInProgressError) as error:
                outcome = type(error).__name__
            sys.stdout.write(f"{outcome}\n")
            sys.stdout.flush()

        await asyncio.gather(*(submit(f"key-{index}") for index in range(count)))


def main() -> None:
    """Run with: URL ADDRESS COUNT."""
    url, address, count = sys.argv[1:]
    asyncio.run(run(url, address, int(count)))


if __name__ == "__main__":
    main()
