"""Cancel a call after its job was accepted, or at every await point from its start to its end."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import attrs
import pytest
from hostile_server import nothing_left_behind

from pyannote_voiceprint_async import AsyncVoiceprintClient, Polling
from pyannote_voiceprint_async.sandbox import Sandbox

# Bounds a call that never ends.
_MOST_STEPS = 3_000


@attrs.frozen
class CancelledCall:
    """What a call that was cancelled after some iterations left behind."""

    returned: object
    """What the call returned, or the exception that it raised."""
    abandoned: tuple[str, ...]
    """The job ids in `client.abandoned` after the client was closed."""
    accepted: tuple[str, ...]
    """The ids of the jobs that the sandbox accepted for this call."""

    @property
    def known(self) -> list[str]:
        """The job ids that the caller has: that of the error, and those in `client.abandoned`."""
        job_id = getattr(self.returned, "job_id", None)
        return sorted([*self.abandoned, *([job_id] if job_id else [])])


async def _run(task: asyncio.Future[object], steps: int, *, uses_threads: bool) -> None:
    """Run the event loop for this number of iterations, or until the task has begun this number of awaits."""
    last = None
    while steps and not task.done():
        await asyncio.sleep(0)
        awaited = _awaited_by(task)
        if not uses_threads or awaited is not last:
            steps -= 1
        last = awaited


def _awaited_by(task: asyncio.Future[object]) -> object:
    """Return what the innermost coroutine of a task awaits."""
    assert isinstance(task, asyncio.Task)
    awaited: Any = task.get_coro()
    while (inner := getattr(awaited, "cr_await", None)) is not None:
        awaited = inner
    return awaited


async def cancel_after_acceptance(call: Coroutine[Any, Any, object], sandbox: Sandbox) -> None:
    """Cancel a call when the sandbox has accepted its job, before the response arrives.

    Args:
        call: the call, which must be the first to submit a job.
        sandbox: the server, with a latency.
    """
    calling = asyncio.create_task(call)
    while not sandbox.accepted:
        await asyncio.sleep(0.001)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling


async def cancel_at_every_await(
    sandbox: Sandbox,
    call: Callable[[AsyncVoiceprintClient], Awaitable[object]],
    check: Callable[[CancelledCall], None],
    *,
    uses_threads: bool = False,
    **settings: Any,
) -> Counter[int]:
    """Make a call again and again, and cancel it one iteration of the event loop later each time, until it has ended.

    Each call has a new client, which is closed afterwards: no task and no socket may be left.

    Args:
        sandbox: the server.
        call: makes the call.
        check: checks what a cancelled call left behind.
        uses_threads: cancel once at the beginning of each await, because a thread keeps the call there for thousands of
            iterations.
        settings: settings of the clients.

    Returns:
        The number of cancelled calls by the number of their accepted jobs.
    """
    counts: Counter[int] = Counter()
    for steps in range(_MOST_STEPS):
        before = len(sandbox.accepted)
        async with nothing_left_behind():
            # So short a pause passes in one or two iterations.
            polling = Polling(first=1e-4, longest=1e-3)
            async with AsyncVoiceprintClient(
                sandbox.api_key, base_url=sandbox.url, polling=polling, **settings
            ) as client:
                task = asyncio.ensure_future(call(client))
                await _run(task, steps, uses_threads=uses_threads)
                has_ended = task.done()
                task.cancel()
                (returned,) = await asyncio.gather(task, return_exceptions=True)
        accepted = tuple(job.id for job in itertools.islice(sandbox.accepted, before, None))
        check(CancelledCall(returned, tuple(job.job_id for job in client.abandoned), accepted))
        if has_ended:
            return counts
        counts[len(accepted)] += 1
    raise AssertionError("the call never ended")
