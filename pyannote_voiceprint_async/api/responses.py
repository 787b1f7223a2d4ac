"""What an answer means: pure decisions from (operation, status, headers, body) to a model or an error."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from http import HTTPStatus
from typing import Any, TypedDict, TypeVar

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
from pyannote_voiceprint_async.models import JobCreated
from pyannote_voiceprint_async.redaction import redact_text

from . import codec, rate_limit_headers
from .endpoints import Endpoint

__all__ = [
    "ApiResponse",
    "BodyFlaw",
    "RequestOutcome",
    "error_after_response",
    "error_flags",
    "next_step",
    "outcome_of_status",
    "parse_response",
    "rescue_response",
]

A = TypeVar("A")

_WORDS = ("message", "warning", "error")


class RequestOutcome(Enum):
    """What became of a request, as far as repeating it is concerned."""

    NEVER_SENT = "no byte of it left this machine"
    RETRY_LATER = "the server refused it for now"
    UNKNOWN = "the server may have acted on it"
    REFUSED = "the server refused it for good"


class BodyFlaw(Enum):
    """Why the body of an answer is not whole."""

    BROKE_OFF = "broke off in the middle"
    STALLED = "did not end in time"
    TOO_LONG = "is longer than any real one"
    BROKEN_HEADERS = "has headers that cannot be read"


class ApiResponse:
    """One HTTP answer, read up to the operation's bound."""

    __slots__ = ("body", "flaw", "headers", "status")

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes, flaw: BodyFlaw | None = None) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.flaw = flaw


class ErrorFlags(TypedDict):
    """The two questions that every error answers."""

    retryable: bool
    outcome_unknown: bool


def error_flags(outcome: RequestOutcome, *, repeatable: bool) -> ErrorFlags:
    """Answer an error's two questions. This is the table of the README's "Limits and money"."""
    unknown = outcome is RequestOutcome.UNKNOWN
    return {
        "retryable": outcome in {RequestOutcome.NEVER_SENT, RequestOutcome.RETRY_LATER} or (unknown and repeatable),
        "outcome_unknown": unknown and not repeatable,
    }


def next_step(outcome: RequestOutcome, *, repeatable: bool) -> str:
    """Say what a outcome means to the caller, as a sentence."""
    if outcome is RequestOutcome.NEVER_SENT:
        return "Nothing was sent; it may be repeated."
    if repeatable:
        return "It may be repeated without harm."
    return (
        "It is unknown whether the job was accepted, so it was not sent again: it might be paid twice. "
        "Look at list_jobs() before you repeat it."
    )


def outcome_of_status(status: int, headers: Mapping[str, str]) -> RequestOutcome:
    """Say what a status means for repeating. Statuses that are none (999) leave the outcome unknown."""
    match status:
        case 429:
            return RequestOutcome.RETRY_LATER
        case 503 if rate_limit_headers.has_retry_after(headers):
            return RequestOutcome.RETRY_LATER
        case 408:
            return RequestOutcome.UNKNOWN
        case _ if 300 <= status <= 499:  # noqa: PLR2004 - redirects and refusals, as RFC 9110 numbers them
            return RequestOutcome.REFUSED
        case _:
            return RequestOutcome.UNKNOWN


def parse_response(endpoint: Endpoint[A], answer: ApiResponse, *, wall: float, key: str) -> A:
    """Give the model that an answer holds.

    A 2xx to a submission that holds a job id is a success, whatever else is wrong with it.

    Args:
        endpoint: what was asked.
        answer: what came.
        wall: UTC epoch seconds of this machine.
        key: the API key, which no quoted text may show.

    Raises:
        ApiStatusError: the server said no.
        UnexpectedResponseError: the answer cannot be understood.
        ApiTimeoutError: it did not end in time.
    """
    if 200 <= answer.status <= 299:  # noqa: PLR2004 - any 2xx is a success
        return _without_key(_read_success(endpoint, answer), key)
    if 400 <= answer.status <= 599:  # noqa: PLR2004 - what RFC 9110 defines as errors
        raise _refusal(endpoint, answer, wall, key)
    raise _strange_status(endpoint, answer)


