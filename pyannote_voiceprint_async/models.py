"""The requests, responses and webhooks of the API, as frozen attrs classes."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Self, TypedDict, cast

import attrs

from .identification_result.output import IdentificationOutput
from .redaction import printable, redact_text, redact_url
from .reprs import safe_repr
from .response_info import FromResponse
from .secret import Secret, hide

__all__ = [
    "ANY_URL",
    "IdentificationOptions",
    "IdentificationRequest",
    "Job",
    "JobCreated",
    "JobPage",
    "JobStatus",
    "JobStatusPage",
    "JobSummary",
    "KeyStatus",
    "Matching",
    "MediaUpload",
    "Model",
    "Voiceprint",
    "VoiceprintOutput",
    "VoiceprintRequest",
    "WebhookEvent",
    "hide_voiceprints",
]


class _OpenEnum(StrEnum):
    """An enumeration that keeps an unknown value as a member of its own."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        unknown = str.__new__(cls, value)
        # `repr()` shows the name, so that an unknown value cannot steer a terminal.
        unknown._name_ = printable(value)
        unknown._value_ = value
        return unknown


class JobStatus(_OpenEnum):
    """The status of a job. A status that this version does not know is kept, and is not terminal."""

    PENDING = "pending"
    CREATED = "created"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        # Some pages of the API's documentation use the British spelling.
        return cls.CANCELED if value == "cancelled" else super()._missing_(value)

    @property
    def is_terminal(self) -> bool:
        """Whether the status is final."""
        return self in _TERMINAL


_TERMINAL = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELED})
_UNKNOWN_STATUS = JobStatus("unknown")


class Model(_OpenEnum):
    """A voiceprint model. Another name can be passed as a plain string."""

    PRECISION_2 = "precision-2"
    PRECISION_3 = "precision-3"


