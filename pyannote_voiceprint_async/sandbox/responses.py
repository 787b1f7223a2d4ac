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
class SandboxResponse:
    """What goes back over the wire."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    after: asyncio.Event | None = None
    """What has to have happened before it may leave."""


def json_response(status: int, payload: Any, headers: Mapping[str, str] | None = None) -> SandboxResponse:
    """An answer in JSON."""
    return SandboxResponse(status, json.dumps(payload).encode(), {**_JSON, **headers} if headers else _JSON)


def error(status: int, message: str, headers: Mapping[str, str] | None = None) -> SandboxResponse:
    """The API's shape for every error but 400: `{requestId, message}`."""
    return json_response(status, {"requestId": str(uuid.uuid4()), "message": message}, headers)


def invalid(errors: Sequence[Mapping[str, str]]) -> SandboxResponse:
    """The API's shape for a 400: `{message, errors: [{field, message}]}`."""
    return json_response(400, {"message": "Invalid request", "errors": list(errors)})


def xml_error(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> SandboxResponse:
    """The shape of an object storage's errors; the words are ours and need no escaping."""
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{message}</Message>"
        f"<RequestId>{uuid.uuid4()}</RequestId></Error>"
    )
    return SandboxResponse(status, body.encode(), {**_XML, **headers} if headers else _XML)


def html_error(status: int, title: str) -> SandboxResponse:
    """What a proxy says when there is nobody behind it."""
    page = f"<html><head><title>{status} {title}</title></head><body><h1>{status} {title}</h1></body></html>"
    return SandboxResponse(status, page.encode(), _HTML)
