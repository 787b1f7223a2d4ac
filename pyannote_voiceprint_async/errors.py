"""The errors of this package, in one tree.

```
VoiceprintError
├── ConfigurationError            a setting cannot work: change the program or its environment
│   └── ClientClosedError         the client is closed, or belongs to another event loop
├── QueueTooLongError             not sent: the wait in the queue would exceed `max_queue_wait`
├── ApiConnectionError            no response arrived
│   ├── ApiTimeoutError           no response arrived in time
│   └── ProxyError                the proxy refused the password (407), or its setting cannot be used
├── UnexpectedResponseError       the response cannot be understood
├── ApiStatusError                the API refused the request
│   ├── InvalidRequestError       400, 422, and the local checks before a request
│   ├── AccountError              every request fails until the account is put in order
│   │   ├── AuthenticationError         401
│   │   ├── SubscriptionRequiredError   402
│   │   └── PermissionDeniedError       403
│   ├── NotFoundError             404
│   ├── RateLimitError            429
│   └── ServerError               5xx
├── JobError                      an accepted job has no result
│   ├── JobFailedError            the job failed
│   ├── JobCanceledError          the job was canceled
│   ├── JobTimeoutError           the wait ended before the job
│   └── JobExpiredError           the job succeeded, but the API has deleted its output
├── PartialIdentificationError    some jobs of `identification.identify_among` have no result, others are billed
├── MediaError                    local audio cannot be read or sent
├── SharedStateError              the state that processes share cannot be used
├── SubmissionInProgressError     another call submits the same key
├── UnknownOutcomeError           an earlier submission of the same key may have been accepted
├── EnrollmentError               bulk enrollment cannot start or continue
│   ├── ManifestError             the list of speakers has errors
│   └── LedgerError               the ledger cannot be opened, read or written
│       ├── LedgerInUseError      another run uses the ledger
│       └── LedgerOriginError     the ledger belongs to another API or another key
└── WebhookError                  a webhook delivery must not be trusted
    ├── InvalidSignatureError     the signature is missing or wrong
    └── StaleWebhookError         the signature is right, the timestamp is not recent
```

Every error has two flags: `retryable` (can the same call be repeated without harm?) and `outcome_unknown` (may the
API have accepted the request, although no response arrived?). Both are False by default. All errors pickle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

import attrs

from .reprs import safe_repr

__all__ = [
    "AccountError",
    "ApiConnectionError",
    "ApiStatusError",
    "ApiTimeoutError",
    "AuthenticationError",
    "ClientClosedError",
    "ConfigurationError",
    "EnrollmentError",
    "FieldError",
    "InvalidRequestError",
    "InvalidSignatureError",
    "JobCanceledError",
    "JobError",
    "JobExpiredError",
    "JobFailedError",
    "JobTimeoutError",
    "LedgerError",
    "LedgerInUseError",
    "LedgerOriginError",
    "ManifestError",
    "MediaError",
    "NotFoundError",
    "PermissionDeniedError",
    "Problem",
    "ProxyError",
    "QueueTooLongError",
    "RateLimitError",
    "ServerError",
    "SharedStateError",
    "StaleWebhookError",
    "SubmissionInProgressError",
    "SubscriptionRequiredError",
    "UnexpectedResponseError",
    "UnknownOutcomeError",
    "VoiceprintError",
    "WebhookError",
    "status_error_class",
]


@safe_repr
@attrs.frozen
class FieldError:
    """An invalid field of a request, in the words of the API (`ValidationError` in its OpenAPI)."""

    field: str
    """The name of the field, as the API spells it (`webhookStatusOnly`)."""
    message: str
    """What is wrong with the field."""


@safe_repr
@attrs.frozen
class Problem:
    """An error in a list of speakers. `str()` returns a sentence with the line number."""

    message: str
    """What is wrong, and what to do next."""
    label: str | None = None
    """The label of the row, if it is known."""
    line: int | None = None
    """The line in the file, from 1."""

    def __str__(self) -> str:
        line = f"line {self.line}" if self.line else ""
        label = f"({self.label})" if self.label is not None else ""
        where = " ".join(filter(None, (line, label)))
        return f"{where}: {self.message}" if where else self.message


class VoiceprintError(Exception):
    """The base class of every error of this package.

    Args:
        sentence: what happened, what it means, what to do next.
        retryable: whether the same call can be repeated without harm.
        outcome_unknown: whether the API may have accepted the request, although no response arrived.
        status: the HTTP status of the response, if one arrived.
        message: the reason in the words of the API, redacted.
        request_id: the `requestId` of the API, for its support.
        job_id: the job, if it is known.
        retry_after: seconds to wait before the next try, as the API requested.
        headers: the headers of the response, with names in lower case.
    """

    def __init__(  # noqa: PLR0913 - every argument is an optional keyword
        self,
        sentence: str = "",
        *,
        retryable: bool = False,
        outcome_unknown: bool = False,
        status: int | None = None,
        message: str | None = None,
        request_id: str | None = None,
        job_id: str | None = None,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(sentence)
        self.retryable = retryable
        self.outcome_unknown = outcome_unknown
        self.status = status
        self.message = message
        self.request_id = request_id
        self.job_id = job_id
        self.retry_after = retry_after
        self.headers = dict(headers or {})


class ConfigurationError(VoiceprintError):
    """A setting cannot work: there is no API key, a value is out of range, or a session is of the wrong kind."""


class ClientClosedError(ConfigurationError):
    """The client is closed, or is used in another event loop than before.

    If closing interrupted a wait, `job_id` is set: call `wait(job_id)` on another client to resume it.
    """


class QueueTooLongError(VoiceprintError):
    """The request was not sent, because it would wait in the queue for longer than `max_queue_wait`.

    `expected_wait` is the expected wait in seconds.
    """

    def __init__(self, sentence: str = "", *, expected_wait: float = 0.0) -> None:
        super().__init__(sentence, retryable=True, retry_after=expected_wait)
        self.expected_wait = expected_wait


class ApiConnectionError(VoiceprintError):
    """The API could not be reached, or the connection broke before the response was complete."""


class ApiTimeoutError(ApiConnectionError):
    """The response was not complete in time."""


class ProxyError(ApiConnectionError):
    """The proxy requires or refused a password (407), or the proxy setting cannot be used.

    Nothing was sent to the API, and a retry would fail too: the message names the setting to change.
    """


class UnexpectedResponseError(VoiceprintError):
    """The response cannot be understood.

    It is a 2xx without the promised content, a redirect, a broken HTTP message, a status outside 200 to 599, larger
    than any response of the API, or a page of a gateway in front of the API.
    """


class ApiStatusError(VoiceprintError):
    """The API refused the request with an error status."""


class InvalidRequestError(ApiStatusError):
    """The request is invalid: the API refused it (400, 422), or a local check failed before it was sent.

    `errors` lists the invalid fields. Nothing was accepted.
    """

    def __init__(self, sentence: str = "", *, errors: Sequence[FieldError] = (), **details: object) -> None:
        super().__init__(sentence, **details)  # type: ignore[arg-type]  # the base class checks them
        self.errors = tuple(errors)


class AccountError(ApiStatusError):
    """Every request fails until the account or the key is put in order (401, 402, 403)."""


class AuthenticationError(AccountError):
    """The API key is not accepted (401)."""


class SubscriptionRequiredError(AccountError):
    """The team has no subscription, or its credit is used up (402)."""


class PermissionDeniedError(AccountError):
    """The API key lacks the permission (403)."""


class NotFoundError(ApiStatusError):
    """The resource does not exist (404): the job belongs to another team, or was deleted."""


class RateLimitError(ApiStatusError):
    """The rate limit is exceeded (429).

    The API refused the call for longer than `RetryPolicy.max_elapsed`, or requested a wait above `max_retry_after`.
    """


class ServerError(ApiStatusError):
    """The API failed (5xx)."""


class JobError(VoiceprintError):
    """An accepted job, `job_id`, has no result."""

    # Never None here, so that `wait(error.job_id)` passes type checkers.
    job_id: str


class JobFailedError(JobError):
    """The job failed; `message` is the reason of the API. Failed jobs are not billed."""


class JobCanceledError(JobError):
    """The job was canceled. Canceled jobs are not billed."""


class JobTimeoutError(JobError):
    """The wait ended before the job, which is still running: call `wait(job_id)` to resume."""


class JobExpiredError(JobError):
    """The job succeeded, but its output has expired: the API deletes outputs after 24 hours."""


class MediaError(VoiceprintError):
    """Local audio cannot be read, is empty, changed during the upload, or cannot be read again for a retry."""


class SharedStateError(VoiceprintError):
    """The shared state (`shared=`) cannot be used: it cannot be reached, was deleted, or has another version.

    `retryable` is True if it may be reached later. Nothing was sent.
    """


class SubmissionInProgressError(VoiceprintError):
    """Another call submits the same `key`, and did not end in time. This call sent nothing; it may be repeated."""

    def __init__(self, sentence: str = "", *, key: str = "", **details: object) -> None:
        super().__init__(sentence, **details)  # type: ignore[arg-type]  # the base class checks them
        self.key = key


class CandidateJob(Protocol):
    """What a candidate of `UnknownOutcomeError` has. Each is a `JobSummary`, which has more fields."""

    @property
    def job_id(self) -> str:
        """The id of the job."""

    @property
    def status(self) -> str:
        """Its status."""

    @property
    def created_at(self) -> datetime | None:
        """When it was accepted (UTC)."""


class UnknownOutcomeError(VoiceprintError):
    """An earlier submission with the same `key` may have been accepted. This call sent nothing.

    `candidates` are the jobs that the earlier submission may have created, as `JobSummary`. `client.resolve_key`
    adopts one of them, or frees the key.
    """

    def __init__(
        self,
        sentence: str = "",
        *,
        key: str = "",
        candidates: Sequence[CandidateJob] = (),
        sent_before: float = 0.0,
        **details: object,
    ) -> None:
        super().__init__(sentence, **details)  # type: ignore[arg-type]  # the base class checks them
        self.key = key
        self.candidates = tuple(candidates)
        self.sent_before = sent_before
        """Seconds since the earlier submission was sent."""


class EnrollmentError(VoiceprintError):
    """Bulk enrollment cannot start or continue. The ledger keeps the results so far."""


class ManifestError(EnrollmentError):
    """The list of speakers has errors, and nothing was sent. `problems` lists them with their lines."""

    def __init__(self, sentence: str = "", *, problems: Sequence[Problem] = (), **details: object) -> None:
        super().__init__(sentence, **details)  # type: ignore[arg-type]  # the base class checks them
        self.problems = tuple(problems)


class LedgerError(EnrollmentError):
    """The ledger cannot be opened, read or written: it is not a ledger, is damaged, or the disk is full."""


class LedgerInUseError(LedgerError):
    """Another run uses the ledger. It can still be read."""


class LedgerOriginError(LedgerError):
    """The ledger belongs to another API or another key, where its jobs do not exist."""


class WebhookError(VoiceprintError):
    """The webhook delivery must not be trusted."""


class InvalidSignatureError(WebhookError):
    """The signature is missing, or was made with another secret or for another body."""


class StaleWebhookError(WebhookError):
    """The signature is right, but the timestamp is too old or in the future."""


_BY_STATUS: dict[int, type[ApiStatusError]] = {
    400: InvalidRequestError,
    401: AuthenticationError,
    402: SubscriptionRequiredError,
    403: PermissionDeniedError,
    404: NotFoundError,
    422: InvalidRequestError,
    429: RateLimitError,
}
_FIRST_SERVER_ERROR = 500


def status_error_class(status: int) -> type[ApiStatusError]:
    """Return the error class for an HTTP status of 400 to 599."""
    return _BY_STATUS.get(status, ServerError if status >= _FIRST_SERVER_ERROR else ApiStatusError)
