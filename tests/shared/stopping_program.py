"""A program that submits a job with a key, and stops itself before the first byte of its first try."""

import asyncio
import os
import signal
import sys

import aiohttp

from pyannote_voiceprint_async import AsyncVoiceprintClient, SubmissionInProgressError
from pyannote_voiceprint_async.shared import claim_lease, key_table

# Milliseconds, and seconds: the test need not wait for ten seconds until the claim ends.
LEASE, SENDING_TIME = 600, 0.5


def write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def run(url: str, address: str) -> None:
    stops = [signal.SIGSTOP]

    async def stop(*_: object) -> None:
        if stops:
            write("stopping")
            os.kill(os.getpid(), stops.pop())

    trace = aiohttp.TraceConfig()
    # The last code of a program before the first byte.
    trace.on_request_headers_sent.append(stop)
    async with (
        aiohttp.ClientSession(trace_configs=[trace]) as session,
        AsyncVoiceprintClient("sandbox-key", base_url=url, shared=address, session=session) as client,
    ):
        try:
            await client.submit("https://files.example.org/a.wav", key="a")
            write("accepted")
        except SubmissionInProgressError as error:
            write(f"{type(error).__name__}, {client.stats.retries} retries")


def main() -> None:
    """Run with: URL ADDRESS."""
    key_table.LEASE, claim_lease.SENDING_TIME = LEASE, SENDING_TIME
    asyncio.run(run(*sys.argv[1:]))


if __name__ == "__main__":
    main()
