"""`examples/synchronous_code.py` runs as its docstring describes."""

import asyncio
import os
import sys
from pathlib import Path

from pyannote_voiceprint_async.sandbox import Sandbox

EXAMPLES = Path(__file__).parents[1] / "examples"


async def test_sixteen_threads_get_the_results_of_their_own_calls(start, tmp_path):
    sandbox = await start(Sandbox(job_seconds=0.05))
    environment = os.environ | {
        "PYANNOTEAI_API_KEY": sandbox.api_key,
        "PYANNOTEAI_BASE_URL": sandbox.url,
        "PYANNOTE_VOICEPRINT_SHARED": str(tmp_path / "shared.db"),
    }
    urls = [f"https://example.com/{number}.wav" for number in range(20)]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "always", "synchronous_code.py"),
        cwd=EXAMPLES,
        env=environment,
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
    )
    try:
        written, warnings = await process.communicate(
            "\n".join([*urls, "https://example.com/unreachable.wav"]).encode()
        )
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    *lines, last = written.decode().splitlines()
    assert (process.returncode, b"Warning" in warnings) == (0, False)
    job_ids = {job.url: job.id for job in sandbox.accepted}
    assert lines == [f"precision-2, job {job_ids[url]}" for url in urls]
    assert last.startswith("JobFailedError: ")
