"""Parse HTTP responses: pure functions that return a model or raise an error."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from http import HTTPStatus
from typing import Any, TypeVar

import attrs

from pyannote_voiceprint_async.errors import (
    ApiTimeoutError,
    FieldError,
    InvalidRequestError,
    ProxyError,
    UnexpectedResponseError,
    VoiceprintError,
    status_error_class,
)
from pyannote_voiceprint_async.models import JobCreated, JobPage
from pyannote_voiceprint_async.redaction import redact_text
from pyannote_voiceprint_async.response_info import FromResponse, ResponseInfo

from . import codec, rate_limit_headers
from .endpoints import Endpoint
from .outcomes import RequestOutcome, error_flags, next_step, outcome_of_status
from .refusals import Refusal, format_field_error, parse_refusal

__all__ = ["ApiResponse", "BodyFlaw", "error_after_response", "parse_response", "rescue_response"]

M = TypeVar("M", bound=FromResponse)

# Fields of models with a text that the server wrote.
_TEXT_FIELDS = ("message", "warning", "error")
# Statuses that mean that the API key was refused. A web page with such a status comes from a gateway, not from the API.
_KEY_STATUSES = {401, 403}
# Headers in which gateways write their name.
_GATEWAY_HEADERS = ("Server", "Via")
# A 2xx response, perhaps after interim (1xx) responses. Compiled by `re` at its first use.
_RAW_SUCCESS = rb"(?s)(?:\A|\r\n\r\n)HTTP/1\.[01] (?P<status>2\d\d)[ \r].*?\r\n\r\n(?P<body>.*)"
# What the user can do about a refusal.
_NEXT_STEPS = {
    400: "Nothing was accepted. Correct the request.",
    401: "The API key is not accepted: check PYANNOTEAI_API_KEY, and base_url (PYANNOTEAI_BASE_URL) if it is set.",
    402: "The team has no subscription or no credit left: see the dashboard of pyannoteAI.",
    403: "The API key lacks the permission: check its team and its rights in the dashboard of pyannoteAI.",
    404: "It does not exist, belongs to another team, or was deleted. If every request fails, check base_url.",
    422: "Nothing was accepted. Correct the request.",
    429: "The rate limit of the team is used up: try again later, and share one RateLimiter between your clients.",
    503: "The API is overloaded: try again later.",
}


class BodyFlaw(Enum):
    """Why the body of a response is not complete."""

    BROKE_OFF = "ended before the body was complete"
    STALLED = "was not complete in time"
    TOO_LONG = "is larger than any response of the API"
    BROKEN_HEADERS = "has headers that cannot be parsed"


class ApiResponse:
    """One HTTP response. Its body is cut at the limit of the operation.

    The body stays in the chunks in which it arrived: joining those of a large body would block the event loop.
    """

    __slots__ = ("chunks", "flaw", "headers", "status")

    def __init__(
        self, status: int, headers: Mapping[str, str], chunks: Sequence[bytes], flaw: BodyFlaw | None = None
    ) -> None:
        self.status = status
        self.headers = headers
        self.chunks = chunks
        self.flaw = flaw

    @property
    def body(self) -> bytes:
        """The whole body."""
        return b"".join(self.chunks)

    @property
    def is_large(self) -> bool:
        """Whether decoding the body may take so long that it should be done in a thread."""
        return sum(map(len, self.chunks)) > codec.LARGE_BODY


def parse_response(endpoint: Endpoint[M], response: ApiResponse, *, wall: float, key: str, elapsed: float = 0.0) -> M:
    """Return the model in a response.

    A 2xx to a submission that holds a complete job id is a success, whatever else is wrong with the response.

    Args:
        endpoint: the operation.
        response: the response.
        wall: the clock of this machine, in UTC epoch seconds.
        key: the API key, which is redacted in quoted texts.
        elapsed: seconds from the beginning of the request.

    Raises:
        ApiStatusError: the server refused the request.
        UnexpectedResponseError: the response cannot be understood.
        ApiTimeoutError: the response was not complete in time.
    """
    if 200 <= response.status <= 299:  # noqa: PLR2004 - any 2xx is a success
        model = _redact_key(_parse_success(endpoint, response, key), key)
        info = ResponseInfo(response.status, response.headers, elapsed, key)
        if isinstance(model, JobPage):
            for summary in model.items:
                summary.set_response(info)
        return model.set_response(info)
    if 400 <= response.status <= 599:  # noqa: PLR2004 - the errors of RFC 9110
        raise _refusal_error(endpoint, response, wall, key)
    raise _unexpected_status_error(endpoint, response, key)


def error_after_response(endpoint: Endpoint[M], response: ApiResponse, exc: Exception, *, key: str) -> VoiceprintError:
    """Return the error for a submission whose response arrived, but whose processing failed afterwards.

    Args:
        endpoint: the submission.
        response: the response.
        exc: the exception, for example of a trace hook.
        key: the API key, which is redacted in the headers.
    """
    job_id = codec.find_job_id(response.body)
    unknown = next_step(RequestOutcome.UNKNOWN, repeatable=False)
    advice = f"Job {job_id} was accepted: wait({job_id!r}) resumes it." if job_id else unknown
    return UnexpectedResponseError(
        f"{endpoint.name} returned status {response.status}, but {type(exc).__name__} was raised while the response "
        f"was processed. {advice}",
        status=response.status,
        headers=_redact_headers(response.headers, key),
        job_id=job_id,
        outcome_unknown=True,
    )


def rescue_response(received: bytes) -> ApiResponse | None:
    """Return the response in the raw bytes of a submission, if it is a 2xx with a job id.

    aiohttp rejects responses with broken headers; the job in the body is accepted nevertheless.
    """
    found = re.search(_RAW_SUCCESS, received)
    if found is None or codec.find_job_id(found["body"]) is None:
        return None
    return ApiResponse(int(found["status"]), {}, [found["body"]], BodyFlaw.BROKEN_HEADERS)


def _parse_success(endpoint: Endpoint[M], response: ApiResponse, key: str) -> M:
    problem = response.flaw.value if response.flaw else ""
    if not problem:
        try:
            return codec.decode(endpoint.model, *response.chunks)
        except Exception:  # noqa: BLE001 - a job id in the body is billed, whatever else is wrong with it
            problem = "cannot be parsed"
    if endpoint.model is JobCreated and (job_id := codec.find_job_id(response.body)):
        return JobCreated(job_id)  # type: ignore[return-value]  # it is endpoint.model
    raise _unreadable_error(endpoint, response, problem, key)


def _redact_key(model: M, key: str) -> M:
    """Redact the key in texts of the server (`Key … is valid`), so that neither `repr()` nor a log shows the key."""
    changes: dict[str, Any] = {}
    output = getattr(model, "output", None)
    if output is not None and (redacted := _redact_key(output, key)) is not output:
        changes["output"] = redacted
    for name in _TEXT_FIELDS:
        text = getattr(model, name, None)
        if text and key in text:
            changes[name] = redact_text(text, key)
    return attrs.evolve(model, **changes) if changes else model  # type: ignore[misc]  # all models are attrs classes


def _unreadable_error(endpoint: Endpoint[M], response: ApiResponse, problem: str, key: str) -> VoiceprintError:
    error_class = ApiTimeoutError if response.flaw is BodyFlaw.STALLED else UnexpectedResponseError
    return error_class(
        f"The response to {endpoint.name} (status {response.status}) {problem}. "
        f"{next_step(RequestOutcome.UNKNOWN, repeatable=endpoint.repeatable)}",
        status=response.status,
        headers=_redact_headers(response.headers, key),
        **error_flags(RequestOutcome.UNKNOWN, repeatable=endpoint.repeatable),
    )


def _unexpected_status_error(endpoint: Endpoint[M], response: ApiResponse, key: str) -> VoiceprintError:
    outcome = outcome_of_status(response.status, response.headers)
    if outcome is RequestOutcome.REFUSED:
        meaning = "a redirect. It was not followed, because it would send the API key to another host. Check base_url."
    else:
        meaning = (
            f"which is not a status of this API. {next_step(RequestOutcome.UNKNOWN, repeatable=endpoint.repeatable)}"
        )
    return UnexpectedResponseError(
        f"{endpoint.name} returned status {response.status}, {meaning}",
        status=response.status,
        job_id=_job_id(endpoint, response),
        headers=_redact_headers(response.headers, key),
        **error_flags(outcome, repeatable=endpoint.repeatable),
    )


def _refusal_error(endpoint: Endpoint[M], response: ApiResponse, wall: float, key: str) -> VoiceprintError:
    refusal = _redact_refusal(parse_refusal(response.body), key)
    if refusal.is_page and response.status in _KEY_STATUSES:
        return _gateway_error(endpoint, response, refusal.message, key)
    if response.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return _proxy_error(endpoint, response, refusal.message, key)
    outcome = outcome_of_status(response.status, response.headers)
    if outcome is RequestOutcome.UNKNOWN:
        advice = next_step(outcome, repeatable=endpoint.repeatable)
    else:
        advice = _NEXT_STEPS.get(response.status, "")
    error_class = status_error_class(response.status)
    return error_class(
        f"{endpoint.name} returned status {response.status} ({_reason(refusal)}). {advice}".rstrip(),
        status=response.status,
        message=refusal.message,
        request_id=refusal.request_id,
        job_id=_job_id(endpoint, response),
        retry_after=rate_limit_headers.retry_after(response.headers, wall),
        headers=_redact_headers(response.headers, key),
        **error_flags(outcome, repeatable=endpoint.repeatable),
        **({"errors": refusal.errors} if issubclass(error_class, InvalidRequestError) else {}),
    )


def _job_id(endpoint: Endpoint[M], response: ApiResponse) -> str | None:
    """Return the job id in the response to a submission: that job may be billed although the status is an error."""
    return None if endpoint.repeatable else codec.find_job_id(response.body)


def _redact_refusal(refusal: Refusal, key: str) -> Refusal:
    return refusal._replace(
        message=refusal.message and redact_text(refusal.message, key),
        request_id=refusal.request_id and redact_text(refusal.request_id, key),
        errors=tuple(
            FieldError(redact_text(error.field, key), redact_text(error.message, key)) for error in refusal.errors
        ),
    )


def _reason(refusal: Refusal) -> str:
    """Return the message, and the field errors that it does not contain."""
    message = refusal.message or ""
    details = [text for text in map(format_field_error, refusal.errors) if text and text not in message]
    return "; ".join([message or "no reason given", *details])


def _proxy_error(endpoint: Endpoint[M], response: ApiResponse, message: str | None, key: str) -> ProxyError:
    """Return the error for a 407 to a request over plain HTTP. With TLS, the proxy has refused the CONNECT before."""
    return ProxyError(
        f"{endpoint.name}: the proxy returned status 407, because the user or the password is missing or wrong. "
        "Nothing was accepted. Correct the environment variable HTTP_PROXY, or the argument `proxy` of the client if "
        "it has one: http://user:password@host:port, with special characters percent-encoded.",
        status=response.status,
        message=message,
        headers=_redact_headers(response.headers, key),
        **error_flags(RequestOutcome.REFUSED, repeatable=endpoint.repeatable),
    )


def _gateway_error(
    endpoint: Endpoint[M], response: ApiResponse, message: str | None, key: str
) -> UnexpectedResponseError:
    """Return the error for a web page with status 401 or 403. The API sends JSON, so it has not checked the key."""
    names = [
        f"{name}: {redact_text(text, key)[:100]}" for name in _GATEWAY_HEADERS if (text := response.headers.get(name))
    ]
    gateway = f" ({'; '.join(names)})" if names else ", which does not name itself"
    quoted = f' The page says: "{message}".' if message else ""
    return UnexpectedResponseError(
        f"{endpoint.name} was refused with status {response.status} by a gateway between this machine and the API"
        f"{gateway}: the response is a web page or text, and the API sends JSON.{quoted} Nothing was accepted, and the "
        "API key was not checked. Check the proxy, firewall or VPN of this network, and base_url.",
        status=response.status,
        message=message,
        headers=_redact_headers(response.headers, key),
        **error_flags(outcome_of_status(response.status, response.headers), repeatable=endpoint.repeatable),
    )


def _redact_headers(headers: Mapping[str, str], key: str) -> dict[str, str]:
    """Return the headers, redacted: a gateway may repeat the key, and the URL in a `Location` may be presigned."""
    return {name.lower(): redact_text(value, key) for name, value in headers.items()}
