"""Recordings to voiceprints: uploaded, submitted and waited for at the same time, one line each."""

import asyncio
from collections.abc import Sequence

from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.errors import AccountError, VoiceprintError
from pyannote_voiceprint_async.models import JobCreated
from pyannote_voiceprint_async.results import VoiceprintResult

from .output import Output, json_line
from .records import announcement, failure, success
from .sources import Recording

__all__ = ["Enrollment"]


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
        self._left = dict(enumerate(recordings))
        self._recordings = recordings
        self._jobs: dict[int, JobCreated] = {}
        self._model = model
        self._timeout = timeout

    async def run(self) -> None:
        """Write a line for each recording, as it is done.

        Raises:
            BrokenPipeError: nobody reads the lines any more.
            Failure: the lines cannot be written.
        """
        self._show()
        results = self._client.voiceprint_many(
            (recording.source for recording in self._recordings),
            model=self._model,
            timeout=self._timeout,
            on_submitted=self._announce,
            # The command has checked all files before the first one is sent.
            check=False,
        )
        try:
            async with results:
                try:
                    async for result in results:
                        await self._take(result)
                except asyncio.CancelledError:
                    await self._ask_for_patience()
                    raise
        except AccountError as error:
            self.stopped_by = error
            for index in list(self._left):
                await self._fail(index, error)

    async def _ask_for_patience(self) -> None:
        if self._client.stats.in_flight:
            await self._output.announce(
                "Stopping: what is on the wire is finished first; stopping again gives it up, and maybe a paid job."
            )

    async def _announce(self, index: int, job: JobCreated) -> None:
        self._jobs[index] = job
        self.open_jobs.add(job.job_id)
        self._show()
        await self._output.announce(json_line(announcement(self._recordings[index], job, self._model)))

    async def _take(self, result: VoiceprintResult) -> None:
        if isinstance(result.error, VoiceprintError):
            await self._fail(result.index, result.error)
        elif result.voiceprint is None:
            raise result.error or AssertionError("a result is one or the other")
        else:
            self.succeeded += 1
            self._finish(result.index)
            await self._output.write(json_line(success(self._recordings[result.index], result.voiceprint)))

    async def _fail(self, index: int, error: VoiceprintError) -> None:
        self.failed += 1
        self._finish(index)
        recording, job = self._recordings[index], self._jobs.get(index)
        if not isinstance(error, AccountError):  # said once, at the end: it meets all that are left in the same words
            await self._output.announce(f"{recording.label}: {error}")
        await self._output.write(json_line(failure(recording, job, error, self._model)))

    def _finish(self, index: int) -> None:
        # Before its line is handed over: whoever is cancelled there must not leave it to be written a second time.
        self._left.pop(index)
        if (job := self._jobs.get(index)) is not None:
            self.open_jobs.discard(job.job_id)
        self._show()

    def _show(self) -> None:
        done, total = self.succeeded + self.failed, len(self._recordings)
        counts = {"failed": self.failed, "submitted": len(self.open_jobs)}
        text = ", ".join([f"{done} of {total} done", *(f"{count} {what}" for what, count in counts.items() if count)])
        self._output.progress.show(done, total, text)
