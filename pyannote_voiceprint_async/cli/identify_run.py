"""Identify recordings, with or without a ledger, with one record for each of them."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial
from typing import cast

import attrs

from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.errors import AccountError, VoiceprintError
from pyannote_voiceprint_async.identification import PartialIdentificationError, identify_among
from pyannote_voiceprint_async.identification.ledger_run import JobOutcome, LedgerRun
from pyannote_voiceprint_async.identification.merge import merge
from pyannote_voiceprint_async.models import IdentificationOptions, IdentificationRequest, JobCreated
from pyannote_voiceprint_async.results import IdentificationResult

from .formatting import format_count, possibly_accepted
from .identify_recordings import Recording
from .identify_results import ResultWriter
from .output import Output
from .text_layout import wrap

__all__ = ["IdentifyRun"]


class IdentifyRun:
    """The identification of some recordings, written as the results arrive.

    The id of each job is printed to stderr before the command waits for the job: a killed command loses no billed job.

    Args:
        client: the client.
        output: where results and status lines are written.
        recordings: the recordings.
        requests: the requests for each recording, one for each 50 speakers, with a placeholder as URL.
        timeout: seconds to wait for each job once it is submitted.
        ledger_run: the prepared run on a ledger; None without `--ledger`.
    """

    def __init__(  # noqa: PLR0913 - constructed in one place, `identify`
        self,
        client: AsyncVoiceprintClient,
        output: Output,
        recordings: Sequence[Recording],
        requests: Sequence[IdentificationRequest],
        *,
        timeout: float,
        ledger_run: LedgerRun | None = None,
    ) -> None:
        self.writer = ResultWriter(output, recordings, requests[0].model)
        self._client = client
        self._output = output
        self._recordings = recordings
        self._requests = requests
        self._timeout = timeout
        self._ledger_run = ledger_run
        self._jobs: dict[int, list[JobCreated]] = {}

    async def run(self) -> None:
        """Write a record for each recording as it finishes.

        Raises:
            AccountError: the API rejected the account; all records are written.
            BrokenPipeError: the reader of the results has ended.
            Failure: the results cannot be written.
        """
        self.writer.show_progress()
        try:
            async with aclosing(self._results()) as results:
                async for result in results:
                    await self._write(result)
        except AccountError as error:
            for index in self.writer.unwritten():
                await self._write(IdentificationResult(index, "", error=error))
            raise
        finally:
            self._output.progress.close()

    def unsaved_jobs(self) -> list[dict[str, str]]:
        """Return the accepted jobs that the ledger could not save, with the label that `ledger accept` needs."""
        unsaved = [] if self._ledger_run is None else self._ledger_run.unsaved
        return [
            {
                "label": job.row.name,
                "recording": self._recordings[job.recording].source.label,
                "job_id": job.job_id,
            }
            for job in unsaved
        ]

    def stopping(self) -> str | None:
        """Return why the run does not end at the first signal; None if nothing is in flight."""
        if not self._client.stats.in_flight:
            return None
        lost = "" if self._ledger_run is not None else ", and may lose the id of a billed job"
        return f"Stopping when the requests in flight are finished. A second signal stops at once{lost}."

    def interruption(self) -> str:
        """Return what an interrupted run leaves behind, and how to continue."""
        unwritten, in_flight = self.writer.unwritten(), self._client.stats.in_flight
        if self._ledger_run is not None:
            resolved = (
                f" In flight: {format_count(in_flight, 'request')}, which the next run resolves." if in_flight else ""
            )
            return (
                f"Interrupted. What was done is saved in the ledger.{resolved} Run the same command again to continue."
            )
        jobs = sum(len(self._jobs.get(index, ())) for index in unwritten)
        parts = []
        if jobs:
            parts.append(f"{format_count(jobs, 'job')} submitted but not waited for; the ids are printed above")
        if in_flight:
            parts.append(possibly_accepted(in_flight).replace("Up", "up", 1))
        unsent = sum(index not in self._jobs for index in unwritten)
        if unsent > in_flight:
            parts.append(f"{format_count(unsent - in_flight, 'recording')} not submitted")
        hint = " With --ledger FILE, the same command continues." if parts else ""
        return f"Interrupted: {'; '.join(parts) or 'no job is left to be fetched'}.{hint}"

    async def _results(self) -> AsyncGenerator[IdentificationResult, None]:
        if self._ledger_run is not None:
            async with aclosing(self._ledger_results(self._ledger_run)) as results_of_ledger:
                async for result in results_of_ledger:
                    yield result
            return
        if len(self._requests) == 1:
            request = self._requests[0]
            results = self._client.identify_many(
                (recording.source.source for recording in self._recordings),
                request.voiceprints,
                timeout=self._timeout,
                on_submitted=self._report_submitted,
                **request_options(request),
            )
            async with results:
                async for result in results:
                    yield result
            return
        # One recording after another: the jobs of one recording are submitted at once.
        for index, recording in enumerate(self._recordings):
            yield await self._identify_among_many(index, recording)

    async def _ledger_results(self, run: LedgerRun) -> AsyncGenerator[IdentificationResult, None]:
        run.on_submitted = self._report_submitted
        ended: dict[int, list[JobOutcome]] = {}
        async with aclosing(run.outcomes()) as outcomes:
            async for outcome in outcomes:
                parts = ended.setdefault(outcome.job.recording, [])
                parts.append(outcome)
                if len(parts) == len(self._requests):
                    yield await self._merge(parts)

    async def _merge(self, parts: Sequence[JobOutcome]) -> IdentificationResult:
        ordered = sorted(parts, key=lambda part: part.job.row)
        found = [part.identification for part in ordered if part.identification is not None]
        merged = await self._client.engine.large_outputs.run(partial(merge, found)) if found else None
        error = next((part.error for part in ordered if part.error is not None), None)
        return IdentificationResult(parts[0].job.recording, parts[0].job.source, merged, error)

    async def _identify_among_many(self, index: int, recording: Recording) -> IdentificationResult:
        source = recording.source.source
        try:
            found = await identify_among(
                self._client,
                source,
                {label: value for request in self._requests for label, value in request.voiceprints.items()},
                max_jobs=len(self._requests),
                timeout=self._timeout,
                on_submitted=partial(self._report_submitted, index),
                **request_options(self._requests[0]),
            )
        except PartialIdentificationError as error:
            return IdentificationResult(index, source, error.identification, error)
        except AccountError:
            raise
        except VoiceprintError as error:
            return IdentificationResult(index, source, error=error)
        return IdentificationResult(index, source, found)

    async def _report_submitted(self, index: int, job: JobCreated) -> None:
        self._jobs.setdefault(index, []).append(job)
        self.writer.waiting += 1
        self.writer.show_progress()
        source = self._recordings[index].source
        record = {"label": source.label, "source": source.shown, "status": "submitted", "job_id": job.job_id}
        await self._output.write_status_record(record, partial(wrap, f"{source.label}: submitted, job {job.job_id}"))

    async def _write(self, result: IdentificationResult) -> None:
        jobs = self._jobs.get(result.index, [])
        self.writer.waiting -= len(jobs)
        if result.error is not None and not isinstance(result.error, VoiceprintError):
            raise result.error
        await self.writer.write(result.index, result.identification, result.error, jobs[0] if jobs else None)


def request_options(request: IdentificationRequest) -> IdentificationOptions:
    """Return the fields of a request without its URL and its voiceprints."""
    fields = attrs.asdict(request, recurse=False)
    return cast("IdentificationOptions", {name: fields[name] for name in IdentificationOptions.__annotations__})
