"""The registry of all accepted jobs."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from random import Random
from typing import Any
from urllib.parse import urlsplit

from pyannote_voiceprint_async.sandbox.identify_fields import IdentifyFields
from pyannote_voiceprint_async.sandbox.job_scripts import FinalStatus, JobScript
from pyannote_voiceprint_async.sandbox.jobs import SandboxJob
from pyannote_voiceprint_async.sandbox.media import StoredMedia
from pyannote_voiceprint_async.sandbox.webhook_faults import WebhookFault

# Words in the path of an http(s) URL that select the final status of its job.
_STATUS_BY_WORD: Mapping[str, FinalStatus] = {"unreachable": "failed", "canceled": "canceled"}


class JobRegistry:
    """All accepted jobs, oldest first.

    Args:
        seconds: Shortest and longest duration of a job in seconds.
        seed: Seed of the random durations.
    """

    def __init__(self, seconds: tuple[float, float], seed: int) -> None:
        self.accepted: list[SandboxJob] = []
        self._positions: dict[str, int] = {}
        self._seconds = seconds
        # A string seed, because the plain number would repeat the random series of the faults.
        self._random = Random(f"durations {seed}")

    def accept(  # noqa: PLR0913 - a job has many properties
        self,
        fields: Mapping[str, Any],
        media: StoredMedia | None,
        now: float,
        fault: WebhookFault | None = None,
        *,
        identification: IdentifyFields | None = None,
        script: JobScript | None = None,
    ) -> SandboxJob:
        """Create a job from the validated fields of a submission. The job is billed.

        Args:
            fields: The fields of the body.
            media: The uploaded file behind the submitted URL, if there is one.
            now: Current time in UTC epoch seconds.
            fault: The fault of the job's webhook.
            identification: What an identification job needs besides; `None` for a voiceprint job.
            script: What a test scripted for the job.
        """
        url = fields["url"]
        script = script or JobScript()
        seconds = self._random.uniform(*(script.seconds or self._seconds))
        job = SandboxJob(
            id=str(uuid.uuid4()),
            url=url,
            model=fields.get("model") or "precision-2",
            webhook=fields.get("webhook"),
            webhook_status_only=fields.get("webhookStatusOnly", False),
            created_at=now,
            seconds=0.0 if fault is not None and fault.early else seconds,
            fate=script.final_status or _final_status(url, media, identification),
            media=media,
            webhook_fault=fault,
            identification=identification,
            script=script,
        )
        self._positions[job.id] = len(self.accepted)
        self.accepted.append(job)
        return job

    def restore(self, jobs: Sequence[SandboxJob]) -> None:
        """Replace all jobs. The oldest one comes first."""
        self.accepted = [*jobs]
        self._positions = {job.id: position for position, job in enumerate(jobs)}

    def get(self, job_id: str) -> SandboxJob | None:
        """Return the job with this id, or `None`."""
        position = self._positions.get(job_id)
        return None if position is None else self.accepted[position]

    def page(self, limit: int, after: str | None, status: str | None, now: float) -> tuple[list[SandboxJob], bool]:
        """Return the next jobs, newest first, and whether more jobs follow them.

        Args:
            limit: Maximum number of jobs.
            after: Id of the last job of the previous page; `None` starts with the newest job.
            status: Return only jobs with this status.
            now: Time at which the statuses are compared, in UTC epoch seconds.
        """
        matching = (job for job in self._newest_first(after) if status is None or job.status(now) == status)
        jobs = list(islice(matching, limit + 1))
        return jobs[:limit], len(jobs) > limit

    def _newest_first(self, after: str | None) -> Iterator[SandboxJob]:
        end = len(self.accepted) if after is None else self._positions[after]
        return (self.accepted[position] for position in range(end - 1, -1, -1))


def _final_status(url: str, media: StoredMedia | None, identification: IdentifyFields | None) -> FinalStatus:
    if url.startswith("media:"):
        usable = media is not None and (media.usable if identification is None else media.identifiable)
        return "succeeded" if usable else "failed"
    path = urlsplit(url).path
    return next((status for word, status in _STATUS_BY_WORD.items() if word in path), "succeeded")
