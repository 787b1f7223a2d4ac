"""A sandbox for programs that have no event loop of their own."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread

from pyannote_voiceprint_async.sandbox.server import Sandbox


class SandboxThread:
    """A sandbox in an event loop of its own, in a thread, while a `with` block runs.

    For synchronous tests, such as those with Starlette's `TestClient` or Django's: `with SandboxThread(Sandbox()) as
    sandbox:`. Everything that a sandbox offers can be used in the block. An asynchronous program can use `async with
    Sandbox()` instead.

    Args:
        sandbox: The sandbox. It must not be running.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self._stop: Callable[[], object] | None = None
        self._ended: Future[None] = Future()

    def __repr__(self) -> str:
        return (
            f"<SandboxThread of {self.sandbox!r}>" if hasattr(self, "sandbox") else "<SandboxThread, not constructed>"
        )

    def __enter__(self) -> Sandbox:
        if self._stop is not None:
            raise RuntimeError("This SandboxThread is running. Construct one for each `with` block.")
        started: Future[Callable[[], object]] = Future()
        self._ended = Future()
        # A daemon, so that a test run that is killed inside of the block can end.
        Thread(target=self._run, args=(started,), name="sandbox", daemon=True).start()
        self._stop = started.result()
        return self.sandbox

    def __exit__(self, *_error: object) -> None:
        stop, self._stop = self._stop, None
        if stop is not None:
            stop()
            self._ended.result()

    def _run(self, started: Future[Callable[[], object]]) -> None:
        try:
            asyncio.run(self._serve(started))
        except BaseException as error:  # noqa: BLE001 - raised in the thread of the `with` block
            (self._ended if started.done() else started).set_exception(error)
        else:
            self._ended.set_result(None)

    async def _serve(self, started: Future[Callable[[], object]]) -> None:
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        async with self.sandbox:
            started.set_result(lambda: loop.call_soon_threadsafe(stopped.set))
            await stopped.wait()
