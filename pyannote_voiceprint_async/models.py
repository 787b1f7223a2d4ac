"""What the API speaks of, in the API's own words, as frozen attrs classes."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

import attrs

from .redaction import redact_text, redact_url
from .reprs import safe_repr
from .secret import Secret

__all__ = [
    "JobCreated",
    "JobPage",
    "JobStatus",
    "JobSummary",
    "KeyStatus",
    "MediaUpload",
    "Model",
    "Voiceprint",
    "VoiceprintJob",
    "VoiceprintOutput",
    "VoiceprintRequest",
    "WebhookEvent",
]


class _OpenEnum(StrEnum):
    """An enumeration that keeps a value it does not know, as it came."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        unknown = str.__new__(cls, value)
        unknown._name_ = value
        unknown._value_ = value
        return unknown


class JobStatus(_OpenEnum):
    """Where a job stands. A status that this version does not know is kept as it came, and is not terminal."""

    PENDING = "pending"
    CREATED = "created"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        # Some sources of the API write it the British way.
        return cls.CANCELED if value == "cancelled" else super()._missing_(value)

    @property
    def is_terminal(self) -> bool:
        """Whether the job will never change again."""
        return self in _TERMINAL


_TERMINAL = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELED})


class Model(_OpenEnum):
    """A voiceprint model. Any other name may be given as a plain string."""

    PRECISION_2 = "precision-2"
    PRECISION_3 = "precision-3"


