"""The body of a response that refuses a request: its reason and its field errors, in any common shape.

The API documents `ValidationErrorResponse` and `ApiError`. Gateways, proxies and frameworks use other JSON, HTML and
plain text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from pyannote_voiceprint_async.errors import FieldError

from .codec import parse_json

__all__ = ["Refusal", "format_field_error", "parse_refusal"]

# Keys that hold a reason, sentences before codes.
_REASON_KEYS: tuple[str, ...] = (
    "message", "detail", "error_description", "description", "msg", "reason", "errormessage", "faultstring", "title",
    "error", "fault", "errors", "code",
)  # fmt: skip
# Keys that hold a list of errors.
_LIST_KEYS = ("errors", "detail", "details", "message", "error", "issues", "violations", "invalid-params")
# Keys that name the field of one error.
_FIELD_KEYS = ("field", "loc", "param", "property", "pointer", "path", "name", "source")
# FastAPI names the field `url` of the body as `["body", "url"]`.
_REQUEST_PARTS = {"body", "query", "path", "header"}
_MAX_DEPTH = 4
_MAX_ENTRIES = 20
_MAX_PAGE_BYTES = 16 * 1024
# Compiled by `re` at their first use.
_TITLE = r"(?i)<title[^<>]{0,200}>([^<>]{1,300})<"
_BINARY = r"[\x00-\x08\x0e-\x1f\x7f]"


class Refusal(NamedTuple):
    """What the body of a refusal says."""

    message: str | None = None
    """The reason, in the words of the server."""
    request_id: str | None = None
    """The id of the request, for the support of the API."""
    errors: tuple[FieldError, ...] = ()
    """The fields that are wrong."""
    is_page: bool = False
    """Whether the body is HTML or plain text. The API sends JSON, so a gateway in front of the API sent the page."""


def parse_refusal(body: bytes) -> Refusal:
    """Parse the body of a refusal as far as possible: JSON of any shape, HTML, text. It never raises."""
    try:
        raw = parse_json(body)
    except ValueError:
        return _parse_page(body)
    if isinstance(raw, list):
        raw = {"errors": raw}
    fields = _lower_keys(raw if isinstance(raw, dict) else {"message": raw})
    errors = _find_errors(fields)
    return Refusal(
        message=_find_reason(fields) or _join(map(format_field_error, errors)) or None,
        request_id=_non_empty_str(fields.get("requestid")) or _non_empty_str(fields.get("request_id")),
        errors=errors,
    )


def format_field_error(error: FieldError) -> str:
    """Return a field error as one sentence."""
    return ": ".join(filter(None, (error.field, error.message)))


def _parse_page(body: bytes) -> Refusal:
    text = body[:_MAX_PAGE_BYTES].decode("utf-8", "replace").strip("\ufeff \t\r\n")
    if not text or text[0] in '{["' or re.search(_BINARY, text):
        # An empty body, JSON that breaks off, or compressed data.
        return Refusal()
    if text[0] != "<":
        return Refusal(text, is_page=True)
    from html import unescape  # noqa: PLC0415 - only pages of gateways need its table of all entities

    title = re.search(_TITLE, text)
    return Refusal(" ".join(unescape(title.group(1)).split()) or None if title else None, is_page=True)


def _find_reason(raw: Any, depth: int = 0) -> str:
    """Return the first reason in `raw`, or an empty string."""
    if isinstance(raw, str):
        return raw.strip()
    if depth >= _MAX_DEPTH:
        return ""
    if isinstance(raw, list):
        return _join(map(format_field_error, _parse_entries(raw, depth)))
    if isinstance(raw, dict):
        fields = _lower_keys(raw)
        return next(filter(None, (_find_reason(fields.get(key), depth + 1) for key in _REASON_KEYS)), "")
    return ""


def _find_errors(fields: dict[str, Any]) -> tuple[FieldError, ...]:
    """Return the entries of the first list of errors: at the top level, in `error` or in `detail`."""
    places = [place for place in (fields, fields.get("error"), fields.get("detail")) if isinstance(place, dict)]
    for place in places:
        for key in _LIST_KEYS:
            raw = place.get(key)
            if isinstance(raw, dict) and key == "errors":
                # One error, or a list of messages under the name of each field.
                raw = [raw] if _find_reason(raw) else [{"field": field, "message": raw[field]} for field in raw]
            if isinstance(raw, list) and (errors := _parse_entries(raw)):
                return errors
    return ()


def _parse_entries(raw: list[Any], depth: int = 0) -> tuple[FieldError, ...]:
    errors = []
    for item in raw[:_MAX_ENTRIES]:
        if isinstance(item, dict):
            fields = _lower_keys(item)
            message = _find_reason(fields, depth + 1) or _scalar_text(fields.get("message"))
            errors.append(FieldError(_find_field_name(fields), message))
        elif isinstance(item, str) and item.strip():
            errors.append(FieldError("", item.strip()))
    return tuple(errors)


def _find_field_name(fields: dict[str, Any]) -> str:
    raw = next((fields[key] for key in _FIELD_KEYS if fields.get(key)), None)
    if isinstance(raw, dict):
        raw = raw.get("pointer") or raw.get("parameter")
    if isinstance(raw, list):
        parts = [_scalar_text(part) for part in raw[:_MAX_ENTRIES]]
        return ".".join(filter(None, parts[len(parts) > 1 and parts[0] in _REQUEST_PARTS :]))
    return _scalar_text(raw)


def _lower_keys(raw: dict[str, Any]) -> dict[str, Any]:
    return {key.lower(): value for key, value in raw.items()}


def _scalar_text(raw: Any) -> str:
    # `str()` of a list that is nested a thousand times raises RecursionError.
    return str(raw) if isinstance(raw, str | int | float) else ""


def _non_empty_str(raw: Any) -> str | None:
    return raw if isinstance(raw, str) and raw else None


def _join(sentences: Iterable[str]) -> str:
    return "; ".join(filter(None, sentences))
