"""Responses before they are written as HTTP: a status, a body and headers."""

import asyncio
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

_JSON = {"Content-Type": "application/json; charset=utf-8"}
_XML = {"Content-Type": "application/xml"}
_HTML = {"Content-Type": "text/html; charset=utf-8"}


@attrs.frozen
class SandboxResponse:
    """A response of the sandbox."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    send_after: asyncio.Event | None = None
    """Event that must be set before the response is sent."""
    build_body: Callable[[], bytes] | None = None
    """Computes a body that may be large. It is called in a thread before the response is sent."""
    job_id: str | None = None
    """The id of the job that a submission created."""


def json_response(status: int, payload: Any, headers: Mapping[str, str] | None = None) -> SandboxResponse:
    """Build a response with a JSON body."""
    return SandboxResponse(status, json.dumps(payload).encode(), {**_JSON, **headers} if headers else _JSON)


def large_json_response(build: Callable[[], Any]) -> SandboxResponse:
    """Build a 200 whose JSON body may be large. `build` returns the payload, and runs in a thread."""
    return SandboxResponse(200, b"", _JSON, build_body=lambda: json.dumps(build()).encode())


def error(status: int, message: str, headers: Mapping[str, str] | None = None) -> SandboxResponse:
    """Build an error of any status but 400 in the API's format: `{requestId, message}`."""
    return json_response(status, {"requestId": str(uuid.uuid4()), "message": message}, headers)


def validation_error(errors: Sequence[Mapping[str, str]]) -> SandboxResponse:
    """Build a 400 in the API's format: `{message, errors: [{field, message}]}`."""
    return json_response(400, {"message": "Invalid request", "errors": list(errors)})


def xml_error(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> SandboxResponse:
    """Build an error in the format of an S3 object storage. `code` and `message` must not need escaping in XML."""
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{message}</Message>"
        f"<RequestId>{uuid.uuid4()}</RequestId></Error>"
    )
    return SandboxResponse(status, body.encode(), {**_XML, **headers} if headers else _XML)


def html_error(status: int, title: str) -> SandboxResponse:
    """Build the HTML error page of a proxy that cannot reach the API."""
    page = f"<html><head><title>{status} {title}</title></head><body><h1>{status} {title}</h1></body></html>"
    return SandboxResponse(status, page.encode(), _HTML)
