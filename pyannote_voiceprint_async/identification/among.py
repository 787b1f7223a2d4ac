"""Identify a recording among more speakers than one job accepts."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Unpack

from pyannote_voiceprint_async import arguments
from pyannote_voiceprint_async.api.identification_checks import MAX_SPEAKERS
from pyannote_voiceprint_async.api.request_checks import check_count, check_request
from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.concurrency.threads import LongFunctions
from pyannote_voiceprint_async.errors import ConfigurationError
from pyannote_voiceprint_async.identification_result.identification import Identification
from pyannote_voiceprint_async.job_operation import JobOperation, open_source, upload_opened
from pyannote_voiceprint_async.job_plans import IdentificationPlan
from pyannote_voiceprint_async.jobs.local_audio import is_local
from pyannote_voiceprint_async.models import (
    ANY_URL,
    IdentificationOptions,
    IdentificationRequest,
    JobCreated,
    Voiceprint,
    hide_voiceprints,
)
from pyannote_voiceprint_async.results import RecordingSource

from .errors import PartialIdentificationError
from .merge import merge

__all__ = ["identify_among", "jobs_needed", "make_requests"]

log = logging.getLogger("pyannote_voiceprint_async")


def jobs_needed(speakers: Mapping[str, Voiceprint | str]) -> int:
    """Return how many jobs `identify_among` submits. Each of them is billed for the whole recording."""
    return math.ceil(len(speakers) / MAX_SPEAKERS)


async def identify_among(  # noqa: PLR0913 - all but the first three by keyword
    client: AsyncVoiceprintClient,
    source: RecordingSource,
    speakers: Mapping[str, Voiceprint | str],
    *,
    expected: Iterable[str] = (),
    max_jobs: int,
    timeout: float | None = 3600.0,  # noqa: ASYNC109 - it never interrupts a submission, as `asyncio.timeout` would
    on_submitted: Callable[[JobCreated], Awaitable[None] | None] | None = None,
    **options: Unpack[IdentificationOptions],
) -> Identification:
    """Identify who speaks when in a recording, among any number of speakers.

    The recording is uploaded once, and submitted once for each 50 speakers. **Each job is billed for the whole
    recording**: `jobs_needed(speakers)` returns their number, which is also logged before the first submission. The
    results are merged: each diarized speaker of another job is mapped to the speaker of the first job with the longest
    overlap. A speaker whose longest overlap is less than half of its speech stays separate, with a warning. For each
    speaker, the match with the highest score wins.

    Args:
        client: the client.
        source: as for `AsyncVoiceprintClient.identify`.
        speakers: the voiceprints, or their values, by label.
        expected: the labels of the speakers that are expected in the recording. They are compared by the first job, and
            the diarization of the result is that of the first job.
        max_jobs: the most jobs that may be submitted; more are refused before anything is sent.
        timeout: seconds for all steps together; None waits as long as an output can exist (24 hours).
        on_submitted: called (and awaited) with each accepted job before its wait begins: save the job id there.
        options: the other fields of `IdentificationRequest`, as for `identify`.

    Raises:
        ConfigurationError: more jobs are needed than `max_jobs`, or an expected label has no voiceprint. Nothing was
            sent.
        InvalidRequestError: an argument is invalid; nothing was sent.
        PartialIdentificationError: some jobs have no result. The error has the ids of all jobs, and the results so far.
        VoiceprintError: no job was accepted, as for `identify`.
    """
    source, speakers, options = arguments.hide_url(source), hide_voiceprints(speakers), arguments.hide_options(options)
    requests = make_requests(speakers, expected, max_jobs, options)
    arguments.check_callback(on_submitted)
    engine = client.engine
    engine.check_usable()
    deadline = engine.deadline_after(timeout)
    log.info(
        "Identification among %d speakers: %d job(s), each billed for the whole recording.",
        len(speakers),
        len(requests),
    )
    plan, url = IdentificationPlan(requests[0]), source
    if is_local(source):
        async with open_source(source, plan) as audio:
            url, _ = await upload_opened(engine, audio, plan, source, deadline)
    accepted: list[JobCreated] = []

    async def record(job: JobCreated) -> None:
        accepted.append(job)
        await arguments.run_callback(on_submitted, job)

    operations = [
        JobOperation(
            engine=engine,
            source=url,
            plan=IdentificationPlan(request),
            on_submitted=record,
            deadline=deadline,
        )
        for request in requests
    ]
    runs = [operation.run() for operation in operations]
    try:
        # No variable holds the errors here: they would be kept alive by a reference cycle with this frame.
        return await _merge_results(await asyncio.gather(*runs, return_exceptions=True), accepted, engine.large_outputs)
    except Exception:
        raise
    except BaseException:
        # Jobs that have a result already are kept too: a cancelled caller does not receive the result.
        for job in accepted:
            engine.abandon(job)
        raise


def make_requests(
    speakers: Mapping[str, Voiceprint | str], expected: Iterable[str], max_jobs: int, options: IdentificationOptions
) -> list[IdentificationRequest]:
    """Return one checked request for each 50 speakers, the expected speakers first. Their URL is a placeholder.

    Raises:
        ConfigurationError: more requests are needed than `max_jobs`, or an expected label has no voiceprint.
        InvalidRequestError: an argument is invalid.
    """
    check_count("max_jobs", max_jobs)
    if not isinstance(speakers, Mapping) or not speakers:
        check_request(IdentificationRequest(ANY_URL, speakers, **options))  # raises the error for it
    labels = list(dict.fromkeys([*_check_expected(expected, speakers), *speakers]))
    parts = [labels[at : at + MAX_SPEAKERS] for at in range(0, len(labels), MAX_SPEAKERS)]
    if len(parts) > max_jobs:
        raise ConfigurationError(
            f"{len(labels)} speakers need {len(parts)} jobs, each billed for the whole recording, and max_jobs is "
            f"{max_jobs}. Nothing was sent. Pass max_jobs={len(parts)}, or fewer speakers: those that you expect."
        )
    requests = [IdentificationRequest(ANY_URL, {label: speakers[label] for label in part}, **options) for part in parts]
    for request in requests:
        check_request(request)
    return requests


def _check_expected(expected: Iterable[str], speakers: Mapping[str, Voiceprint | str]) -> list[str]:
    if isinstance(expected, str):
        raise TypeError("Pass a list of labels as expected, such as [label]: a str would be read as a list of letters.")
    labels = list(expected)
    if unknown := [label for label in labels if label not in speakers]:
        raise ConfigurationError(
            f"Expected speakers without a voiceprint: {', '.join(map(repr, unknown[:10]))}. Nothing was sent."
        )
    return labels


async def _merge_results(
    ended: Sequence[Identification | BaseException], accepted: Sequence[JobCreated], large_outputs: LongFunctions
) -> Identification:
    """Return the merged results.

    Args:
        ended: what each job returned or raised.
        accepted: the accepted jobs.
        large_outputs: merges the results.

    Raises:
        PartialIdentificationError: a job has no result, while others were accepted.
        Exception: no job was accepted: the error of the first one.
    """
    results = [one for one in ended if isinstance(one, Identification)]
    errors = [one for one in ended if isinstance(one, Exception)]
    cancelled = next((one for one in ended if not isinstance(one, Identification | Exception)), None)
    try:
        if cancelled is not None:
            raise cancelled
        merged = await large_outputs.run(partial(merge, results)) if results else None
        if merged is not None and not errors:
            return merged
        may_be_billed = accepted or any(getattr(error, "outcome_unknown", False) for error in errors)
        if may_be_billed and len(ended) > 1:
            raise _partial_error(merged, len(results), len(ended), errors, [job.job_id for job in accepted])
        raise errors[0]
    finally:
        del ended, errors, cancelled  # breaks the reference cycle of an error and this frame


def _partial_error(
    merged: Identification | None, done: int, total: int, errors: Sequence[Exception], accepted: Sequence[str]
) -> PartialIdentificationError:
    known = list(dict.fromkeys([*accepted, *filter(None, (getattr(error, "job_id", None) for error in errors))]))
    failed = next((job_id for error in errors if (job_id := getattr(error, "job_id", None))), None)
    details = {"outcome_unknown": any(getattr(error, "outcome_unknown", False) for error in errors), "job_id": failed}
    return PartialIdentificationError(
        f"{done} of {total} jobs have a result; the first error is: {errors[0]} The results so far are in "
        f"`identification`, and {len(known)} accepted jobs in `job_ids`: wait(job_id) returns each of them while its "
        "output exists.",
        identification=merged,
        job_ids=known,
        errors=errors,
        **details,
    )
