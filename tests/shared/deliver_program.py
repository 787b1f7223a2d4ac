"""A program that receives the webhook of one job, for tests in which another process waits for the job."""

import asyncio
import json
import sys

from pyannote_voiceprint_async import AsyncVoiceprintClient, JobStatus, WebhookEvent


async def run(url: str, address: str, job_id: str) -> None:
    async with AsyncVoiceprintClient("sandbox-key", base_url=url, shared=address) as client:
        client.deliver(WebhookEvent(job_id, JobStatus.SUCCEEDED, None))
    sys.stdout.write(json.dumps({"requests": client.stats.requests}))


def main() -> None:
    """Run with: URL ADDRESS JOB_ID."""
    asyncio.run(run(*sys.argv[1:]))


if __name__ == "__main__":
    main()