def _not_empty(_: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{attribute.name} must be a string that is not empty")


def _masked(text: object) -> str:
    return repr(redact_text(text) if isinstance(text, str) else text)


def _hide(secret: object) -> str:
    return "None" if secret is None else "<hidden, see .voiceprint>"


def _extra() -> Mapping[str, Any]:
    return attrs.field(factory=dict, repr=False, kw_only=True)


@safe_repr
@attrs.frozen
class VoiceprintRequest:
    """The body of `POST /v1/voiceprint`."""

    url: str = attrs.field(repr=_masked)
    """Where the audio is: `http(s)://` (a direct link, public or presigned) or `media://`."""
    model: str = Model.PRECISION_2
    """Always sent, because voiceprints of different models must not be mixed."""
    webhook: str | None = attrs.field(default=None, repr=_masked)
    """Where the result is to be posted: an `https://` URL."""
    webhook_status_only: bool = False
    """Leave the output out of the webhook's payload."""


@safe_repr
@attrs.frozen
class JobCreated:
    """The answer to a submission: a job was accepted, and will be billed if it succeeds."""

    job_id: str = attrs.field(validator=_not_empty)
    """With it the result can be fetched, by this program or another one."""
    status: JobStatus = JobStatus.CREATED
    """Where the job stands."""
    warning: str | None = attrs.field(default=None, repr=_masked)
    """Something that the API wants to be known."""
    extra: Mapping[str, Any] = _extra()
    """Fields that this version does not know, as they came."""


@safe_repr
@attrs.frozen
class VoiceprintOutput:
    """What a voiceprint job leaves behind, for 24 hours."""

    voiceprint: str | None = attrs.field(default=None, repr=_hide)
    """An opaque string, to be stored as it is."""
    warning: str | None = attrs.field(default=None, repr=_masked)
    """Something that the API wants to be known about the audio."""
    error: str | None = attrs.field(default=None, repr=_masked)
    """Why the job failed (`Could not load audio`)."""
    extra: Mapping[str, Any] = _extra()
    """Fields that this version does not know, as they came."""


@safe_repr
@attrs.frozen
class VoiceprintJob:
    """A job, as `GET /v1/jobs/{jobId}` tells it."""

    job_id: str = attrs.field(validator=_not_empty)
    """The job's id."""
    status: JobStatus
    """Where it stands."""
    created_at: datetime | None = None
    """When it was accepted (UTC)."""
    updated_at: datetime | None = None
    """When it last changed (UTC); the API may leave it out."""
    output: VoiceprintOutput | None = None
    """The result, or the reason of a failure; None before the end, and after 24 hours."""
    extra: Mapping[str, Any] = _extra()
    """Fields that this version does not know, as they came."""

    @property
    def voiceprint(self) -> str | None:
        """The voiceprint, or None where there is none (yet, or any more)."""
        return self.output.voiceprint if self.output else None

    @property
    def has_result(self) -> bool:
        """Whether its output holds a result of any kind: a voiceprint, or in `extra` what other kinds of jobs make."""
        return self.output is not None and bool(self.output.voiceprint or self.output.extra)


@safe_repr
@attrs.frozen
class JobSummary:
    """A job in a page of `GET /v2/jobs`: every kind of job of the whole team, without output."""

    job_id: str = attrs.field(validator=_not_empty)
    """The job's id."""
    status: JobStatus = attrs.field(factory=lambda: JobStatus("unknown"))
    """Where it stands; `unknown` where the page does not say."""
    created_at: datetime | None = None
    """When it was accepted (UTC)."""
    completed_at: datetime | None = None
    """When it ended (UTC). This field and all below are None where the page does not have them."""
    type: str | None = None
    """What kind of job it is, as the API spells it (`voiceprint`, `identify`, `diarize` …)."""
    model: str | None = None
    """The model that it uses."""
    source: str | None = attrs.field(default=None, repr=_masked)
    """The API's `source`, as it came; its meaning is not documented."""
    reason: str | None = attrs.field(default=None, repr=_masked)
    """Why it failed or was canceled."""
    quantity: int | float | None = None
    """The API's `quantity`, as it came; its meaning is not documented."""
    extra: Mapping[str, Any] = _extra()
    """Fields that this version does not know, as they came."""


@safe_repr
@attrs.frozen
class JobPage:
    """One page of `GET /v2/jobs`, newest first."""

    items: tuple[JobSummary, ...] = attrs.field()
    """At most 100 jobs. A page without such a list is none: what is not listed may be taken for what is not there."""
    next_cursor: str | None = None
    """What asks for the next page; None on the last one."""


@safe_repr
@attrs.frozen
class KeyStatus:
    """The answer to `GET /v1/test`."""

    status: str = ""
    """`OK`, in the API's words."""
    message: str = attrs.field(default="", repr=_masked)
    """A sentence about the key."""
    extra: Mapping[str, Any] = _extra()
    """Fields that this version does not know, as they came."""


@safe_repr
@attrs.frozen
class MediaUpload:
    """The answer to `POST /v1/media/input`: where to put the audio."""

    url: Secret = attrs.field(repr=redact_url, validator=_not_empty)
    """A presigned URL: whoever knows it may write there."""


@safe_repr
@attrs.frozen
class WebhookEvent:
    """What a webhook tells of a job, once its signature was verified."""

    job_id: str
    """The job."""
    status: JobStatus
    """How it ended."""
    output: VoiceprintOutput | None = None
    """The result; None where the webhook was asked for the status only."""
    timestamp: datetime | None = None
    """When it was signed (UTC)."""
    retry_num: int | None = None
    """Which repeat of the delivery this is; None or 0 for the first try."""
    retry_reason: str | None = attrs.field(default=None, repr=_masked)
    """Why it was repeated (`http_timeout`, `connection_failed` …)."""

    @property
    def is_complete(self) -> bool:
        """Whether it is all that reading the job would tell.

        A failed job may be told as canceled, so that is to be read before it is believed.
        """
        if self.output is None:
            return False
        if self.status is JobStatus.SUCCEEDED:
            return self.output.voiceprint is not None
        return self.status is JobStatus.FAILED and self.output.error is not None


@safe_repr
@attrs.frozen(repr=False)
class Voiceprint:
    """Who somebody is, by voice. `repr` and `str` hide it: a voiceprint is biometric data. Use `.value`."""

    value: str
    """The opaque string of the API, to be given back to it as it is."""
    model: str
    """The model that made it; identification must use the same."""
    job_id: str
    """The job that made it."""
    created_at: datetime | None = None
    """When the job was accepted (UTC)."""
    warnings: tuple[str, ...] = ()
    """What the API wants to be known about it, and what the check of local audio found."""

    @classmethod
    def from_job(cls, job: VoiceprintJob, model: str, *warnings: str | None) -> Self:
        """Make it of a job that has one, and of what else was said about it.

        Raises:
            ValueError: the job has none.
        """
        if job.voiceprint is None:
            raise ValueError(f"Job {job.job_id} has no voiceprint.")
        said = (*warnings, job.output.warning if job.output else None)
        return cls(job.voiceprint, str(model), job.job_id, job.created_at, tuple(filter(None, said)))

    def __repr__(self) -> str:
        return f"<Voiceprint model={self.model} job_id={self.job_id} (hidden, use .value)>"

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON types. The voiceprint stands in it in clear: keep it private."""
        created_at = self.created_at.isoformat() if self.created_at else None
        return attrs.asdict(self) | {"created_at": created_at, "warnings": list(self.warnings)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Read what `to_dict` gave. Fields of later versions are passed over.

        Raises:
            KeyError: `value`, `model` or `job_id` is missing.
        """
        created_at = stored.get("created_at")
        return cls(
            value=stored["value"],
            model=stored["model"],
            job_id=stored["job_id"],
            created_at=datetime.fromisoformat(created_at) if created_at else None,
            warnings=tuple(stored.get("warnings", ())),
        )
