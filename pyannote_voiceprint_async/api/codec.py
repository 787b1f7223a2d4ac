"""Models to JSON and back. The only module that uses cattrs and orjson.

A field that is missing, null or of the wrong type gets the default of its model; unknown fields are kept in `extra`.
Fields without a default (a job id, a presigned URL) are required, because a billed job depends on them.
"""

from __future__ import annotations

import json
import math
import re
from array import array
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache, reduce
from operator import or_
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, get_args

import attrs
import orjson

from pyannote_voiceprint_async.identification_result.output import IdentificationOutput
from pyannote_voiceprint_async.models import (
    IdentificationRequest,
    JobStatus,
    JobSummary,
    Voiceprint,
    VoiceprintOutput,
    VoiceprintRequest,
)
from pyannote_voiceprint_async.secret import Secret

if TYPE_CHECKING:
    import cattrs

__all__ = ["LARGE_BODY", "decode", "encode", "find_job_id", "is_identification", "parse_json", "prepare"]

_REQUESTS = (VoiceprintRequest, IdentificationRequest)

LARGE_BODY = 256 * 1024
"""Bytes. Decoding a larger body may take milliseconds, so it runs in a thread and does not block the event loop."""

M = TypeVar("M")
StructureHook: TypeAlias = Callable[[Any, Any], Any]

# Names in JSON, where they are not the name of the field in camelCase.
_RENAMED: dict[type[Any], dict[str, str]] = {JobSummary: {"job_id": "id"}}
# A dictionary lookup is several times as fast as `JobStatus(value)`.
_STATUSES = {status.value: status for status in JobStatus}
# Fields that are parsed into arrays: the confidence over time, which has millions of frames for a day.
_ARRAYS = frozenset({"score"})
# Numbers that JSON does not have, or that may be too large for a float.
_NO_NUMBER = rb"NaN|Infinity|[eE][+]?\d{3}"
# No other kind of job has these lists. A diarization has the list `diarization` alone.
_ONLY_IDENTIFICATION = ("identification", "voiceprints")
_JOB_ID = rb'"jobId"\s*:\s*("(?:[^"\\]|\\.){1,1000}")'


def prepare() -> None:
    """Load cattrs, so that the first request does not wait for the import."""
    _converter()


def encode(body: VoiceprintRequest | IdentificationRequest | Mapping[str, Any]) -> bytes:
    """Return the JSON of a request body. Fields with their default are left out, except `model`."""
    if isinstance(body, _REQUESTS):
        return orjson.dumps(_request_hook(type(body))(body))  # type: ignore[arg-type]  # a class is hashable
    return orjson.dumps(body)


def decode(model: type[M], *body: bytes | memoryview) -> M:
    """Parse a response body.

    Args:
        model: the model.
        body: the body, in one or more parts.

    Raises:
        ValueError: the body is not JSON, is not an object, or lacks a required field of the model.
    """
    is_large = sum(map(len, body)) > LARGE_BODY
    raw = _parse_large(body) if is_large else _loads(b"".join(body))
    try:
        return _structure_hook(model)(raw, model)  # type: ignore[arg-type, no-any-return]  # the hook of this model
    except Exception as exc:  # cattrs and validators raise errors of many classes
        raise ValueError(f"the body is not a valid {model.__name__}") from exc


def _parse_large(body: Sequence[bytes | memoryview]) -> Any:
    from .large_json import join_in_map, parse_large  # noqa: PLC0415 - only long recordings need it

    return parse_large(join_in_map(body), _loads, arrays=_ARRAYS)


def parse_json(body: bytes) -> Any:
    """Parse JSON of any shape.

    Raises:
        ValueError: the body is not JSON.
    """
    return orjson.loads(body)


def _loads(text: bytes) -> Any:
    """Parse JSON. Numbers that are not finite, which JSON does not allow, become None.

    Python's own encoder writes `NaN` and `Infinity`: one of them among the scores must not make the output of a billed
    job unreadable.

    Raises:
        ValueError: the text is not JSON.
    """
    try:
        return orjson.loads(text)
    except ValueError:
        if not re.search(_NO_NUMBER, text):
            raise
    try:
        return json.loads(text, parse_constant=lambda _: None, parse_float=_finite)
    except RecursionError:
        raise ValueError("the document has too many levels") from None


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def find_job_id(body: bytes) -> str | None:
    """Return the complete job id in a broken response to a submission, or None. The job may already be billed."""
    found = re.search(_JOB_ID, body, re.DOTALL)
    with suppress(ValueError):
        return orjson.loads(found.group(1)) or None if found else None
    return None


