"""JobRegistry: everything that becomes of one is a function of its age."""

import uuid
from collections.abc import Iterator, Sequence
from itertools import islice
from random import Random
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

import attrs

from pyannote_voiceprint_async.sandbox.clock import isoformat
from pyannote_voiceprint_async.sandbox.media import StoredMedia
from pyannote_voiceprint_async.sandbox.voiceprints import voiceprint_of, voiceprint_of_digest
from pyannote_voiceprint_async.sandbox.webhook_faults import WebhookFault

FinalStatus = Literal["succeeded", "failed", "canceled"]

STATUSES = ("pending", "created", "running", "succeeded", "failed", "canceled")

# Shares of a job's duration after which it is in each state.
_STAGES = ((0.3, "running"), (0.1, "created"))

# Words in the path of an http(s) URL that decide how its job ends.
_FATES: dict[str, FinalStatus] = {"unreachable": "failed", "canceled": "canceled"}


@attrs.frozen
class Job:
    """One accepted submission, which is one unit on the bill."""

    kind: ClassVar[str] = "voiceprint"

    id: str
    """The API's `jobId`."""
    url: str
    """What was submitted."""
    model: str
    """The model that was asked for, or the default."""
    webhook: str | None
    """Where the end of the job is to be told."""
    webhook_status_only: bool
    """Whether it is to be told without the output."""
    created_at: float
    """UTC epoch seconds."""
    seconds: float
    """How long the job takes."""
    fate: FinalStatus
    """How the job ends."""
    media: StoredMedia | None
    """The file behind a `media://` URL, as it was when the job was accepted."""
    webhook_fault: WebhookFault | None = None
    """What goes wrong with its webhook."""

    @property
    def finished_at(self) -> float:
        """UTC epoch seconds of the job's end, be it still to come."""
        return self.created_at + self.seconds

    @property
    def voiceprint(self) -> str:
        """The voiceprint of this job's source, computed when it is asked for."""
        return voiceprint_of(self.url) if self.media is None else voiceprint_of_digest(self.media.sha256)

    def stage(self, now: float) -> tuple[str, float]:
        """The status at this time, and since when."""
        if now >= self.finished_at:
            return self.fate, self.finished_at
        for share, status in _STAGES:
            since = self.created_at + share * self.seconds
            if now >= since:
                return status, since
        return "pending", self.created_at

    def status(self, now: float) -> str:
        """The status at this time."""
        return self.stage(now)[0]

    def to_summary(self, now: float) -> dict[str, str | int | None]:
        """The job as a list of jobs shows it: without output."""
        status = self.status(now)
        return {
            "id": self.id,
            "status": status,
            "type": self.kind,
            "source": "api",
            "model": self.model,
            "quantity": 1,
            "reason": "Could not load audio" if status == "failed" else None,
            "createdAt": isoformat(self.created_at),
            "completedAt": isoformat(self.finished_at) if now >= self.finished_at else None,
        }

    def to_record(self, now: float) -> dict[str, str | None]:
        """The job as `/_sandbox/jobs` shows it: with its source, whatever its age."""
        status = self.status(now)
        return {
            "jobId": self.id,
            "kind": self.kind,
            "url": self.url,
            "status": status,
            "voiceprint": self.voiceprint if status == "succeeded" else None,
            "createdAt": isoformat(self.created_at),
        }


class JobRegistry:
    """All accepted jobs, oldest first.

    Args:
        seconds: The range from which durations are drawn.
        seed: Where the draw comes from.
    """

    def __init__(self, seconds: tuple[float, float], seed: int) -> None:
        self.accepted: list[Job] = []
        self._positions: dict[str, int] = {}
        self._seconds = seconds
        # A string keeps this series apart from the faults', which has the plain seed.
        self._random = Random(f"durations {seed}")

    def accept(
        self, request: dict[str, Any], media: StoredMedia | None, now: float, fault: WebhookFault | None = None
    ) -> Job:
        """Turn a checked request into a job. From here on it is billed."""
        url = request["url"]
        seconds = self._random.uniform(*self._seconds)
        job = Job(
            id=str(uuid.uuid4()),
            url=url,
            model=request.get("model") or "precision-2",
            webhook=request.get("webhook"),
            webhook_status_only=request.get("webhookStatusOnly", False),
            created_at=now,
            seconds=0.0 if fault is not None and fault.early else seconds,
            fate=_fate(url, media),
            media=media,
            webhook_fault=fault,
        )
        self._positions[job.id] = len(self.accepted)
        self.accepted.append(job)
        return job

    def restore(self, jobs: Sequence[Job]) -> None:
        """Have accepted these, and no others."""
        self.accepted = [*jobs]
        self._positions = {job.id: position for position, job in enumerate(jobs)}

    def get(self, job_id: str) -> Job | None:
        """The job with this id."""
        position = self._positions.get(job_id)
        return None if position is None else self.accepted[position]

    def page(self, limit: int, after: str | None, status: str | None, now: float) -> tuple[list[Job], bool]:
        """The next jobs, newest first, and whether there are more behind them.

        Args:
            limit: The most jobs to give.
            after: Id of the last job that the caller has; `None` starts at the newest.
            status: Only jobs in this status.
            now: The time that decides about the status.
        """
        matching = (job for job in self._newest_first(after) if status is None or job.status(now) == status)
        jobs = list(islice(matching, limit + 1))
        return jobs[:limit], len(jobs) > limit

    def _newest_first(self, after: str | None) -> Iterator[Job]:
        end = len(self.accepted) if after is None else self._positions[after]
        return (self.accepted[position] for position in range(end - 1, -1, -1))


def _fate(url: str, media: StoredMedia | None) -> FinalStatus:
    if url.startswith("media:"):
        return "succeeded" if media is not None and media.usable else "failed"
    path = urlsplit(url).path
    return next((fate for word, fate in _FATES.items() if word in path), "succeeded")
