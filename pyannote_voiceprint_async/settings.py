"""The settings of the client, as small frozen values that hold every default."""

from typing import Any

import attrs

from .errors import ConfigurationError
from .reprs import safe_repr

__all__ = ["Polling", "RateLimit", "RateLimits", "RetryPolicy", "Timeouts"]


def _above_zero(_: object, attribute: "attrs.Attribute[Any]", value: float) -> None:
    # `not value > 0` also rejects NaN, which `value <= 0` does not.
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise ConfigurationError(f"{attribute.name} must be a number above zero, not {value!r}.")


def _integer(_: object, attribute: "attrs.Attribute[Any]", value: float) -> None:
    if not isinstance(value, int):
        raise ConfigurationError(f"{attribute.name} must be a whole number, not {value!r}.")


def _rate_limit_or_none(_: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
    if value is not None and not isinstance(value, RateLimit):
        raise ConfigurationError(
            f"{attribute.name} must be a RateLimit, such as RateLimit(100, per=60.0), not {value!r}."
        )


def _optional_rate_limit() -> Any:
    return attrs.field(default=None, validator=_rate_limit_or_none)


def _seconds(default: float) -> float:
    return attrs.field(default=default, validator=_above_zero)


@safe_repr
@attrs.frozen
class RateLimit:
    """The limit of one operation: at most `limit` requests in any window of `per` seconds."""

    limit: int = attrs.field(validator=[_above_zero, _integer])
    """The number of requests, at least 1."""
    per: float = _seconds(60.0)
    """The length of the window, in seconds."""


@safe_repr
@attrs.frozen
class RateLimits:
    """The rate limits of a key, one for each operation.

    None means the documented default, until a response has the header `X-RateLimit-Limit`, which then replaces it. A
    value that you set is a ceiling: headers can only lower it.
    """

    submissions: RateLimit | None = _optional_rate_limit()
    """`POST /v1/voiceprint`; 100 in 60 seconds."""
    identify: RateLimit | None = _optional_rate_limit()
    """`POST /v1/identify`; 100 in 60 seconds."""
    media: RateLimit | None = _optional_rate_limit()
    """`POST /v1/media/input`; 100 in 60 seconds."""
    job_reads: RateLimit | None = _optional_rate_limit()
    """`GET /v1/jobs/{jobId}`; 300 in 60 seconds."""
    job_lists: RateLimit | None = _optional_rate_limit()
    """`GET /v2/jobs`; 300 in 60 seconds."""
    key_test: RateLimit | None = _optional_rate_limit()
    """`GET /v1/test`; 100 in 60 seconds."""


@safe_repr
@attrs.frozen
class RetryPolicy:
    """How the client repeats requests that can be repeated without harm."""

    max_tries: int = attrs.field(default=5, validator=[_above_zero, _integer])
    """Attempts of one request, at most. A 429 does not count."""
    max_elapsed: float = _seconds(300.0)
    """Seconds from the first byte of the first attempt in which a request can be repeated.

    Also the seconds from the first 429 in a row until the call fails with `RateLimitError`.
    """
    base: float = _seconds(0.5)
    """The longest first wait before a retry, in seconds. It doubles with each retry."""
    cap: float = _seconds(30.0)
    """The longest wait before any retry, in seconds. A wait that the API requested is not shortened."""
    max_retry_after: float = _seconds(120.0)
    """The longest wait that the API can request, in seconds.

    Above it, every request in the wait queue of that rate limit fails at once. After ten minutes at the latest, one
    request probes the API again.
    """
    replay_unknown: bool = False
    """Whether to repeat a submission that may have been accepted, and so may be billed twice."""


@safe_repr
@attrs.frozen
class Timeouts:
    """The timeouts of one request, in seconds.

    The wait for the rate limit does not count, nor does time in which the process is suspended.
    """

    connect: float = _seconds(10.0)
    """Seconds for name resolution, TCP and TLS together."""
    read: float = _seconds(30.0)
    """Seconds without a new byte of the response."""
    total: float = _seconds(60.0)
    """Seconds for the request and its response, once connected."""
    upload_stall: float = _seconds(60.0)
    """Seconds without progress of an upload. An upload has no total timeout while bytes move."""


@safe_repr
@attrs.frozen
class Polling:
    """How often the client polls a job, in seconds."""

    first: float = _seconds(1.0)
    """Seconds before the first poll, and after a poll in which a job finished."""
    longest: float = _seconds(10.0)
    """The longest interval between polls, in seconds. The vendor recommends about ten."""
    webhook_grace: float = _seconds(60.0)
    """Seconds to wait for the webhook of a job before the first poll."""
