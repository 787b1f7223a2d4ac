"""Answers before they are HTTP: a status, a body, headers."""

import asyncio
import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

_JSON = {"Content-Type": "application/json; charset=utf-8"}
_XML = {"Content-Type": "application/xml"}
_HTML = {"Content-Type": "text/html; charset=utf-8"}


@attrs.frozen
class Answer:
    """What goes back over the wire."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    after: asyncio.Event | None = None
    """What has to have happened before it may leave."""


def json_answer(status: int, payload: Any, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer in JSON."""
    return Answer(status, json.dumps(payload).encode(), {**_JSON, **headers} if headers else _JSON)


def error(status: int, message: str, headers: Mapping[str, str] | None = None) -> Answer:
    """The API's shape for every error but 400: `{requestId, message}`."""
    return json_answer(status, {"requestId": str(uuid.uuid4()), "message": message}, headers)


def invalid(errors: Sequence[Mapping[str, str]]) -> Answer:
    """The API's shape for a 400: `{message, errors: [{field, message}]}`."""
    return json_answer(400, {"message": "Invalid request", "errors": list(errors)})


def xml_error(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Answer:
    """The shape of an object storage's errors; the words are ours and need no escaping."""
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{message}</Message>"
        f"<RequestId>{uuid.uuid4()}</RequestId></Error>"
    )
    return Answer(status, body.encode(), {**_XML, **headers} if headers else _XML)


def html_error(status: int, title: str) -> Answer:
    """What a proxy says when there is nobody behind it."""
    page = f"<html><head><title>{status} {title}</title></head><body><h1>{status} {title}</h1></body></html>"
    return Answer(status, page.encode(), _HTML)