def error_after_response(endpoint: Endpoint[A], answer: ApiResponse, exc: Exception) -> VoiceprintError:
    """Return the error for a submission whose response was received, when something else failed after that.

    Args:
        endpoint: the submission.
        answer: the response.
        exc: what failed.
    """
    job_id = codec.find_job_id(answer.body)
    known = (
        f"Job {job_id} was accepted: wait() picks it up."
        if job_id
        else next_step(RequestOutcome.UNKNOWN, repeatable=False)
    )
    return UnexpectedResponseError(
        f"{_name(endpoint)} was answered with {answer.status}, but {type(exc).__name__} was raised when the response "
        f"was taken in. {known}",
        status=answer.status,
        headers=_plain(answer.headers),
        job_id=job_id,
        outcome_unknown=True,
    )


def rescue_response(received: bytes) -> ApiResponse | None:
    """Return the response in these raw bytes, if it is a 2xx with a job id: aiohttp could not read its headers.

    Args:
        received: what arrived for a submission.
    """
    found = _SUCCESS.search(received)
    if found is None or codec.find_job_id(found["body"]) is None:
        return None
    return ApiResponse(int(found["status"]), {}, found["body"], BodyFlaw.BROKEN_HEADERS)


def _read_success(endpoint: Endpoint[A], answer: ApiResponse) -> A:
    problem = answer.flaw.value if answer.flaw else ""
    if not problem:
        try:
            return codec.decode(endpoint.model, answer.body)
        except Exception:  # noqa: BLE001 - whatever is wrong with it, a job id in it is paid for
            problem = "cannot be read"
    if endpoint.model is JobCreated and (job_id := codec.find_job_id(answer.body)):
        return JobCreated(job_id)  # type: ignore[return-value]  # it is endpoint.model
    raise _unreadable(endpoint, answer, problem)


def _without_key(model: A, key: str) -> A:
    """Redact the key in what the API says in words (`Key … is valid`), so that neither `repr()` nor a log shows it."""
    output = getattr(model, "output", None)
    changed: dict[str, Any] = {} if output is None else {"output": _without_key(output, key)}
    for name in _WORDS:
        text = getattr(model, name, None)
        if text and key in text:
            changed[name] = redact_text(text, key)
    return attrs.evolve(model, **changed) if changed else model  # type: ignore[misc]  # all models are attrs classes


def _unreadable(endpoint: Endpoint[A], answer: ApiResponse, problem: str) -> VoiceprintError:
    error = ApiTimeoutError if answer.flaw is BodyFlaw.STALLED else UnexpectedResponseError
    return error(
        f"The API's answer to {_name(endpoint)} (status {answer.status}) {problem}. "
        f"{next_step(RequestOutcome.UNKNOWN, repeatable=endpoint.repeatable)}",
        status=answer.status,
        headers=_plain(answer.headers),
        **error_flags(RequestOutcome.UNKNOWN, repeatable=endpoint.repeatable),
    )


def _strange_status(endpoint: Endpoint[A], answer: ApiResponse) -> VoiceprintError:
    outcome = outcome_of_status(answer.status, answer.headers)
    if outcome is RequestOutcome.REFUSED:
        meaning = "It was not followed, because the key must not travel. Check the base URL."
    else:
        meaning = f"That is no status of this API. {next_step(RequestOutcome.UNKNOWN, repeatable=endpoint.repeatable)}"
    what = "a redirect" if outcome is RequestOutcome.REFUSED else "an answer"
    return UnexpectedResponseError(
        f"{_name(endpoint)} got {what} with status {answer.status}. {meaning}",
        status=answer.status,
        headers=_plain(answer.headers),
        **error_flags(outcome, repeatable=endpoint.repeatable),
    )


