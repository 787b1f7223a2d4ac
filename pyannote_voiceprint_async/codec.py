"""Bytes to models and back. The only place that knows cattrs and orjson.

Reading is strict where money hangs on it (a job id is a non-empty string) and lenient elsewhere: what is
missing, null or of the wrong type becomes the field's default, what is unknown is kept in `extra`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import attrs
import orjson

from .errors import FieldError
from .models import (
    JobCreated,
    JobPage,
    JobStatus,
    JobSummary,
    KeyStatus,
    MediaUpload,
    VoiceprintJob,
    VoiceprintOutput,
    VoiceprintRequest,
)

if TYPE_CHECKING:
    import cattrs

__all__ = ["Refusal", "decode", "decode_refusal", "encode", "find_job_id", "prepare"]

M = TypeVar("M")

_MODELS: tuple[type[Any], ...] = (
    JobCreated,
    VoiceprintOutput,
    VoiceprintJob,
    JobSummary,
    JobPage,
    KeyStatus,
    MediaUpload,
)

# The API's spelling, where it is not the field's name in camelCase.
_RENAMED: dict[type[Any], dict[str, str]] = {JobSummary: {"job_id": "id"}}
# A dictionary of its own is several times as fast as the enumeration's.
_STATUSES = {status.value: status for status in JobStatus}
_JOB_ID = re.compile(rb'"jobId"\s*:\s*("(?:[^"\\]|\\.){1,1000}")', re.DOTALL)


class Refusal(NamedTuple):
    """The body of an answer that says no: `ValidationErrorResponse` and `ApiError` of the OpenAPI in one."""

    message: str | None = None
    request_id: str | None = None
    errors: tuple[FieldError, ...] = ()


def prepare() -> None:
    """Load what reading and writing needs, so that the first request does not wait for it."""
    _hooks()


def encode(body: VoiceprintRequest | Mapping[str, Any]) -> bytes:
    """Give the JSON of a request body. Fields that are not set are left out, never null."""
    return orjson.dumps(_request_hook()(body) if isinstance(body, VoiceprintRequest) else body)


def decode(model: type[M], body: bytes | memoryview) -> M:
    """Read an answer.

    Raises:
        ValueError: it is not JSON, not an object, or lacks what the model cannot be without.
    """
    raw = orjson.loads(body)
    if not isinstance(raw, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 - to the caller all of this is one: unreadable
    try:
        return _hooks()[model](raw, model)  # type: ignore[no-any-return]  # the hook for this model
    except Exception as exc:  # whatever a validator or hook stumbles over
        raise ValueError(f"it is no {model.__name__}") from exc


def decode_refusal(body: bytes) -> Refusal:
    """Read what can be read of the body of an answer that says no: JSON of any shape, HTML, garbage."""
    try:
        raw = orjson.loads(body)
    except ValueError:
        return Refusal()
    if not isinstance(raw, dict):
        return Refusal()
    return Refusal(
        message=_text(raw.get("message")),
        request_id=_text(raw.get("requestId")),
        errors=_field_errors(raw.get("errors")),
    )


def find_job_id(body: bytes) -> str | None:
    """Give the job id that a broken answer to a submission still holds, if it does: it is paid for."""
    found = _JOB_ID.search(body)
    try:
        return _text(orjson.loads(found.group(1))) if found else None
    except ValueError:
        return None


def _text(raw: Any) -> str | None:
    return raw if isinstance(raw, str) and raw else None


def _words(raw: Any) -> str:
    # Lists in lists are no words, and Python cannot write a thousand of them down.
    return str(raw) if isinstance(raw, str | int | float) else ""


def _field_errors(raw: Any) -> tuple[FieldError, ...]:
    if not isinstance(raw, list):
        return ()
    return tuple(
        FieldError(_words(item.get("field")), _words(item.get("message"))) for item in raw if isinstance(item, dict)
    )


def _time(raw: Any) -> datetime | None:
    try:
        time = datetime.fromisoformat(raw)
    except (TypeError, ValueError):
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _status(raw: Any) -> JobStatus | None:
    return (_STATUSES.get(raw) or JobStatus(raw)) if isinstance(raw, str) and raw else None


def _output(raw: Any) -> VoiceprintOutput | None:
    return _converter().structure(raw, VoiceprintOutput) if isinstance(raw, dict) else None


def _summaries(raw: Any) -> tuple[JobSummary, ...] | None:
    return tuple(filter(None, map(_summary, raw))) if isinstance(raw, list) else None


def _summary(raw: Any) -> JobSummary | None:
    # One job that cannot be read must not hide the others of its page.
    try:
        if "id" not in raw and "jobId" in raw:
            raw = raw | {"id": raw["jobId"]}  # as all other answers call it
        return _converter().structure(raw, JobSummary)
    except Exception:  # noqa: BLE001 - whatever a validator or hook stumbles over
        return None


# How each type of field is read; None means "as if it had not been there".
_READERS: dict[Any, Callable[[Any], Any]] = {
    str: _text,
    str | None: _text,
    datetime | None: _time,
    JobStatus: _status,
    VoiceprintOutput | None: _output,
    tuple[JobSummary, ...]: _summaries,
}


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(word.title() for word in tail)


def _reader(model: type[Any]) -> Callable[[Any, Any], Any]:
    fields = [field for field in attrs.fields(model) if field.name != "extra"]
    renamed = _RENAMED.get(model, {})
    plan = [(renamed.get(field.name, _camel(field.name)), field.name, _READERS[field.type]) for field in fields]
    known = {wire for wire, _, _ in plan}
    keeps_extra = len(fields) < len(attrs.fields(model))

    def read(raw: Any, _: Any) -> Any:
        values = {
            name: value
            for wire, name, field_reader in plan
            if (found := raw.get(wire)) is not None and (value := field_reader(found)) is not None
        }
        if keeps_extra and not raw.keys() <= known:
            values["extra"] = {wire: value for wire, value in raw.items() if wire not in known}
        return model(**values)

    return read


def _write_request(request: VoiceprintRequest) -> dict[str, Any]:
    written: dict[str, Any] = {"url": request.url, "model": str(request.model)}
    if request.webhook is not None:
        written["webhook"] = request.webhook
    if request.webhook_status_only:
        written["webhookStatusOnly"] = True
    return written


@cache
def _converter() -> cattrs.Converter:
    # Imported when the first client is made: cattrs is a sixth of what importing this package would cost.
    import cattrs  # noqa: PLC0415

    converter = cattrs.Converter()
    for model in _MODELS:
        converter.register_structure_hook(model, _reader(model))
    converter.register_unstructure_hook(VoiceprintRequest, _write_request)
    return converter


@cache
def _hooks() -> dict[type[Any], Callable[[Any, Any], Any]]:
    # The hooks themselves: looking one up for each answer costs as much as structuring it.
    return {model: _converter().get_structure_hook(model) for model in _MODELS}


@cache
def _request_hook() -> Callable[[VoiceprintRequest], dict[str, Any]]:
    return _converter().get_unstructure_hook(VoiceprintRequest)