@cache
def _converter() -> cattrs.Converter:
    # Imported with the first client: cattrs would add a sixth to the import time of this package.
    import cattrs  # noqa: PLC0415
    from cattrs.gen import make_dict_unstructure_fn, override  # noqa: PLC0415

    converter = cattrs.Converter(detailed_validation=False)
    for kind, hook in _HOOKS.items():
        converter.register_structure_hook(kind, hook)
    converter.register_structure_hook_factory(attrs.has, _make_model_hook)
    converter.register_structure_hook_factory(lambda kind: kind == tuple[JobSummary, ...], _make_summaries_hook)
    converter.register_structure_hook_factory(lambda kind: kind == Mapping[str, JobStatus], _make_statuses_hook)
    for request in _REQUESTS:
        overrides = {name: override(rename=_camel_case(name)) for name in attrs.fields_dict(request)} | {
            # A plain str also for a member of `Model`.
            "model": override(omit_if_default=False, unstruct_hook=str),
            "webhook_status_only": override(rename="webhookStatusOnly", unstruct_hook=bool),
        }
        if request is IdentificationRequest:
            overrides["voiceprints"] = override(unstruct_hook=_unstructure_voiceprints)
        converter.register_unstructure_hook(
            request,
            make_dict_unstructure_fn(request, converter, _cattrs_omit_if_default=True, **overrides),  # type: ignore[arg-type]  # names of fields
        )
    return converter


@cache
def _structure_hook(model: type[Any]) -> StructureHook:
    # Cached, because looking up a hook takes as long as structuring a small model.
    return _converter().get_structure_hook(model)


@cache
def _request_hook(request: type[Any]) -> Callable[[Any], dict[str, Any]]:
    return _converter().get_unstructure_hook(request)


def _make_model_hook(model: type[Any], converter: cattrs.Converter) -> StructureHook:
    """Build the hook of a model: names of the API, lenient fields, and unknown fields kept in `extra`."""
    from cattrs.gen import make_dict_structure_fn, override  # noqa: PLC0415 - see _converter

    fields = attrs.fields_dict(model)
    keeps_extra = fields.pop("extra", None) is not None
    names = {name: _RENAMED.get(model, {}).get(name, _camel_case(name)) for name in fields}
    overrides = {
        name: override(rename=names[name], struct_hook=_make_field_hook(field, converter))
        for name, field in fields.items()
    }
    if keeps_extra:
        overrides["extra"] = override(struct_hook=lambda raw, _: raw)
    structure = make_dict_structure_fn(model, converter, **overrides)  # type: ignore[arg-type]  # names of fields
    known = frozenset(names.values())

    def structure_model(raw: Any, kind: Any) -> Any:
        if not isinstance(raw, dict):
            raise TypeError("not a JSON object")
        if keeps_extra and not raw.keys() <= known:
            # A field of the API that is itself called `extra` is unknown, too.
            raw = raw | {"extra": {name: value for name, value in raw.items() if name not in known}}
        return structure(raw, kind)

    return structure_model


def _make_field_hook(field: attrs.Attribute[Any], converter: cattrs.Converter) -> StructureHook:
    """Build the hook of a field: strict for a required field, else the default for null and for a wrong type."""
    kind, default = _without_none(field.type), field.default
    structure = converter.get_structure_hook(kind)
    if default is attrs.NOTHING:
        return structure

    # Every default is a plain value: only `extra` has a factory.
    def structure_or_default(raw: Any, _: Any) -> Any:
        if raw is None:
            return default
        try:
            return structure(raw, kind)
        except Exception:  # noqa: BLE001 - cattrs and validators raise errors of many classes
            return default

    return structure_or_default


def _without_none(kind: Any) -> Any:
    """Return `X` for `X | None`: null means the default, and the hook of cattrs for `X | None` costs a fifth more."""
    return reduce(or_, (part for part in get_args(kind) if part is not NoneType)) if type(kind) is UnionType else kind


