"""Recordings to voiceprints: uploaded, submitted and waited for at the same time, one line each."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.errors import AccountError, VoiceprintError
from pyannote_voiceprint_async.models import JobCreated, VoiceprintRequest
from pyannote_voiceprint_async.results import Submission

from .output import Output, json_line
from .records import announcement, failure, success
from .sources import Recording

__all__ = ["Enrollment"]

# Files that are being uploaded, or are uploaded and wait to be read by `submit_many`.
_AHEAD = 8


class Enrollment:
    """One run over some recordings.

    A job's id is on stderr before the job is waited for, so that a command that is killed loses nothing paid. An
    `AccountError` stops new work; what is submitted is waited for all the same.

    Args:
        client: the way to the API.
        output: where lines go.
        recordings: what voiceprints are made of.
        model: the voiceprint model.
        timeout: seconds for each job, once it is submitted.
    """

    def __init__(
        self,
        client: AsyncVoiceprintClient,
        output: Output,
        recordings: Sequence[Recording],
        *,
        model: str,
        timeout: float,
    ) -> None:
        self.succeeded = self.failed = 0
        self.open_jobs: set[str] = set()
        self.stopped_by: AccountError | None = None
        self._client = client
        self._output = output
        self._left = {recording.label: recording for recording in recordings}
        self._total = len(recordings)
        self._sent: list[Recording] = []
        self._model = model
        self._timeout = timeout

    async def run(self) -> None:
        """Write a line for each recording, as it is done.

        Raises:
            BrokenPipeError: nobody reads the lines any more.
            Failure: the lines cannot be written.
        """
        self._show()
        try:
            async with asyncio.TaskGroup() as waits:
                await self._submit_all(waits)
        except ExceptionGroup as group:
            # One says enough: all of them met the same broken output.
            raise group.exceptions[0] from None
        if self.stopped_by is not None:
            for recording in list(self._left.values()):
                await self._fail(recording, self.stopped_by)

    async def _submit_all(self, waits: asyncio.TaskGroup) -> None:
        async with aclosing(self._requests(list(self._left.values()))) as requests:
            submissions = self._client.submit_many(requests)
            try:
                async with submissions:
                    try:
                        async for submission in submissions:
                            await self._take(submission, waits)
                    except asyncio.CancelledError:
                        await self._ask_for_patience()
                        raise
            except AccountError as error:
                self._stop(error)
            except asyncio.CancelledError:
                for submission in submissions.unfinished:
                    if submission.job is not None:
                        await self._announce(self._sent[submission.index], submission.job)
                raise

    async def _ask_for_patience(self) -> None:
        if self._client.stats.in_flight:
            await self._output.announce(
                "Stopping: what is on the wire is finished first; stopping again gives it up, and maybe a paid job."
            )

    async def _requests(self, recordings: Sequence[Recording]) -> AsyncGenerator[VoiceprintRequest, None]:
        """Give what is to be submitted, as it is ready: URLs at once, files when they are uploaded."""
        queue, running = deque(recordings), dict[asyncio.Task[str | None], Recording]()
        try:
            while queue or running:
                while queue and len(running) < _AHEAD:
                    task = asyncio.create_task(self._url(queue[0]))
                    running[task] = queue.popleft()
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in [task for task in running if task in done]:
                    recording = running.pop(task)
                    if (url := task.result()) is not None:
                        self._sent.append(recording)
                        yield VoiceprintRequest(url, self._model)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _url(self, recording: Recording) -> str | None:
        if isinstance(recording.source, str):
            return recording.source
        try:
            return await self._client.upload(recording.source)
        except VoiceprintError as error:
            await self._fail(recording, error)
            if isinstance(error, AccountError):
                raise
            return None

    async def _take(self, submission: Submission, waits: asyncio.TaskGroup) -> None:
        recording = self._sent[submission.index]
        if submission.job is not None:
            await self._announce(recording, submission.job)
            waits.create_task(self._wait(recording, submission.job))
        elif isinstance(submission.error, VoiceprintError):
            await self._fail(recording, submission.error)
        elif submission.error is not None:
            raise submission.error

    async def _announce(self, recording: Recording, job: JobCreated) -> None:
        self.open_jobs.add(job.job_id)
        await self._output.announce(json_line(announcement(recording, job, self._model)))
        self._show()

    async def _wait(self, recording: Recording, job: JobCreated) -> None:
        try:
            done = await self._client.wait(job, timeout=self._timeout)
        except VoiceprintError as error:
            await self._fail(recording, error, job)
        else:
            self.succeeded += 1
            self._finish(recording, job)
            await self._output.write(json_line(success(recording, job, done, self._model)))

    async def _fail(self, recording: Recording, error: VoiceprintError, job: JobCreated | None = None) -> None:
        self.failed += 1
        self._finish(recording, job)
        if isinstance(error, AccountError):
            # Said once, at the end: it meets all that are left in the same words.
            self._stop(error)
        else:
            await self._output.announce(f"{recording.label}: {error}")
        await self._output.write(json_line(failure(recording, job, error, self._model)))

    def _finish(self, recording: Recording, job: JobCreated | None) -> None:
        # Before its line is handed over: whoever is cancelled there must not leave it to be written a second time.
        self._left.pop(recording.label)
        if job is not None:
            self.open_jobs.discard(job.job_id)
        self._show()

    def _stop(self, error: AccountError) -> None:
        self.stopped_by = self.stopped_by or error

    def _show(self) -> None:
        done = self.succeeded + self.failed
        counts = {"failed": self.failed, "submitted": len(self.open_jobs)}
        text = ", ".join(
            [f"{done} of {self._total} done", *(f"{count} {what}" for what, count in counts.items() if count)]
        )
        self._output.progress.show(done, self._total, text)
