"""Upload, submit and wait for many recordings at once, with one line of results for each."""

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial

from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.errors import AccountError, VoiceprintError
from pyannote_voiceprint_async.models import JobCreated, Voiceprint
from pyannote_voiceprint_async.results import VoiceprintResult

from .formatting import format_count, possibly_accepted
from .json_records import failure_record, submitted_record, success_record
from .output import Output
from .progress_columns import text_view
from .sources import LabeledSource
from .text_layout import wrap

__all__ = ["VoiceprintRun"]


class VoiceprintRun:
    """The results of `voiceprint_many`, written as they finish.

    A job's id is on stderr before the command waits for the job, so that a killed command loses no billed job. An
    `AccountError` stops new work; submitted jobs are still waited for.

    Args:
        client: the client.
        output: where results and status lines are written.
        sources: what to make voiceprints of.
        model: the voiceprint model.
        timeout: seconds to wait for each job once it is submitted.
        webhook: the URL to which the API posts the results too.
    """

    def __init__(  # noqa: PLR0913 - constructed in one place, `voiceprint`
        self,
        client: AsyncVoiceprintClient,
        output: Output,
        sources: Sequence[LabeledSource],
        *,
        model: str,
        timeout: float,
        webhook: str | None = None,
    ) -> None:
        self.succeeded = self.failed = 0
        self.total = len(sources)
        self.open_jobs: set[str] = set()
        """The ids of the jobs that are waited for."""
        self._client = client
        self._output = output
        self._sources = sources
        self._unwritten = set(range(len(sources)))
        self._jobs: dict[int, JobCreated] = {}
        self._model = model
        self._timeout = timeout
        self._webhook = webhook

    async def run(self) -> None:
        """Write a line for each source as it finishes.

        Raises:
            AccountError: the API rejected the account; all lines are written.
            BrokenPipeError: the reader of the results has ended.
            Failure: the results cannot be written.
        """
        self._show_progress()
        results = self._client.voiceprint_many(
            (source.source for source in self._sources),
            model=self._model,
            timeout=self._timeout,
            webhook=self._webhook,
            on_submitted=self._report_submitted,
            # The command checked all files before it sent the first one.
            check=False,
        )
        try:
            async with results:
                try:
                    async for result in results:
                        await self._write(result)
                except asyncio.CancelledError:
                    await self._report_stopping()
                    raise
        except AccountError as error:
            for index in sorted(self._unwritten):
                await self._write_failure(index, error)
            raise
        finally:
            self._output.progress.close()

    def interruption(self) -> str:
        """Return what an interrupted run leaves behind, and how to continue."""
        jobs, in_flight = len(self.open_jobs), self._client.stats.in_flight
        unsent = self.total - self.succeeded - self.failed - jobs - in_flight
        parts = []
        if jobs:
            parts.append(
                f"{format_count(jobs, 'job')} submitted but not waited for; fetch each with `pyannote-voiceprint job "
                "ID --wait`, the ids are printed above"
            )
        if in_flight:
            parts.append(possibly_accepted(in_flight).replace("Up", "up", 1))
        if unsent > 0:
            these = "this recording" if unsent == 1 else "these recordings"
            parts.append(f"{format_count(unsent, 'recording')} not submitted, run the command again with {these}")
        return f"Interrupted: {'; '.join(parts) or 'no job is left to be fetched'}."

    async def _report_stopping(self) -> None:
        if self._client.stats.in_flight:
            await self._output.write_status(
                "Stopping when the requests in flight are finished. A second signal stops at once, and may lose the id "
                "of a billed job."
            )

    async def _report_submitted(self, index: int, job: JobCreated) -> None:
        self._jobs[index] = job
        self.open_jobs.add(job.job_id)
        self._show_progress()
        await self._output.write_status_record(
            submitted_record(self._sources[index], job, self._model),
            partial(wrap, f"{self._sources[index].label}: submitted, job {job.job_id}"),
        )

    async def _write(self, result: VoiceprintResult) -> None:
        if isinstance(result.error, VoiceprintError):
            await self._write_failure(result.index, result.error)
        elif result.voiceprint is None:
            raise result.error or AssertionError("a result has a voiceprint or an error")
        else:
            self.succeeded += 1
            self._mark_written(result.index)
            source, voiceprint = self._sources[result.index], result.voiceprint
            await self._output.write_record(
                success_record(source, voiceprint), partial(_success_lines, source.label, voiceprint)
            )

    async def _write_failure(self, index: int, error: VoiceprintError) -> None:
        self.failed += 1
        self._mark_written(index)
        source, job = self._sources[index], self._jobs.get(index)
        # An AccountError is the same for all sources: the command prints it once, at its end.
        if not isinstance(error, AccountError):
            await self._output.write_status(f"{source.label}: {error}")
        # The status line above is the text for people.
        await self._output.write_record(failure_record(source, job, error, self._model), lambda _width: ())

    def _mark_written(self, index: int) -> None:
        # Called before the line is written: a cancelled write still completes, and must not be repeated.
        self._unwritten.discard(index)
        if (job := self._jobs.get(index)) is not None:
            self.open_jobs.discard(job.job_id)
        self._show_progress()

    def _show_progress(self) -> None:
        done, total = self.succeeded + self.failed, self.total
        counts = {"failed": self.failed, "submitted": len(self.open_jobs)}
        text = ", ".join([f"{done} of {total} done", *(f"{count} {state}" for state, count in counts.items() if count)])
        self._output.progress.show(text_view(done, total, text))


def _success_lines(label: str, voiceprint: Voiceprint, width: int) -> Iterator[str]:
    yield from wrap(f"{label}: voiceprint by {voiceprint.model}, job {voiceprint.job_id}", width)
    for warning in voiceprint.warnings:
        yield from wrap(f"  {warning}", width)
