"""One recording on its way to a result: upload, submit, wait."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Generic, TypeVar, cast

import attrs

from pyannote_voiceprint_async.api.request_checks import check_request
from pyannote_voiceprint_async.concurrency.clock import timeout_at
from pyannote_voiceprint_async.jobs.local_audio import LocalAudio, OpenedAudio, is_local, open_audio
from pyannote_voiceprint_async.transport.request import SubmissionHooks

from .engine import Engine
from .errors import ApiTimeoutError, JobError, JobTimeoutError, MediaError
from .job_plans import JobPlan
from .models import ANY_URL, JobCreated, VoiceprintRequest
from .results import Source

__all__ = ["JobOperation", "is_stable", "upload_source"]

R = TypeVar("R")


def is_stable(source: object) -> bool:
    """Return whether the source keeps its value: a program may refill an array as soon as it is encoded."""
    return not isinstance(source, Mapping)


@attrs.frozen(kw_only=True)
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
    """Seconds for the wait alone, where there is no deadline; None is as long as an output can exist."""
    hooks: SubmissionHooks | None = None
    on_encoded: Callable[[], None] | None = None
    """Called when the audio of a waveform is encoded: its array is not read any more."""
    max_queue_wait: float | None = None
    key: str | None = None
    """The submission key."""
    keeps_cancelled_job: bool = False
    """Whether a job whose wait is cancelled is added to `abandoned` here; a batch does so itself."""

    async def run(self) -> R:
        """Upload the source if it is local, submit it, and wait for its result."""
        with self.engine.events.operate(self.plan.operation):
            job, warnings = await self._create_job()
            return await self._wait(job, warnings)

    async def _create_job(self) -> tuple[JobCreated, list[str]]:
        warnings: list[str] = []
        if self.key is None:
            job = await self._upload_and_submit(warnings, self.hooks)
        else:
            template = self.plan.to_request(ANY_URL if is_local(self.source) else self.source)
            check_request(template)
            job = await self.engine.submit_with_key(
                self.key,
                template,
                partial(self._upload_and_submit, warnings),
                audio_digest=await audio_digest(self.source, self.plan),
                hooks=self.hooks,
                deadline=self.deadline,
            )
        return job, warnings

    async def _wait(self, job: JobCreated, warnings: list[str]) -> R:
        try:
            await self.on_submitted(job)
            deadline = self.engine.deadline_after(self.timeout) if self.deadline is None else self.deadline
            done = await self.engine.wait(job.job_id, deadline)
            return await self.plan.make_result(done, self._model, (*warnings, job.warning), self.engine.large_outputs)
        except Exception as error:
            if self.key is not None and isinstance(error, JobError) and not isinstance(error, JobTimeoutError):
                error.add_note(
                    f"The submission key {self.key!r} keeps returning this job. To submit the audio again, and pay "
                    f"again, free the key first: client.resolve_key({self.key!r}, job_id=None)."
                )
            if getattr(error, "job_id", None) != job.job_id:
                # The error has no id, or that of another job which `on_submitted` read: ours is paid for too.
                self.engine.abandon(job)
                error.add_note(f"The job is {job.job_id}; wait() continues to wait for it.")
            raise
        except BaseException:
            if self.keeps_cancelled_job:
                self.engine.abandon(job)
            raise

    async def _upload_and_submit(self, warnings: list[str], hooks: SubmissionHooks | None) -> JobCreated:
        url, found = await upload_source(self.engine, self.source, self.plan, self.deadline, self.on_encoded)
        warnings += found
        return await self.engine.submit(
            self.plan.to_request(url), hooks=hooks, deadline=self.deadline, max_queue_wait=self.max_queue_wait
        )

    @property
    def _model(self) -> str:
        return self.plan.to_request(ANY_URL if is_local(self.source) else self.source).model


async def audio_digest(source: Source, plan: JobPlan[Any]) -> str | None:
    """Return the SHA-256 of local audio; None for a URL or a request.

    Raises:
        MediaError: the audio cannot be read.
    """
    if not is_local(source):
        return None
    digest = hashlib.sha256()
    async with open_audio(cast("LocalAudio", source), for_voiceprint=plan.checks_voice) as audio:
        async for chunk in audio.chunks():
            digest.update(chunk)
    return digest.hexdigest()


async def upload_source(
    engine: Engine,
    source: Source,
    plan: JobPlan[Any],
    deadline: float | None,
    on_encoded: Callable[[], None] | None = None,
) -> tuple[str | VoiceprintRequest, tuple[str, ...]]:
    """Upload a source if it is local, and return its URL and the warnings of its check.

    Args:
        engine: the engine.
        source: the source.
        plan: the plan of the job.
        deadline: time on the clock by which the upload must be done.
        on_encoded: called when the audio of a waveform is encoded: its array is not read any more.

    Raises:
        MediaError: the audio cannot be read or uploaded, is too large, or the check refused it.
        ApiTimeoutError: the deadline has passed.
    """
    if not is_local(source):
        return cast("str | VoiceprintRequest", source), ()
    async with open_audio(cast("LocalAudio", source), for_voiceprint=plan.checks_voice) as audio:
        if on_encoded is not None and not is_stable(source):
            on_encoded()
        if audio.size > plan.max_bytes:
            raise MediaError(
                f"The audio has {audio.size / 2**20:.0f} MiB, more than the API accepts for {plan.limits}. Nothing was "
                "sent; pass a shorter excerpt."
            )
        # A waveform was checked when it was encoded.
        return await _upload(engine, audio, deadline, is_checked=plan.checks_voice and is_stable(source))


async def _upload(
    engine: Engine, audio: OpenedAudio, deadline: float | None, *, is_checked: bool
) -> tuple[str, tuple[str, ...]]:
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
