"""What makes a request's body invalid, field by field."""

import ipaddress
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import urlsplit

MODELS = ("precision-2", "precision-3")

MediaKeys = Literal["any", "flat"]

# Sources contradict each other about nested keys and underscores, so both readings can be had.
_MEDIA_URLS: Mapping[MediaKeys, re.Pattern[str]] = {
    "any": re.compile(r"media://[A-Za-z0-9\-_./]+"),
    "flat": re.compile(r"media://[A-Za-z0-9\-.]+"),
}
_MEDIA_URL_LENGTH = 255
_WEB_URL = re.compile(r"https?://[^\s/?#\x00-\x20]+[^\s\x00-\x20\x7f]*", re.IGNORECASE)

# A rule gives the complaint about a value, or nothing.
Rule = Callable[[Any], str]


class InvalidBody(Exception):  # noqa: N818  an answer to give, not a failure of the sandbox
    """The request is to be answered with 400."""

    def __init__(self, errors: Sequence[Mapping[str, str]]) -> None:
        super().__init__(errors)
        self.errors = errors


def check(body: bytes, rules: Mapping[str, Rule]) -> dict[str, Any]:
    """The body as an object whose fields are all right; fields without a rule pass.

    Raises:
        InvalidBody: With all complaints.
    """
    data = _parse(body)
    # `url` is the one field that has to be there.
    present = [(field, rule) for field, rule in rules.items() if field in data or field == "url"]
    complaints = [(field, rule(data.get(field))) for field, rule in present]
    errors = [{"field": field, "message": message} for field, message in complaints if message]
    if errors:
        raise InvalidBody(errors)
    return data


def _parse(body: bytes) -> dict[str, Any]:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidBody([{"field": "body", "message": "The body is not JSON"}]) from None
    if not isinstance(data, dict):
        raise InvalidBody([{"field": "body", "message": "The body is not a JSON object"}])
    return data


def _media_url(keys: MediaKeys) -> Rule:
    def rule(value: Any) -> str:
        if not isinstance(value, str):
            return "url must be a string"
        if len(value) > _MEDIA_URL_LENGTH:
            return f"url must be at most {_MEDIA_URL_LENGTH} characters long"
        pattern = _MEDIA_URLS[keys]
        return "" if pattern.fullmatch(value) else f"url must match {pattern.pattern}"

    return rule


def _source_url(keys: MediaKeys) -> Rule:
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
    except ValueError:  # a bracket that opens an IPv6 address and never closes
        return False


def is_loopback(host: str) -> bool:
    """Whether this host is this machine: the only one that webhooks reach without TLS."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def media_rules(keys: MediaKeys) -> Mapping[str, Rule]:
    """What the fields of a request for an upload's URL have to be."""
    return {"url": _media_url(keys)}


def voiceprint_rules(keys: MediaKeys) -> Mapping[str, Rule]:
    """What the fields of a submission have to be."""
    return {
        "url": _source_url(keys),
        "model": _model,
        "webhook": _webhook,
        "webhookStatusOnly": _webhook_status_only,
    }
