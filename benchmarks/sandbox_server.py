"""The sandbox in a process of its own, so that its CPU time does not distort the measurements of the client.

The only argument is a JSON object with the settings. The process prints the URL of the sandbox, and serves until its
standard input ends.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
from harness import stay_on_core

from pyannote_voiceprint_async.sandbox import Sandbox

KEY, SECRET = "sandbox-key", "sandbox-webhook-secret"


@contextmanager
def running(*, core: int | None = None, **settings: Any) -> Iterator[str]:
    """Run a sandbox with these settings in another process, pinned to `core` if one is given. Yield its URL."""
    command = [sys.executable, __file__, json.dumps({"core": core, "settings": settings})]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.communicate()


async def fetch_state(base_url: str) -> dict[str, Any]:
    """Return the counts of `/_sandbox/state`."""
    async with aiohttp.ClientSession() as session, session.get(f"{base_url}/_sandbox/state") as response:
        state: dict[str, Any] = await response.json()
        return state


async def main(core: int | None, settings: dict[str, Any]) -> None:
    if core is not None:
        stay_on_core(core)
    pairs = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
    async with Sandbox(api_key=KEY, webhook_secret=SECRET, **pairs) as sandbox:
        print(sandbox.url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(**json.loads(sys.argv[1])))