def _not_empty(_: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{attribute.name} must be a non-empty string")


def _redact(text: object) -> str:
    return repr(redact_text(text) if isinstance(text, str) else text)


def _hide(secret: object) -> str:
    return "None" if secret is None else "<hidden, see .voiceprint>"


def _extra() -> Mapping[str, Any]:
    return attrs.field(factory=dict, repr=False, kw_only=True)


@safe_repr
@attrs.frozen
class VoiceprintRequest:
    """The body of `POST /v1/voiceprint`."""

    url: str = attrs.field(repr=_redact)
    """The URL of the audio: `http(s)://` (a direct link, public or presigned) or `media://`."""
    model: str = Model.PRECISION_2
    """Always sent, because voiceprints of different models must not be mixed."""
    webhook: str | None = attrs.field(default=None, repr=_redact)
    """The `https://` URL to which the API posts the result."""
    webhook_status_only: bool = False
    """Whether the webhook omits the output."""


def hide_voiceprints(voiceprints: "Mapping[str, Voiceprint | str]") -> "Mapping[str, Voiceprint | str]":
    """Return a mapping of labels to voiceprints whose values no traceback shows; of anything else, its type.

    A request is checked after it was made, so this function accepts values of any type.
    """
    values: Any = voiceprints
    if isinstance(values, Mapping):
        values = {label: _hide_value(value) for label, value in values.items()}
    elif not isinstance(values, type):
        values = type(values)
    return cast("Mapping[str, Voiceprint | str]", values)


def _hide_value(value: object) -> Any:
    if isinstance(value, Voiceprint | str):
        return hide(value)
    return value if isinstance(value, type) else type(value)


def _repr_voiceprints(voiceprints: object) -> str:
    return f"<{len(voiceprints)} hidden>" if isinstance(voiceprints, Mapping) else repr(voiceprints)


@safe_repr
@attrs.frozen
class Matching:
    """How an identification assigns voiceprints to diarized speakers."""

    threshold: float = 0
    """The least score of a match, from 0 to 100. The scores in the output are the same with any threshold."""
    exclusive: bool = True
    """Whether each voiceprint matches at most one diarized speaker."""


@safe_repr
@attrs.frozen
class IdentificationRequest:
    """The body of `POST /v1/identify`. `repr()` shows no voiceprint."""

    url: str = attrs.field(repr=_redact)
    """The URL of the recording: `http(s)://` (a direct link, public or presigned) or `media://`."""
    voiceprints: "Mapping[str, Voiceprint | str]" = attrs.field(converter=hide_voiceprints, repr=_repr_voiceprints)
    """1 to 50 voiceprints, or their values, by label. A label has at most 100 characters and does not begin with
    `speaker_`."""
    model: str = Model.PRECISION_2
    """The model of all voiceprints. Always sent, because voiceprints of different models must not be mixed."""
    matching: Matching = Matching()
    """How voiceprints are assigned to diarized speakers."""
    num_speakers: int | None = None
    """The number of speakers in the recording, if it is known."""
    min_speakers: int | None = None
    """The least number of speakers."""
    max_speakers: int | None = None
    """The largest number of speakers."""
    exclusive: bool = False
    """Whether the output also has a diarization without overlaps."""
    confidence: bool = False
    """Whether the output has the confidence over time."""
    turn_level_confidence: bool = False
    """Whether each turn has a confidence."""
    vad_sensitivity: float | None = None
    """How readily sound counts as speech, from -5 to 5; the API's default is 0."""
    crosstalk_sensitivity: float | None = None
    """How readily overlapping voices count as speech, from -5 to 5; the API's default is 0."""
    webhook: str | None = attrs.field(default=None, repr=_redact)
    """The `https://` URL to which the API posts the result."""
    webhook_status_only: bool = False
    """Whether the webhook omits the output."""


ANY_URL = "media://any"
"""The URL of a request that is checked before its recording is uploaded."""


class IdentificationOptions(TypedDict, total=False):
    """The fields of `IdentificationRequest` that have a default, as keywords of a call."""

    model: str
    matching: Matching
    num_speakers: int | None
    min_speakers: int | None
    max_speakers: int | None
    exclusive: bool
    confidence: bool
    turn_level_confidence: bool
    vad_sensitivity: float | None
    crosstalk_sensitivity: float | None
    webhook: str | None
    webhook_status_only: bool


@safe_repr
@attrs.frozen
class JobCreated(FromResponse):
    """The response to a submission: the API accepted a job, and bills it if it succeeds."""

    job_id: str = attrs.field(validator=_not_empty)
    """The id with which this program or another one fetches the result."""
    status: JobStatus = JobStatus.CREATED
    """The status of the job."""
    warning: str | None = attrs.field(default=None, repr=_redact)
    """A warning of the API about the request."""
    extra: Mapping[str, Any] = _extra()
    """Fields that this version does not know, as parsed from JSON."""


@safe_repr
@attrs.frozen
class VoiceprintOutput:
    """The output of a voiceprint job, which the API deletes after 24 hours."""

    voiceprint: str | None = attrs.field(default=None, repr=_hide)
    """An opaque string. Store it unchanged."""
    warning: str | None = attrs.field(default=None, repr=_redact)
    """A warning of the API about the audio."""
    error: str | None = attrs.field(default=None, repr=_redact)
    """Why the job failed (`Could not load audio`)."""
    extra: Mapping[str, Any] = _extra()
    """Fields that this version does not know, as parsed from JSON; the whole result of another kind of job."""

    @property
    def has_result(self) -> bool:
        """Whether there is a result: a voiceprint, or in `extra` the result of another kind of job."""
        return bool(self.voiceprint or self.extra)


@safe_repr
@attrs.frozen
class Job(FromResponse):
    """The response to `GET /v1/jobs/{jobId}`: a job of any kind."""

    job_id: str = attrs.field(validator=_not_empty)
    """The id of the job."""
    status: JobStatus
    """The status of the job."""
    created_at: datetime | None = None
    """When the API accepted the job (UTC)."""
    updated_at: datetime | None = None
    """When the job last changed (UTC); the API may leave it out."""
    output: VoiceprintOutput | IdentificationOutput | None = None
    """The result, or the reason of a failure. None before the job ends, and 24 hours after.

    The output of an identification is an `IdentificationOutput`. All others are a `VoiceprintOutput`; those of other
    kinds than voiceprints are in its `extra`.
    """
    extra: Mapping[str, Any] = _extra()
    """Fields that this version does not know, as parsed from JSON."""

    @property
    def voiceprint(self) -> str | None:
        """The value of the voiceprint, in clear text; `Voiceprint.from_job` makes an object that hides it.

        None before the job succeeds, after its output expires, and for other kinds of jobs.
        """
        return self.output.voiceprint if isinstance(self.output, VoiceprintOutput) else None

    @property
    def has_result(self) -> bool:
        """Whether the output holds a result of any kind."""
        return self.output is not None and self.output.has_result


@safe_repr
@attrs.frozen
class JobSummary(FromResponse):
    """A job in a page of `GET /v2/jobs`, which lists all kinds of jobs of the team, without output."""

    job_id: str = attrs.field(validator=_not_empty)
    """The id of the job."""
    status: JobStatus = _UNKNOWN_STATUS
    """The status of the job; `unknown` if the page does not contain it."""
    created_at: datetime | None = None
    """When the API accepted the job (UTC)."""
    completed_at: datetime | None = None
    """When the job ended (UTC). This field and all below are None if the page does not contain them."""
    type: str | None = None
    """The kind of job, as the API spells it (`voiceprint`, `identify`, `diarize` …)."""
    model: str | None = None
    """The model of the job."""
    source: str | None = attrs.field(default=None, repr=_redact)
    """The API's `source`, which is not documented."""
    reason: str | None = attrs.field(default=None, repr=_redact)
    """Why the job failed or was canceled."""
    quantity: int | float | None = None
    """The API's `quantity`, which is not documented."""
    extra: Mapping[str, Any] = _extra()
    """Fields that this version does not know, as parsed from JSON."""


@safe_repr
@attrs.frozen
class JobPage(FromResponse):
    """One page of `GET /v2/jobs`, newest first."""

    items: tuple[JobSummary, ...] = attrs.field()
    """At most 100 jobs. A response without this list is invalid: an empty page would mean that no job exists."""
    next_cursor: str | None = None
    """The cursor of the next page; None on the last page."""


@safe_repr
@attrs.frozen
class JobStatusPage(FromResponse):
    """The statuses in one page of `GET /v2/jobs`. A poll needs nothing else, and a `JobPage` takes far longer."""

    items: Mapping[str, JobStatus]
    """The status of each job, by id."""
    next_cursor: str | None = None
    """The cursor of the next page; None on the last page."""


@safe_repr
@attrs.frozen
class KeyStatus(FromResponse):
    """The response to `GET /v1/test`."""

    status: str = ""
    """`OK` if the API accepts the key."""
    message: str = attrs.field(default="", repr=_redact)
    """A sentence about the key."""
    extra: Mapping[str, Any] = _extra()
    """Fields that this version does not know, as parsed from JSON."""


@safe_repr
@attrs.frozen
class MediaUpload(FromResponse):
    """The response to `POST /v1/media/input`."""

    url: Secret = attrs.field(repr=redact_url, validator=_not_empty)
    """The presigned URL for the upload. It grants write access to anyone who has it."""


@safe_repr
@attrs.frozen
class WebhookEvent:
    """The content of a webhook whose signature is verified."""

    job_id: str
    """The id of the job."""
    status: JobStatus
    """The final status of the job."""
    output: VoiceprintOutput | IdentificationOutput | None = None
    """The output, as in `Job`; None if the submission set `webhook_status_only`."""
    timestamp: datetime | None = None
    """When the API signed the webhook (UTC)."""
    retry_num: int | None = None
    """The number of the repeat; None or 0 for the first delivery."""
    retry_reason: str | None = attrs.field(default=None, repr=_redact)
    """Why the API repeated the delivery (`http_timeout`, `connection_failed` …)."""

    @property
    def is_complete(self) -> bool:
        """Whether the event holds everything that fetching the job would return.

        `canceled` is never complete: the API also reports failed jobs as canceled in webhooks, so fetch the job.
        """
        if self.output is None:
            return False
        if self.status is JobStatus.SUCCEEDED:
            return isinstance(self.output, IdentificationOutput) or self.output.voiceprint is not None
        return self.status is JobStatus.FAILED and self.output.error is not None


@safe_repr
@attrs.frozen(repr=False)
class Voiceprint(FromResponse):
    """A voiceprint. It is biometric data: `repr()` and `str()` never show its value. Use `.value`."""

    value: str
    """The opaque string of the API. Store it unchanged, and pass it to identification."""
    model: str
    """The model of the voiceprint; identification must use the same model."""
    job_id: str
    """The id of its job."""
    created_at: datetime | None = None
    """When the job was accepted (UTC)."""
    warnings: tuple[str, ...] = ()
    """Warnings of the API, and findings of the check of local audio."""

    @classmethod
    def from_job(cls, job: Job, model: str, *warnings: str | None) -> Self:
        """Return the voiceprint of a succeeded job.

        Args:
            job: the job.
            model: the model that the submission named.
            warnings: earlier warnings, of the submission and of the check of local audio; None is left out.

        Raises:
            ValueError: the job has no voiceprint.
        """
        if job.voiceprint is None:
            raise ValueError(f"Job {job.job_id} has no voiceprint.")
        all_warnings = (*warnings, job.output.warning if job.output else None)
        voiceprint = cls(job.voiceprint, str(model), job.job_id, job.created_at, tuple(filter(None, all_warnings)))
        return voiceprint.set_response(job.response)

    def __repr__(self) -> str:
        return f"<Voiceprint model={self.model} job_id={self.job_id} (hidden, use .value)>"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types, with the voiceprint in clear text. Keep the result private."""
        created_at = self.created_at.isoformat() if self.created_at else None
        return attrs.asdict(self) | {"created_at": created_at, "warnings": list(self.warnings)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Return the voiceprint of a dictionary made by `to_dict`. Unknown fields are ignored.

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
