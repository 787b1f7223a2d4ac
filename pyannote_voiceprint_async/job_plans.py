"""What differs between an operation for a voiceprint and one for an identification."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import attrs

from pyannote_voiceprint_async.api.endpoints import MAX_IDENTIFICATION_BYTES, MAX_VOICEPRINT_BYTES
from pyannote_voiceprint_async.concurrency.threads import LongFunctions
from pyannote_voiceprint_async.jobs.outcome import require_identification, require_voiceprint

from .arguments import to_request
from .models import IdentificationRequest, Job, Voiceprint, VoiceprintRequest

if TYPE_CHECKING:
    from pyannote_voiceprint_async.identification_result.identification import Identification

__all__ = ["IdentificationPlan", "JobPlan", "VoiceprintPlan"]

R_co = TypeVar("R_co", covariant=True)

# Sorting the turns of a long recording would block the event loop.
_MANY_TURNS = 2_000


class JobPlan(Protocol[R_co]):
    """What differs between the kinds of jobs."""

    @property
    def operation(self) -> str:
        """The name of the operation in events."""

    @property
    def checks_voice(self) -> bool:
        """Whether local audio is checked for its use as a voiceprint."""

    @property
    def max_bytes(self) -> int:
        """The most bytes that the audio may have."""

    @property
    def limits(self) -> str:
        """The kind of job and the limits of its audio, as the end of a sentence."""

    def to_request(self, source: Any) -> VoiceprintRequest | IdentificationRequest:
        """Return the request for a URL, or the request that was passed instead of one."""

    async def make_result(
        self, job: Job, model: str, warnings: Iterable[str | None], large_outputs: LongFunctions
    ) -> R_co:
        """Return the result of a succeeded job.

        Args:
            job: the job.
            model: the model that the submission named.
            warnings: earlier warnings; None is left out.
            large_outputs: makes the results of long recordings.

        Raises:
            JobError: the output is missing, or that of another kind of job.
        """


@attrs.frozen(eq=False, repr=False)
class VoiceprintPlan:
    """The plan of `voiceprint`."""

    model: str
    webhook: str | None
    checks_voice: bool
    max_bytes = MAX_VOICEPRINT_BYTES
    limits = "a voiceprint: at most 100 MiB and 30 seconds"
    operation = "voiceprint"

    def to_request(self, source: Any) -> VoiceprintRequest:
        """Return the request for a URL, or the request that was passed instead of one."""
        return to_request(source, self.model, self.webhook)

    async def make_result(
        self,
        job: Job,
        model: str,
        warnings: Iterable[str | None],
        large_outputs: LongFunctions,  # noqa: ARG002 - a voiceprint is small
    ) -> Voiceprint:
        """Return the voiceprint of a succeeded job."""
        return Voiceprint.from_job(require_voiceprint(job), model, *warnings)


@attrs.frozen(eq=False, repr=False)
class IdentificationPlan:
    """The plan of `identify`."""

    template: IdentificationRequest
    """The request, with any URL."""
    checks_voice = False
    max_bytes = MAX_IDENTIFICATION_BYTES
    limits = "an identification: at most 1 GiB and 24 hours"
    operation = "identify"

    def to_request(self, source: Any) -> IdentificationRequest:
        """Return the request for a URL; anything else is refused when the request is checked."""
        return attrs.evolve(self.template, url=source)

    async def make_result(
        self, job: Job, model: str, warnings: Iterable[str | None], large_outputs: LongFunctions
    ) -> Identification:
        """Return the identification of a succeeded job."""
        # Imported here, because programs that only make voiceprints do not use it.
        from pyannote_voiceprint_async.identification_result.identification import Identification  # noqa: PLC0415

        output = require_identification(job)
        make = partial(
            Identification.from_output,
            output,
            job_id=job.job_id,
            model=model,
            created_at=job.created_at,
            warnings=tuple(warnings),
        )
        is_long = len(output.identification) + len(output.diarization) > _MANY_TURNS
        identification = await large_outputs.run(make) if is_long else make()
        return identification.set_response(job.response)