def _refusal(endpoint: Endpoint[A], answer: ApiResponse, wall: float, key: str) -> VoiceprintError:
    refusal = codec.decode_refusal(answer.body)
    message = None if refusal.message is None else redact_text(refusal.message, key)
    if refusal.is_page and answer.status in _GATEWAY_STATUSES:
        return _gateway_refusal(endpoint, answer, message, key)
    if answer.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return _proxy_refusal(endpoint, answer, message)
    outcome = outcome_of_status(answer.status, answer.headers)
    error = status_error_class(answer.status)
    errors = tuple(
        FieldError(redact_text(wrong.field, key), redact_text(wrong.message, key)) for wrong in refusal.errors
    )
    details = [text for text in map(codec.format_field_error, errors) if text and text not in (message or "")]
    reason = "; ".join([message or "no reason given", *details])
    hint = (
        next_step(outcome, repeatable=endpoint.repeatable)
        if outcome is RequestOutcome.UNKNOWN
        else _NEXT_STEP.get(answer.status, "")
    )
    return error(
        f"{_name(endpoint)} was answered with {answer.status} ({reason}). {hint}".rstrip(),
        status=answer.status,
        message=message,
        request_id=None if refusal.request_id is None else redact_text(refusal.request_id, key),
        retry_after=rate_limit_headers.retry_after(answer.headers, wall),
        headers=_plain(answer.headers),
        **error_flags(outcome, repeatable=endpoint.repeatable),
        **({"errors": errors} if issubclass(error, InvalidRequestError) else {}),  # type: ignore[arg-type]
    )


def _proxy_refusal(endpoint: Endpoint[A], answer: ApiResponse, message: str | None) -> ProxyError:
    """Build the error for a 407 to a request by plain HTTP; with TLS the proxy refuses the CONNECT before it."""
    return ProxyError(
        f"{_name(endpoint)}: the proxy refused with 407, because the user or the password is missing or wrong. Nothing "
        "was accepted. Correct the environment variable HTTP_PROXY, or the argument `proxy` of the client if it has "
        "one: http://user:password@host:port, with special characters percent-encoded.",
        status=answer.status,
        message=message,
        headers=_plain(answer.headers),
        **error_flags(RequestOutcome.REFUSED, repeatable=endpoint.repeatable),
    )


def _gateway_refusal(
    endpoint: Endpoint[A], answer: ApiResponse, message: str | None, key: str
) -> UnexpectedResponseError:
    """Build the error for a page where the API would have sent JSON: it says nothing about the key."""
    named = [
        f"{name}: {redact_text(text, key)[:100]}" for name in _NAMES_OF_GATEWAYS if (text := answer.headers.get(name))
    ]
    gateway = f" ({'; '.join(named)})" if named else ", which does not name itself"
    quoted = f' It says: "{message}".' if message else ""
    return UnexpectedResponseError(
        f"{_name(endpoint)} was refused with {answer.status} by a gateway between this machine and the API{gateway}: "
        f"the response is a web page or text, and the API sends JSON.{quoted} Nothing was accepted, and the API key "
        "was not checked. Check the proxy, firewall or VPN of this network, and base_url.",
        status=answer.status,
        message=message,
        headers=_plain(answer.headers),
        **error_flags(outcome_of_status(answer.status, answer.headers), repeatable=endpoint.repeatable),
    )


# The statuses by which the API speaks about the key.
_GATEWAY_STATUSES = {401, 403}
_NAMES_OF_GATEWAYS = ("Server", "Via")

# After interim responses, if there are any.
_SUCCESS = re.compile(rb"(?:\A|\r\n\r\n)HTTP/1\.[01] (?P<status>2\d\d)[ \r].*?\r\n\r\n(?P<body>.*)", re.DOTALL)

_NEXT_STEP = {
    400: "Nothing was accepted. Correct the request.",
    401: "The key is not accepted: check PYANNOTEAI_API_KEY.",
    402: "The team has no subscription or no credit left: see the dashboard of pyannoteAI.",
    403: "The key may not do this: check its team and its rights.",
    404: "It does not exist, belongs to another team, or was deleted. If everything is missing, check the base URL.",
    422: "Nothing was accepted. Correct the request.",
    429: "The team's rate limit is used up: try again later, or share one throttle between your programs.",
    503: "The API is busy: try again later.",
}


def _name(endpoint: Endpoint[A]) -> str:
    return f"{endpoint.method} {endpoint.path}"


def _plain(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
