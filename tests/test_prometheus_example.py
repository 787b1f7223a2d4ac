"""`examples/prometheus_metrics.py` runs as its docstring describes."""

import asyncio
import os
import sys
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from pyannote_voiceprint_async.sandbox import Sandbox

EXAMPLES = Path(__file__).parents[1] / "examples"


async def read_metrics(url: str) -> tuple[str, dict[tuple[str, ...], float]]:
    """Return the text of the metrics, and the samples by name and label values, in the order of the labels' names."""
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        text = await response.text()
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return text, {(sample.name, *dict(sorted(sample.labels.items())).values()): sample.value for sample in samples}


async def test_the_metrics_of_three_voiceprints_are_served(start):
    sandbox = await start(Sandbox(job_seconds=0.05))
    sandbox.fail_next("rate-limited")
    environment = os.environ | {
        "PYANNOTEAI_API_KEY": sandbox.api_key,
        "PYANNOTEAI_BASE_URL": sandbox.url,
        "PORT": "0",
    }
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "prometheus_metrics.py", cwd=EXAMPLES, env=environment, stdin=pipe, stdout=pipe
    )
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        url = (await process.stdout.readline()).decode().removeprefix("Metrics: ").strip()
        process.stdin.writelines(b"https://example.com/%s.wav\n" % name for name in (b"a", b"unreachable", b"b"))
        assert {(await process.stdout.readline())[:3] for _ in range(3)} == {b"0: ", b"1: ", b"2: "}
        text, samples = await read_metrics(url)
        process.stdin.close()
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    submission = "POST /v1/voiceprint"
    assert samples["voiceprint_submissions_total", submission] == 3
    assert samples["voiceprint_rate_limited_total", submission] == 1
    assert samples["voiceprint_request_seconds_count", submission, "200"] == 3
    assert samples["voiceprint_request_seconds_count", submission, "429"] == 1
    assert samples["voiceprint_queue_seconds_count", submission] == 4
    assert samples["voiceprint_job_seconds_count", "succeeded"] == 2
    assert samples["voiceprint_job_seconds_count", "failed"] == 1
    assert samples["voiceprint_operation_seconds_count", "JobFailedError", "voiceprint"] == 1
    assert samples["voiceprint_permits_in_use", submission] == 3
    assert not any(secret in text for secret in (sandbox.api_key, "example.com", *(job.id for job in sandbox.accepted)))
