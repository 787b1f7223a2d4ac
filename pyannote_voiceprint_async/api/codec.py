"""Bytes to models and back. The only place that knows cattrs and orjson.

Reading is strict where money hangs on it (a job id is a non-empty string) and lenient elsewhere: what is
missing, null or of the wrong type becomes the field's default, what is unknown is kept in `extra`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from html import unescape
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import attrs
import orjson

from pyannote_voiceprint_async.errors import FieldError
from pyannote_voiceprint_async.models import (
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
from pyannote_voiceprint_async.secret import Secret

if TYPE_CHECKING:
    import cattrs

__all__ = ["Refusal", "decode", "decode_refusal", "encode", "find_job_id", "format_field_error", "prepare"]

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


# Where APIs and gateways put the reason of a refusal; a key that holds a sentence comes before one that holds a code.
_REASONS: tuple[str, ...] = (
    "message", "detail", "error_description", "description", "msg", "reason", "errormessage", "faultstring", "title",
    "error", "fault", "errors", "code",
)  # fmt: skip
_ENTRIES = ("errors", "detail", "details", "message", "error", "issues", "violations", "invalid-params")
_FIELDS = ("field", "loc", "param", "property", "pointer", "path", "name", "source")
_PARTS_OF_A_REQUEST = {"body", "query", "path", "header"}
_DEEPEST = 4
_MOST_ENTRIES = 20
_TITLE = re.compile(r"<title[^<>]{0,200}>([^<>]{1,300})<", re.IGNORECASE)
_NO_TEXT = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_START_OF_A_PAGE = 16 * 1024


class Refusal(NamedTuple):
    """The body of a response that refuses: the OpenAPI's `ValidationErrorResponse` and `ApiError`, and other shapes."""

    message: str | None = None
    request_id: str | None = None
    errors: tuple[FieldError, ...] = ()
    is_page: bool = False
    """Whether the body is HTML or plain text. The API sends JSON: a gateway in front of it wrote this."""


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
    """Read what can be read of the body of a refusal: JSON of any shape, HTML, garbage."""
    try:
        raw = orjson.loads(body)
    except ValueError:
        return _page(body)
    known = _lower(raw if isinstance(raw, dict) else {"errors": raw} if isinstance(raw, list) else {"message": raw})
    errors = _field_errors(known)
    return Refusal(
        message=_reason(known) or "; ".join(filter(None, map(format_field_error, errors))) or None,
        request_id=_text(known.get("requestid")) or _text(known.get("request_id")),
        errors=errors,
    )


def format_field_error(error: FieldError) -> str:
    """Return a field's error as one sentence."""
    return ": ".join(filter(None, (error.field, error.message)))


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


def _page(body: bytes) -> Refusal:
    text = body[:_START_OF_A_PAGE].decode("utf-8", "replace").strip("\ufeff \t\r\n")
    if not text or text[0] in '{["' or _NO_TEXT.search(text):
        return Refusal()
    if text[0] != "<":
        return Refusal(text, is_page=True)
    title = _TITLE.search(text)
    return Refusal(" ".join(unescape(title.group(1)).split()) or None if title else None, is_page=True)


def _lower(raw: dict[str, Any]) -> dict[str, Any]:
    return {name.lower(): value for name, value in raw.items()}


def _reason(raw: Any, depth: int = 0) -> str:
    """Return the first reason in any of the shapes that are common, or an empty string."""
    if isinstance(raw, str):
        return raw.strip()
    if depth >= _DEEPEST:
        return ""
    if isinstance(raw, list):
        return "; ".join(filter(None, map(format_field_error, _entries(raw, depth))))
    if isinstance(raw, dict):
        known = _lower(raw)
        return next(filter(None, (_reason(known.get(name), depth + 1) for name in _REASONS)), "")
    return ""


def _field_errors(known: dict[str, Any]) -> tuple[FieldError, ...]:
    """Return the entries of the first list of errors, wherever it is common."""
    places = [place for place in (known, known.get("error"), known.get("detail")) if isinstance(place, dict)]
    for place in places:
        for name in _ENTRIES:
            raw = place.get(name)
            if isinstance(raw, dict) and name == "errors":
                # One error, or a list of messages under the name of each field.
                raw = [raw] if _reason(raw) else [{"field": field, "message": raw[field]} for field in raw]
            if isinstance(raw, list) and (errors := _entries(raw)):
                return errors
    return ()


def _entries(raw: list[Any], depth: int = 0) -> tuple[FieldError, ...]:
    errors = []
    for item in raw[:_MOST_ENTRIES]:
        if isinstance(item, dict):
            known = _lower(item)
            errors.append(FieldError(_field(known), _reason(known, depth + 1) or _words(known.get("message"))))
        elif isinstance(item, str) and item.strip():
            errors.append(FieldError("", item.strip()))
    return tuple(errors)


def _field(known: dict[str, Any]) -> str:
    raw = next((known[name] for name in _FIELDS if known.get(name)), None)
    if isinstance(raw, dict):
        raw = raw.get("pointer") or raw.get("parameter")
    if isinstance(raw, list):
        words = [_words(part) for part in raw[:_MOST_ENTRIES]]
        # FastAPI names the field `url` of the body as a list of both.
        return ".".join(filter(None, words[len(words) > 1 and words[0] in _PARTS_OF_A_REQUEST :]))
    return _words(raw)


def _time(raw: Any) -> datetime | None:
    try:
        time = datetime.fromisoformat(raw)
    except (TypeError, ValueError):
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _status(raw: Any) -> JobStatus | None:
    return (_STATUSES.get(raw) or JobStatus(raw)) if isinstance(raw, str) and raw else None


def _number(raw: Any) -> int | float | None:
    return raw if isinstance(raw, int | float) and not isinstance(raw, bool) else None


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
    Secret: lambda raw: Secret(raw) if _text(raw) else None,
    datetime | None: _time,
    int | float | None: _number,
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
