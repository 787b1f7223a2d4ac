"""Voiceprints from synchronous code, such as Django and Celery: `cd examples && python synchronous_code.py < urls.txt`.

`ClientThread` is what you copy: one client in an event loop of its own thread, for all threads of a process. Do not
call `asyncio.run()` in each view or task instead: each call would need a client of its own, which has no connections
yet, and does not count what the others send. Start it in each process, because a thread does not survive a fork:

* Celery: `start` at the signal `worker_process_init`, `stop` at `worker_process_shutdown`. Celery repeats tasks, so
  pass `key=`: task_queue/README.md describes why.
* Django with gunicorn: `start` in the hook `post_fork`, `stop` in `worker_exit`. An async view, under ASGI, needs no
  thread: it awaits the client itself.
* Jupyter needs neither a thread nor `asyncio.run()`: write `await client.voiceprint(url)` in a cell, as enroll.ipynb
  does.

Set PYANNOTEAI_API_KEY in the environment; for several processes also PYANNOTE_VOICEPRINT_SHARED (voiceprint-shared.db,
or postgresql://…): they share the rate limit, and the keys.
"""

import asyncio
import os
import sys
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from pyannote_voiceprint_async import AsyncVoiceprintClient, VoiceprintError

T = TypeVar("T")


class ClientThread:
    """One client for all threads of a process. `run` may be called in any of them."""

    client: AsyncVoiceprintClient

    def start(self) -> None:
        """Start the thread and open the client."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.client = AsyncVoiceprintClient(shared=os.environ.get("PYANNOTE_VOICEPRINT_SHARED"))

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        """Run a call of the client, and return its result: `run(thread.client.voiceprint(url))`."""
        future = asyncio.run_coroutine_threadsafe(call, self._loop)
        try:
            return future.result()
        except BaseException:  # also the time limit of a task: without a caller, the call must not continue
            future.cancel()
            raise

    def stop(self) -> None:
        """Close the client, which finishes the submissions in flight within a minute, and end the thread."""
        self.run(self.client.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


voiceprints = ClientThread()


def view(url: str) -> str:
    """Stand for a view or a task: create a voiceprint, and return what the caller sees."""
    try:
        voiceprint = voiceprints.run(voiceprints.client.voiceprint(url))
    except VoiceprintError as error:
        return f"{type(error).__name__}: {error}"
    return f"{voiceprint.model}, job {voiceprint.job_id}"


def main() -> None:
    """Serve a view to sixteen threads at once."""
    voiceprints.start()
    try:
        with ThreadPoolExecutor(16) as threads:
            for line in threads.map(view, sys.stdin.read().split()):
                print(line)
    finally:
        voiceprints.stop()


if __name__ == "__main__":
    main()
