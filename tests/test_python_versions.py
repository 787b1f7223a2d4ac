"""The package runs on later versions of Python, which remove names that are deprecated today."""

import subprocess
import sys

# Python 3.14 deprecates `asyncio.iscoroutinefunction`, and 3.16 removes it.
SUBMIT = """
import asyncio

del asyncio.iscoroutinefunction, asyncio.coroutines.iscoroutinefunction

from pyannote_voiceprint_async import AsyncVoiceprintClient
from pyannote_voiceprint_async.sandbox import Sandbox


async def main():
    async with Sandbox(job_seconds=0.0) as sandbox:
        async with AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url) as client:
            sandbox.fail_next("unavailable", operation="voiceprint")  # the retry uses backoff
            job = await client.submit("https://example.com/voice.wav")
            assert job.job_id == sandbox.accepted[0].id, job
            assert client.stats.retries == 1


asyncio.run(main())
"""


def test_a_submission_works_without_the_function_that_python_3_16_removes():
    ended = subprocess.run([sys.executable, "-W", "error", "-c", SUBMIT], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