def _make_summaries_hook(_: Any, converter: cattrs.Converter) -> StructureHook:
    """Build the hook of the jobs in a page. A job that cannot be read must not hide the other jobs."""
    structure = converter.get_structure_hook(JobSummary)

    def structure_summaries(raw: Any, _: Any) -> tuple[JobSummary, ...]:
        if not isinstance(raw, list):
            raise TypeError("not a list")
        summaries = []
        for item in raw:
            with suppress(Exception):
                # Every other response of the API calls the id `jobId`.
                renamed = item | {"id": item["jobId"]} if "id" not in item and "jobId" in item else item
                summaries.append(structure(renamed, JobSummary))
        return tuple(summaries)

    return structure_summaries


def _make_statuses_hook(_: Any, converter: cattrs.Converter) -> StructureHook:
    """Build the hook of the statuses in a page, which reads each job as `_make_summaries_hook` does."""
    structure_status = _make_field_hook(attrs.fields(JobSummary).status, converter)

    def structure_statuses(raw: Any, _: Any) -> dict[str, JobStatus]:
        if not isinstance(raw, list):
            raise TypeError("not a list")
        statuses = {}
        for item in raw:
            with suppress(Exception):
                job_id = _structure_text(item["id"] if "id" in item else item["jobId"], str)
                statuses[job_id] = structure_status(item.get("status"), JobStatus)
        return statuses

    return structure_statuses


def _camel_case(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(word.title() for word in tail)


def _structure_text(raw: Any, _: Any) -> str:
    if isinstance(raw, str) and raw:
        return raw
    raise TypeError("not a non-empty string")


def _structure_secret(raw: Any, kind: Any) -> Secret:
    return Secret(_structure_text(raw, kind))


def _structure_status(raw: Any, kind: Any) -> JobStatus:
    return _STATUSES.get(raw) or JobStatus(_structure_text(raw, kind))


def _structure_time(raw: Any, _: Any) -> datetime:
    time = datetime.fromisoformat(raw)
    # The API documents UTC. A time without a zone cannot be compared with one that has a zone.
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _structure_exact(raw: Any, kind: Any) -> Any:
    """Return a value of exactly this type. cattrs would convert "false" to True, and True to 1."""
    if type(raw) is kind:
        return raw
    raise TypeError(f"not of the type {kind.__name__}")


def _structure_number(raw: Any, _: Any) -> int | float:
    if isinstance(raw, int | float) and not isinstance(raw, bool):
        return raw
    raise TypeError("not a number")


def _structure_output(raw: Any, _: Any) -> VoiceprintOutput | IdentificationOutput:
    if isinstance(raw, dict) and is_identification(raw):
        # Imported here, because it adds 3 % to the import time, and programs that only make voiceprints do not use it.
        from .identification_codec import free_lists, read_identification  # noqa: PLC0415

        output = read_identification(raw)
        free_lists(raw)
        return output
    _unpack_arrays(raw)
    return _structure_hook(VoiceprintOutput)(raw, VoiceprintOutput)  # type: ignore[no-any-return]  # of this model


def _unpack_arrays(raw: Any) -> None:
    """Replace arrays by lists: programs expect the types of JSON in the output of another kind of job."""
    waiting = [raw]
    while waiting:
        parent = waiting.pop()
        if isinstance(parent, dict):
            waiting += parent.values()
            parent.update({name: value.tolist() for name, value in parent.items() if isinstance(value, array)})


def is_identification(raw: Mapping[str, Any]) -> bool:
    """Return whether an output is that of an identification."""
    return any(isinstance(raw.get(name), list) for name in _ONLY_IDENTIFICATION)


def _unstructure_voiceprints(voiceprints: Mapping[str, Voiceprint | str]) -> list[dict[str, str]]:
    return [
        {"label": label, "voiceprint": value.value if isinstance(value, Voiceprint) else value}
        for label, value in voiceprints.items()
    ]


_HOOKS: dict[Any, StructureHook] = {
    str: _structure_text,
    Secret: _structure_secret,
    JobStatus: _structure_status,
    datetime: _structure_time,
    bool: _structure_exact,
    int: _structure_exact,
    float: _structure_number,
    int | float: _structure_number,
    VoiceprintOutput | IdentificationOutput: _structure_output,
}
