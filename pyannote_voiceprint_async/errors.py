"""Everything that can go wrong, as one tree.

```
VoiceprintError
├── ConfigurationError            the program must be changed before it can work
│   └── ClientClosedError         the client was closed, or belongs to another event loop
├── QueueTooLongError             refused at once: the queue is longer than `max_queue_wait`
├── ApiConnectionError            no answer came
│   ├── ApiTimeoutError           no answer came in time
│   └── ProxyError                the proxy refuses the password (407), or its setting cannot be used
├── UnexpectedResponseError       an answer came that cannot be understood
├── ApiStatusError                the server said no
│   ├── InvalidRequestError       400, 422 (and our own checks before anything is sent)
│   ├── AccountError              nothing works until somebody looks after the account
│   │   ├── AuthenticationError         401
│   │   ├── SubscriptionRequiredError   402
│   │   └── PermissionDeniedError       403
│   ├── NotFoundError             404
│   ├── RateLimitError            429
│   └── ServerError               5xx
├── JobError                      a job that was accepted has no voiceprint for us
│   ├── JobFailedError
│   ├── JobCanceledError
│   ├── JobTimeoutError           our patience ended, not the job
│   └── JobExpiredError           the job is done, its output is deleted
├── MediaError                    local audio cannot be read or sent
├── EnrollmentError               bulk enrollment cannot begin, or cannot go on
│   ├── ManifestError             something is wrong with the list of speakers
│   └── LedgerError               the ledger cannot be opened, read or written
│       ├── LedgerInUseError      another run has it
│       └── LedgerOriginError     it belongs to another API or another key
└── WebhookError
    ├── InvalidSignatureError
    └── StaleWebhookError
```

Every error answers two questions: `retryable` (may the same call be repeated without harm?) and
`outcome_unknown` (may the server have accepted it although we have no answer?). All of them pickle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
    "StaleWebhookError",
    "SubscriptionRequiredError",
    "UnexpectedResponseError",
    "VoiceprintError",
    "WebhookError",
    "status_error_class",
]


@safe_repr
@attrs.frozen
class FieldError:
    """One thing that is wrong with a request, as the API words it (`ValidationError` in its OpenAPI)."""

    field: str
    """The request's field, in the API's spelling (`webhookStatusOnly`)."""
    message: str
    """What is wrong with it."""


@safe_repr
@attrs.frozen
class Problem:
    """One thing that is wrong with a list of speakers. `str` is a sentence with the line's number."""

    message: str
    """What is wrong, and what to do."""
    label: str | None = None
    """Whose row it is, if that is known."""
    line: int | None = None
    """Where it stands in its file, from 1."""

    def __str__(self) -> str:
        where = " ".join(
            [*([f"line {self.line}"] if self.line else []), *([f"({self.label})"] if self.label is not None else [])]
        )
        return f"{where}: {self.message}" if where else self.message


