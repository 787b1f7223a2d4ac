"""Validation of request bodies, field by field."""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import urlsplit

from pyannote_voiceprint_async.sandbox.loopback import is_loopback

MODELS = ("precision-2", "precision-3")

MediaKeys = Literal["any", "flat"]

# Sources contradict each other about slashes and underscores in media keys, so a setting selects the interpretation.
_MEDIA_URLS: Mapping[MediaKeys, re.Pattern[str]] = {
    "any": re.compile(r"media://[A-Za-z0-9\-_./]+"),
    "flat": re.compile(r"media://[A-Za-z0-9\-.]+"),
}
_MEDIA_URL_LENGTH = 255
_WEB_URL = re.compile(r"https?://[^\s/?#\x00-\x20]+[^\s\x00-\x20\x7f]*", re.IGNORECASE)

# Returns the error message for an invalid value, or an empty string for a valid one. The rule of an object or a list
# returns the messages of its invalid members instead.
Rule = Callable[[Any], str | Mapping[str, str]]


class InvalidBody(Exception):  # noqa: N818  it becomes a response and is not a failure of the sandbox
    """The request must be refused with a 400."""

    def __init__(self, errors: Sequence[Mapping[str, str]]) -> None:
        super().__init__(errors)
        self.errors = errors


def parse_body(body: bytes, rules: Mapping[str, Rule], required: Collection[str] = ("url",)) -> dict[str, Any]:
    """Parse a JSON object and validate its fields. Fields without a rule are accepted unchecked.

    Args:
        body: The body of the request.
        rules: The rule of each field.
        required: The fields to which their rules apply even if they are absent.

    Raises:
        InvalidBody: With the errors of all invalid fields.
    """
    fields = _parse_object(body)
    checked = [(field, rule) for field, rule in rules.items() if field in fields or field in required]
    errors = [error for field, rule in checked for error in _to_errors(field, rule(fields.get(field)))]
    if errors:
        raise InvalidBody(errors)
    return fields


def _to_errors(field: str, messages: str | Mapping[str, str]) -> list[dict[str, str]]:
    """Return the items of `errors`. A member of a list or an object is named like `voiceprints.0.label`."""
    if isinstance(messages, str):
        return [{"field": field, "message": messages}] if messages else []
    return [{"field": f"{field}.{member}", "message": message} for member, message in messages.items()]


def _parse_object(body: bytes) -> dict[str, Any]:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidBody([{"field": "body", "message": "The body is not JSON"}]) from None
    if not isinstance(data, dict):
        raise InvalidBody([{"field": "body", "message": "The body is not a JSON object"}])
    return data


def media_rules(keys: MediaKeys) -> Mapping[str, Rule]:
    """Return the rules for the body of `POST /v1/media/input`."""
    return {"url": _media_url(keys)}


def voiceprint_rules(keys: MediaKeys) -> Mapping[str, Rule]:
    """Return the rules for the body of `POST /v1/voiceprint`, which apply to `POST /v1/identify`, too."""
    return {
        "url": _source_url(keys),
        "model": _model,
        "webhook": _webhook,
        "webhookStatusOnly": _webhook_status_only,
    }


def _media_url(keys: MediaKeys) -> Callable[[Any], str]:
    def rule(value: Any) -> str:
        if not isinstance(value, str):
            return "url must be a string"
        if len(value) > _MEDIA_URL_LENGTH:
            return f"url must be at most {_MEDIA_URL_LENGTH} characters long"
        pattern = _MEDIA_URLS[keys]
        return "" if pattern.fullmatch(value) else f"url must match {pattern.pattern}"

    return rule


def _source_url(keys: MediaKeys) -> Callable[[Any], str]:
    media_url = _media_url(keys)

    def rule(value: Any) -> str:
        if not isinstance(value, str) or value.startswith("media:"):
            return media_url(value)
        return "" if _is_web_url(value) else "Invalid URL"

    return rule


def _model(value: Any) -> str:
    return "" if value is None or value in MODELS else f"model must be one of {', '.join(MODELS)}"


def _webhook(value: Any) -> str:
    if not isinstance(value, str):
        return "webhook must be a string"
    if not _is_web_url(value):
        return "Invalid URL"
    parts = urlsplit(value)
    return "" if parts.scheme == "https" or is_loopback(parts.hostname or "") else "webhook must be HTTPS"


def _webhook_status_only(value: Any) -> str:
    return "" if isinstance(value, bool) else "webhookStatusOnly must be a boolean"


def _is_web_url(value: str) -> bool:
    try:
        return bool(_WEB_URL.fullmatch(value) and urlsplit(value).hostname)
    except ValueError:  # an IPv6 address whose bracket is never closed
        return False
