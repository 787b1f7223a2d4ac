"""Jobs. The status of a job depends only on its age."""

import math
import re
from typing import Literal
from urllib.parse import urlsplit

import attrs

from pyannote_voiceprint_async.sandbox.audio import LONGEST_RECORDING
from pyannote_voiceprint_async.sandbox.clock import isoformat
from pyannote_voiceprint_async.sandbox.identify_fields import IdentifyFields
from pyannote_voiceprint_async.sandbox.job_scripts import MOST_TURNS, FinalStatus, JobScript
from pyannote_voiceprint_async.sandbox.media import StoredMedia
from pyannote_voiceprint_async.sandbox.voiceprints import voiceprint_of, voiceprint_of_digest
from pyannote_voiceprint_async.sandbox.webhook_faults import WebhookFault

JobKind = Literal["voiceprint", "identify"]

# Identification is billed by seconds of audio, and short recordings are billed as this many seconds.
LEAST_BILLED_SECONDS = 20

# The length of recordings whose length is unknown. The sandbox never fetches URLs.
UNKNOWN_SECONDS = 60.0

# `100000-turns` in the path of a URL makes an output of that size, in a recording with this many seconds per turn.
_TURNS = re.compile(r"([0-9]{1,9})-turns")
_TURN_SECONDS = 0.864

STATUSES = ("pending", "created", "running", "succeeded", "failed", "canceled")

# Each status with the share of the job's duration after which it begins, latest first.
_UNFINISHED = ((0.3, "running"), (0.1, "created"))


@attrs.frozen
class SandboxJob:
    """An accepted submission, which is one billed unit."""

    id: str
    """The API's `jobId`."""
    url: str
    """The submitted URL."""
    model: str
    """The requested model, or the default."""
    webhook: str | None
    """URL of the webhook that reports the end of the job."""
    webhook_status_only: bool
    """Whether the webhook omits the output."""
    created_at: float
    """UTC epoch seconds."""
    seconds: float
    """Duration of the job in seconds."""
    fate: FinalStatus
    """The job's status once it has finished."""
    media: StoredMedia | None
    """The file behind a `media://` URL at the time of the submission."""
    webhook_fault: WebhookFault | None = None
    """The fault of the job's webhook."""
    identification: IdentifyFields | None = None
    """What an identification job was submitted with; `None` for a voiceprint job."""
    script: JobScript = attrs.field(factory=JobScript)
    """What a test scripted for the job."""

    @property
    def kind(self) -> JobKind:
        """The kind of the job, as `GET /v2/jobs` names it."""
        return "voiceprint" if self.identification is None else "identify"

    @property
    def finished_at(self) -> float:
        """UTC epoch seconds of the job's end, which may be in the future."""
        return self.created_at + self.seconds

    @property
    def voiceprint(self) -> str:
        """The voiceprint of the job's source."""
        if self.media is None:
            return voiceprint_of(self.url)
        speech = self.media.speech
        return voiceprint_of_digest(self.media.sha256, None if speech is None else speech.voice)

    @property
    def audio_seconds(self) -> float:
        """Length of the job's source."""
        if self.script.audio_seconds is not None:
            return self.script.audio_seconds
        if self.media is not None and self.media.seconds is not None:
            return self.media.seconds
        return min(LONGEST_RECORDING, max(UNKNOWN_SECONDS, (self.turns or 0) * _TURN_SECONDS))

    @property
    def turns(self) -> int | None:
        """The number of turns in the output of an identification; `None` if the recording decides."""
        number = _TURNS.search(urlsplit(self.url).path)
        return self.script.turns or (min(int(number[1]), MOST_TURNS) or None if number else None)

    @property
    def error(self) -> str:
        """The error of the job if it fails."""
        return "Could not load audio" if self.script.error is None else self.script.error

    @property
    def quantity(self) -> int:
        """The billed units of the job if it succeeds: one voiceprint, or the seconds of audio."""
        return 1 if self.identification is None else max(LEAST_BILLED_SECONDS, math.ceil(self.audio_seconds))

    def stage(self, now: float) -> tuple[str, float]:
        """Return the status at this time, and when it began in UTC epoch seconds."""
        if now >= self.finished_at:
            return self.fate, self.finished_at
        for share, status in _UNFINISHED:
            since = self.created_at + share * self.seconds
            if now >= since:
                return status, since
        return "pending", self.created_at

    def status(self, now: float) -> str:
        """Return the status at this time."""
        return self.stage(now)[0]

    def to_summary(self, now: float) -> dict[str, str | int | None]:
        """Return the job as an item of `GET /v2/jobs`, which has no output."""
        status = self.status(now)
        return {
            "id": self.id,
            "status": status,
            "type": self.kind,
            "source": "api",
            "model": self.model,
            "quantity": self.quantity,
            "reason": self.error if status == "failed" else None,
            "createdAt": isoformat(self.created_at),
            "completedAt": isoformat(self.finished_at) if now >= self.finished_at else None,
        }

    def to_record(self, now: float) -> dict[str, str | None]:
        """Return the job as an item of `GET /_sandbox/jobs`, with its source, and its voiceprint at any age."""
        status = self.status(now)
        return {
            "jobId": self.id,
            "kind": self.kind,
            "url": self.url,
            "status": status,
            "voiceprint": self.voiceprint if (self.kind, status) == ("voiceprint", "succeeded") else None,
            "createdAt": isoformat(self.created_at),
        }