class VoiceprintError(Exception):
    """The base of every error of this package.

    Args:
        sentence: what happened, what it means, what to do next.
        retryable: may the same call be repeated without harm?
        outcome_unknown: may the server have accepted the request although we have no answer?
        status: the HTTP status of the answer, if there was one.
        message: the server's own words, URLs masked.
        request_id: the server's `requestId`, for its support.
        job_id: the job that the error is about, if one is known.
        retry_after: seconds that the server asked to wait.
        headers: the answer's headers, names in lower case.
    """

    def __init__(  # noqa: PLR0913 - what is known of an error; each is optional and a keyword
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
    """The client was set up in a way that cannot work: no key, a bad value, a session of the wrong kind."""


class ClientClosedError(ConfigurationError):
    """The client is closed, or is used from another event loop than the one it first ran in.

    A wait that closing ended carries its `job_id`: `wait(job_id)` on another client goes on with it.
    """


class QueueTooLongError(VoiceprintError):
    """The request would have queued longer than `max_queue_wait`; nothing was sent.

    `expected_wait` says how many seconds it would have taken.
    """

    def __init__(self, sentence: str = "", *, expected_wait: float = 0.0) -> None:
        super().__init__(sentence, retryable=True, retry_after=expected_wait)
        self.expected_wait = expected_wait


class ApiConnectionError(VoiceprintError):
    """The API could not be reached, or the connection broke before the answer came."""


class ApiTimeoutError(ApiConnectionError):
    """The API did not answer in time."""


class ProxyError(ApiConnectionError):
    """The proxy demands a password or refuses the one it was given (407), or its setting cannot be used.

    Nothing was sent, and nothing else would come of another attempt: the message names the setting to change.
    """


class UnexpectedResponseError(VoiceprintError):
    """An answer came that cannot be understood.

    A 2xx without what it promised, a redirect, a broken HTTP message, a status outside 200 to 599, an
    answer larger than any real one.
    """


class ApiStatusError(VoiceprintError):
    """The API answered with a status that says no."""


class InvalidRequestError(ApiStatusError):
    """The request is wrong (400, 422), found by the API or by the checks before anything is sent.

    `errors` says which field and why. Nothing was accepted.
    """

    def __init__(self, sentence: str = "", *, errors: Sequence[FieldError] = (), **known: object) -> None:
        super().__init__(sentence, **known)  # type: ignore[arg-type]  # the base names and checks them
        self.errors = tuple(errors)


class AccountError(ApiStatusError):
    """Nothing will work until somebody looks after the account: 401, 402, 403."""


class AuthenticationError(AccountError):
    """The key is not accepted (401)."""


class SubscriptionRequiredError(AccountError):
    """The team has no subscription, or its credit is used up (402)."""


class PermissionDeniedError(AccountError):
    """The key may not do this (403)."""


class NotFoundError(ApiStatusError):
    """There is no such thing (404): a job of another team, or one that was deleted."""


class RateLimitError(ApiStatusError):
    """The API refused for its rate limit (429): for longer than `max_elapsed`, or `max_retry_after` is exceeded."""


class ServerError(ApiStatusError):
    """The API failed (5xx)."""


class JobError(VoiceprintError):
    """A job that the API accepted has no voiceprint for us; `job_id` says which."""

    # The base's may be None. An error of a job names the job, so that `wait(error.job_id)` passes type checkers.
    job_id: str


class JobFailedError(JobError):
    """The job failed; `message` is the server's reason. Failed jobs are not billed."""


class JobCanceledError(JobError):
    """The job was canceled. Canceled jobs are not billed."""


class JobTimeoutError(JobError):
    """Waiting ended before the job did. The job goes on: `wait(job_id)` picks it up again."""


class JobExpiredError(JobError):
    """The job is done, but its output is no longer there: outputs are deleted after 24 hours."""


class MediaError(VoiceprintError):
    """Local audio cannot be read, is empty, changed while it was sent, or cannot be read a second time."""


class EnrollmentError(VoiceprintError):
    """Bulk enrollment cannot begin, or cannot go on. What was done stands in the ledger."""


class ManifestError(EnrollmentError):
    """Something is wrong with the list of speakers; nothing was sent. `problems` says what, each with its line."""

    def __init__(self, sentence: str = "", *, problems: Sequence[Problem] = (), **known: object) -> None:
        super().__init__(sentence, **known)  # type: ignore[arg-type]  # the base names and checks them
        self.problems = tuple(problems)


class LedgerError(EnrollmentError):
    """The ledger cannot be opened, read or written: it is none, is damaged, or the disk is full."""


class LedgerInUseError(LedgerError):
    """Another run has the ledger. Reading it works meanwhile."""


class LedgerOriginError(LedgerError):
    """The ledger was made with another API or another key: job ids of one are unknown to the other."""


class WebhookError(VoiceprintError):
    """A webhook delivery that must not be trusted."""


class InvalidSignatureError(WebhookError):
    """The signature is missing, or was not made with one of the secrets."""


class StaleWebhookError(WebhookError):
    """The signature is right, but the delivery is too old or comes from the future."""


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
    """Give the class of the tree that stands for an HTTP status of 400 to 599."""
    return _BY_STATUS.get(status, ServerError if status >= _FIRST_SERVER_ERROR else ApiStatusError)
