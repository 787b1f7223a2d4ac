"""Process one recording: upload, submit, wait."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import attrs

from pyannote_voiceprint_async.api.request_checks import check_request
from pyannote_voiceprint_async.concurrency.cancellation import count_cancellations
from pyannote_voiceprint_async.concurrency.clock import timeout_at
from pyannote_voiceprint_async.jobs.local_audio import LocalAudio, OpenedAudio, is_local, open_audio
from pyannote_voiceprint_async.transport.request import SubmissionHooks

from .engine import Engine
from .errors import ApiTimeoutError, JobError, JobTimeoutError, MediaError
from .job_plans import JobPlan
from .models import ANY_URL, JobCreated

if TYPE_CHECKING:
    from .results import Source

__all__ = ["JobOperation", "is_stable", "open_source", "upload_opened"]

R = TypeVar("R")


def is_stable(source: object) -> bool:
    """Return whether the source keeps its value. A waveform does not: a program may refill its array."""
    return not isinstance(source, Mapping)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class JobOperation(Generic[R]):
    """The steps from one source to its result. They are the same for voiceprints and identifications."""

    engine: Engine
    source: Source
    plan: JobPlan[R]
    """What differs between the kinds of jobs."""
    on_submitted: Callable[[JobCreated], Awaitable[None]]
    """Awaited with the accepted job before the wait."""
    deadline: float | None = None
    """Time on the clock by which all steps must be done."""
    timeout: float | None = None
    """Seconds for the wait alone, if `deadline` is None; None waits as long as an output can exist."""
    hooks: SubmissionHooks | None = None
    on_encoded: Callable[[], None] | None = None
    """Called when the audio of a waveform is encoded: from then on, the program may change its array."""
    max_queue_wait: float | None = None
    key: str | None = None
    """The submission key."""
    keeps_cancelled_job: bool = False
    """Whether to add a job to `abandoned` if its wait is cancelled. A batch adds its jobs itself."""

    async def run(self) -> R:
        """Upload the source if it is local, submit it, and wait for its result."""
        cancellations = count_cancellations()
        with self.engine.events.operate(self.plan.operation):
            warnings: list[str] = []
            job = await self._submit(warnings)
            result = await self._wait(job, warnings)
        if self.keeps_cancelled_job:
            await self.engine.hand_over(job, cancellations)
        return result

    async def _wait(self, job: JobCreated, warnings: list[str]) -> R:
        try:
            await self.on_submitted(job)
            deadline = self.engine.deadline_after(self.timeout) if self.deadline is None else self.deadline
            done = await self.engine.wait(job.job_id, deadline)
            return await self.plan.make_result(done, self._model, (*warnings, job.warning), self.engine.large_outputs)
        except Exception as error:
            if self.key is not None and isinstance(error, JobError) and not isinstance(error, JobTimeoutError):
                error.add_note(
                    f"The submission key {self.key!r} keeps returning this job. To submit the audio again, billed "
                    f"again, free the key first: client.resolve_key({self.key!r}, job_id=None)."
                )
            if getattr(error, "job_id", None) != job.job_id:
                # The error has no id, or that of another job that `on_submitted` read. This job is billed too.
                self.engine.abandon(job)
                error.add_note(f"The job is {job.job_id}; wait() continues to wait for it.")
            raise
        except BaseException:
            if self.keeps_cancelled_job:
                self.engine.abandon(job)
            raise

    async def _submit(self, warnings: list[str]) -> JobCreated:
        async with AsyncExitStack() as opened:
            audio = None
            if is_local(self.source):
                audio = await opened.enter_async_context(open_source(self.source, self.plan, self.on_encoded))
            submit = partial(self._upload_and_submit, opened, audio, warnings)
            if self.key is None:
                return await submit(self.hooks)
            request = self.plan.to_request(self.source if audio is None else ANY_URL)
            check_request(request)
            return await self.engine.submit_with_key(
                self.key,
                request,
                submit,
                audio_digest=None if audio is None else await audio.sha256(),
                hooks=self.hooks,
                deadline=self.deadline,
            )

    async def _upload_and_submit(
        self, opened: AsyncExitStack, audio: OpenedAudio | None, warnings: list[str], hooks: SubmissionHooks | None
    ) -> JobCreated:
        url: Any = self.source
        if audio is not None:
            url, found = await upload_opened(self.engine, audio, self.plan, self.source, self.deadline)
            warnings += found
        # The audio must not stay open, or in memory, while the submission waits for the rate limit.
        await opened.aclose()
        return await self.engine.submit(
            self.plan.to_request(url), hooks=hooks, deadline=self.deadline, max_queue_wait=self.max_queue_wait
        )

    @property
    def _model(self) -> str:
        return self.plan.to_request(ANY_URL if is_local(self.source) else self.source).model


@asynccontextmanager
async def open_source(
    source: Source, plan: JobPlan[Any], on_encoded: Callable[[], None] | None = None
) -> AsyncIterator[OpenedAudio]:
    """Open local audio for a job.

    Args:
        source: the audio.
        plan: the plan of the job.
        on_encoded: called when the audio of a waveform is encoded: from then on, the program may change its array.

    Raises:
        MediaError: the audio cannot be read, or is too large.
    """
    async with open_audio(cast("LocalAudio", source), for_voiceprint=plan.checks_voice) as audio:
        if on_encoded is not None and not is_stable(source):
            on_encoded()
        if audio.size > plan.max_bytes:
            raise MediaError(
                f"The audio has {audio.size / 2**20:.0f} MiB, more than the API accepts for {plan.limits}. Nothing was "
                "sent; pass a shorter excerpt."
            )
        yield audio


async def upload_opened(
    engine: Engine, audio: OpenedAudio, plan: JobPlan[Any], source: Source, deadline: float | None
) -> tuple[str, tuple[str, ...]]:
    """Check and upload opened audio, and return its URL and the warnings of its check.

    Args:
        engine: the engine.
        audio: the opened audio.
        plan: the plan of the job.
        source: the source that was opened.
        deadline: time on the clock by which the upload must be done.

    Raises:
        MediaError: the audio cannot be read or uploaded, or the check refused it.
        ApiTimeoutError: the deadline has passed.
    """
    # A waveform was checked when it was encoded.
    is_checked = plan.checks_voice and is_stable(source)
    url: str | None = None
    warnings: tuple[str, ...] = ()
    with suppress(TimeoutError):
        async with timeout_at(engine.clock, deadline):
            warnings = await audio.check() if is_checked else ()
            url = await engine.upload(audio)
    if url is None:
        # Raised outside of an `except`: the frames of its context would hold the presigned URL.
        raise ApiTimeoutError(
            "The upload did not finish within the timeout; nothing was submitted. Repeat the call, or raise its "
            "timeout.",
            retryable=True,
        )
    return url, warnings
