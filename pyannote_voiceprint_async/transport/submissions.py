"""Submissions in flight, which finish although their caller is cancelled."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from pyannote_voiceprint_async.concurrency.protected_task import ProtectedTask, wait_until_done
from pyannote_voiceprint_async.event_emitter import EventEmitter
from pyannote_voiceprint_async.models import JobCreated
from pyannote_voiceprint_async.ratelimit.permit_request import PermitRequest

from .request import ApiRequest

__all__ = ["Submissions"]

log = logging.getLogger("pyannote_voiceprint_async")

_MAX_ABANDONED = 1000


class Submissions:
    """The submissions in flight, each in a task of its own, and the jobs whose caller has gone.

    Args:
        send: sends a submission once, with the permit that it holds.
        release: gives back a permit; a second call does nothing.
        events: reports jobs whose caller was cancelled or failed.
    """

    def __init__(
        self,
        send: Callable[[ApiRequest, PermitRequest], Coroutine[Any, Any, Any]],
        release: Callable[[PermitRequest], None],
        events: EventEmitter,
    ) -> None:
        self._send = send
        self._release = release
        self._events = events
        self.tasks: dict[ApiRequest, asyncio.Task[None]] = {}
        """The submissions in flight, each with its task, which removes itself when it ends."""
        self.abandoned: deque[JobCreated] = deque(maxlen=_MAX_ABANDONED)
        """The last accepted jobs whose caller has gone."""
        self.abandoned_count = 0
        """The number of such jobs so far."""

    async def run(self, request: ApiRequest, permit: PermitRequest) -> Any:
        """Send a submission in a task of its own, which finishes if the caller is cancelled: a job may be accepted.

        The caller awaits a future, so that cancelling the caller does not cancel the task.

        Args:
            request: the submission.
            permit: its permit.
        """
        result = request.result_waiter = asyncio.get_running_loop().create_future()
        task = ProtectedTask(self._run(request, permit), request.withdraw)
        if not task.done():
            self.tasks[request] = task
        try:
            return await result
        except asyncio.CancelledError:
            request.result_waiter = None
            if request.withdraw():
                # Nothing was sent: wait until the task has undone what it has begun.
                task.cancel()
                await wait_until_done(task)
                # The task may have been cancelled before its first step.
                self.tasks.pop(request, None)
                self._release(permit)
            elif result.done() and not result.cancelled():
                # The result arrived at the same time as the cancellation.
                error = result.exception()
                self._keep_result(permit, error, None if error else result.result())
            raise
        finally:
            # Breaks the reference cycle of an error and the frames that it holds.
            request.result_waiter = error = None
            del result

    async def _run(self, request: ApiRequest, permit: PermitRequest) -> None:
        try:
            job = await self._send(request, permit)
        except asyncio.CancelledError:
            if request.result_waiter is not None:
                request.result_waiter.cancel()
        except Exception as error:  # noqa: BLE001 - passed on to the caller
            if request.result_waiter is None or request.result_waiter.done():
                self._keep_result(permit, error, None)
            else:
                request.result_waiter.set_exception(error)
        except BaseException:
            if request.result_waiter is not None:
                request.result_waiter.cancel()
            raise
        else:
            if request.result_waiter is None or request.result_waiter.done():
                self._keep_result(permit, None, job)
            else:
                request.result_waiter.set_result(job)
        finally:
            self.tasks.pop(request, None)

    def _keep_result(self, permit: PermitRequest, error: BaseException | None, job: JobCreated | None) -> None:
        """Keep the result of a submission whose caller has gone."""
        self._release(permit)
        if job is not None:
            self.keep_abandoned(job)
        elif getattr(error, "outcome_unknown", False):
            log.warning("A submission whose caller was cancelled has an unknown outcome. %s", error)

    def keep_abandoned(self, job: JobCreated) -> None:
        """Keep a job whose caller has gone, because the job is billed."""
        from pyannote_voiceprint_async.events import JobAbandoned  # noqa: PLC0415 - see EventEmitter

        self.abandoned.append(job)
        self.abandoned_count += 1
        self._events.report(JobAbandoned, job.job_id)

    async def finish(self) -> None:
        """Wait until all submissions in flight are finished, however often the caller is cancelled meanwhile."""
        while self.tasks:
            await wait_until_done(*self.tasks.values())

    def forget(self) -> None:
        """Drop the submissions of a closed event loop, and log how many may have been accepted."""
        if self.tasks:
            log.warning(
                "The event loop was closed while %d submission(s) were in flight. They may have been accepted: check "
                "list_jobs() before you submit them again. Close a client before its event loop ends.",
                len(self.tasks),
            )
            self.tasks.clear()
