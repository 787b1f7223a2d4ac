"""The events that a client passes to `on_event`.

| event | when |
| --- | --- |
| `OperationStarted`, `OperationFinished` | a call such as `voiceprint()` begins and ends |
| `RequestFinished` | an HTTP request to the API has its response, or failed |
| `RequestRetried` | a request failed, and will be repeated |
| `RateLimited` | the API responded with status 429 |
| `UploadFinished` | audio was uploaded to the storage, or the upload failed |
| `JobAccepted` | the API accepted a job, which is billed unless it fails or is canceled |
| `JobWaitStarted` | a call begins to wait for a job |
| `JobFinished` | the wait for a job ended, because the job did |
| `JobAbandoned` | a job was accepted, but its caller was cancelled or failed; see `client.abandoned` |
| `WebhookDelivered` | `client.deliver()` received a webhook |
| `SharedStateLost`, `SharedStateRestored` | the shared state cannot be reached, or can be reached again |

No event contains a key, a URL, a voiceprint, a label or a file name. All times are in seconds. A later version may add
fields and events.
"""

from __future__ import annotations

import attrs

__all__ = [
    "ClientEvent",
    "JobAbandoned",
    "JobAccepted",
    "JobFinished",
    "JobWaitStarted",
    "OperationFinished",
    "OperationStarted",
    "RateLimited",
    "RequestFinished",
    "RequestRetried",
    "SharedStateLost",
    "SharedStateRestored",
    "UploadFinished",
    "WebhookDelivered",
]


@attrs.frozen
class ClientEvent:
    """An event of a client; the base of all events."""

    operation_id: int
    """The number of the operation, from 1 in each client. 0 stands for what belongs to no operation: the poller,
    which serves all waits at once, and webhooks."""
    operation: str
    """`submit`, `submit_identification`, `voiceprint`, `identify`, `wait`, `upload`, `get_job`, `list_jobs`,
    `check_key`, `poll`, `deliver` or `shared`. Each item of a batch is an operation."""


@attrs.frozen
class OperationStarted(ClientEvent):
    """An operation began."""


@attrs.frozen
class OperationFinished(ClientEvent):
    """An operation ended."""

    seconds: float
    """The duration of the operation."""
    job_id: str | None = None
    """The job that the operation submitted, if the API accepted it."""
    error: str | None = None
    """The class of the error that it raised, such as `JobFailedError` or `CancelledError`; None if it succeeded."""


@attrs.frozen
class RequestFinished(ClientEvent):
    """A request to the API has its response, or failed without one."""

    endpoint: str
    """The operation of the API, such as `POST /v1/voiceprint`."""
    queue_seconds: float
    """Seconds in the wait queue, for a permit of the rate limit and a slot of `max_concurrency`."""
    request_seconds: float
    """Seconds from the end of the wait in the queue to the end of the response."""
    status: int | None = None
    """The HTTP status; None without a response."""
    job_id: str | None = None
    """The job that was accepted or read."""
    error: str | None = None
    """The class of the error, such as `ServerError`."""
    permits_in_use: int = 0
    """The permits of this endpoint that this process uses now: requests hold them, or they have not returned yet."""
    permit_limit: int = 0
    """The rate limit: the permits of all processes together."""


@attrs.frozen
class RequestRetried(ClientEvent):
    """A request or an upload failed, and will be repeated. A response with status 429 is a `RateLimited` instead."""

    endpoint: str
    """The operation of the API; `PUT` for an upload to the storage."""
    tries: int
    """The number of tries so far."""
    wait_seconds: float
    """The pause before the next try."""
    error: str
    """The class of the error."""
    status: int | None = None
    """The HTTP status; None without a response."""


@attrs.frozen
class RateLimited(ClientEvent):
    """The API responded with status 429. The request waits for a new permit, and is repeated."""

    endpoint: str
    """The operation of the API."""
    wait_seconds: float
    """How long all requests of this operation of the API are paused."""
    is_long_pause: bool
    """Whether this response made the pause longer than 10 s. It is True for only one of several such responses."""


@attrs.frozen
class UploadFinished(ClientEvent):
    """Audio was uploaded, or its upload failed."""

    size: int
    """Bytes of the audio."""
    seconds: float
    """The duration of the upload, without the wait for a slot of `max_uploads`."""
    error: str | None = None
    """The class of the error."""


@attrs.frozen
class JobAccepted(ClientEvent):
    """The API accepted a job."""

    job_id: str
    """The job."""
    endpoint: str
    """The operation of the API."""
    queue_seconds: float
    """As in `RequestFinished`."""
    request_seconds: float
    """As in `RequestFinished`."""


@attrs.frozen
class JobWaitStarted(ClientEvent):
    """The wait for a job began."""

    job_id: str
    """The job."""


@attrs.frozen
class JobFinished(ClientEvent):
    """A job that a caller waits for has finished."""

    job_id: str
    """The job."""
    status: str
    """`succeeded`, `failed` or `canceled`, or another final status of the API."""
    seconds: float
    """The duration of the wait, which begins after the job is accepted, or when `wait()` is called."""


@attrs.frozen
class JobAbandoned(ClientEvent):
    """A job was accepted, but its caller was cancelled or failed before it had the result."""

    job_id: str
    """The job."""


@attrs.frozen
class WebhookDelivered(ClientEvent):
    """A verified webhook was passed to `client.deliver()`. The event comes in the context of that call."""

    job_id: str
    """The job."""
    status: str
    """The status of the job."""


@attrs.frozen
class SharedStateLost(ClientEvent):
    """The shared state could not be reached for `SharedState.patience`.

    Until it can be reached again, this process sends its share of each rate limit (see `SharedState.patience`), and
    refuses submission keys.
    """

    reason: str
    """What happened, as a sentence."""


@attrs.frozen
class SharedStateRestored(ClientEvent):
    """The shared state can be reached again."""
