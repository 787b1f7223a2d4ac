"""The client's settings: small frozen values, each default named once."""

from typing import Any

import attrs

from .errors import ConfigurationError
from .reprs import safe_repr

__all__ = ["Polling", "RateLimit", "RateLimits", "RetryPolicy", "Timeouts"]


def _above_zero(_: object, attribute: "attrs.Attribute[Any]", value: float) -> None:
    # `not value > 0` rather than `value <= 0`: NaN must not pass.
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise ConfigurationError(f"{attribute.name} must be a number above zero, not {value!r}.")


def _whole(_: object, attribute: "attrs.Attribute[Any]", value: float) -> None:
    if not isinstance(value, int):
        raise ConfigurationError(f"{attribute.name} must be a whole number, not {value!r}.")


def _a_rate_limit(_: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
    if value is not None and not isinstance(value, RateLimit):
        raise ConfigurationError(f"{attribute.name} must be a RateLimit, as RateLimit(100, per=60.0), not {value!r}.")


def _budget() -> Any:
    return attrs.field(default=None, validator=_a_rate_limit)


def _seconds(default: float) -> float:
    return attrs.field(default=default, validator=_above_zero)


@safe_repr
@attrs.frozen
class RateLimit:
    """So many places for requests in any window of so many seconds."""

    limit: int = attrs.field(validator=[_above_zero, _whole])
    """Requests, at least 1."""
    per: float = _seconds(60.0)
    """The window's length, in seconds."""


@safe_repr
@attrs.frozen
class RateLimits:
    """The budgets of a key, one for each operation.

    None is the documented default, which the `X-RateLimit-Limit` header then replaces. A value that you
    set is a ceiling: headers can only lower it.
    """

    submissions: RateLimit | None = _budget()
    """`POST /v1/voiceprint`; 100 in 60 seconds."""
    identify: RateLimit | None = _budget()
    """`POST /v1/identify`; 100 in 60 seconds."""
    media: RateLimit | None = _budget()
    """`POST /v1/media/input`; 100 in 60 seconds."""
    job_reads: RateLimit | None = _budget()
    """`GET /v1/jobs/{jobId}`; 300 in 60 seconds."""
    job_lists: RateLimit | None = _budget()
    """`GET /v2/jobs`; 300 in 60 seconds."""
    key_test: RateLimit | None = _budget()
    """`GET /v1/test`; 100 in 60 seconds."""


@safe_repr
@attrs.frozen
class RetryPolicy:
    """How a request is repeated that may be repeated without harm."""

    max_tries: int = attrs.field(default=5, validator=[_above_zero, _whole])
    """Times that a request is sent at most; a 429 is no try."""
    max_elapsed: float = _seconds(300.0)
    """Seconds after its first byte in which a request may still be repeated.

    From the first 429 in a row on, also the seconds for which the server may refuse a call: then it ends with
    `RateLimitError`.
    """
    base: float = _seconds(0.5)
    """Seconds that the first pause is at most; it doubles each time."""
    cap: float = _seconds(30.0)
    """Seconds that any pause of ours is at most. The server's own word is not cut."""
    max_retry_after: float = _seconds(120.0)
    """Seconds that the server may ask for; above it the error is raised at once to everybody in that line.

    However long the server asks for, one request tries again after ten minutes at the latest.
    """
    replay_unknown: bool = False
    """Repeat a submission that may have been accepted. It may then be paid twice."""


@safe_repr
@attrs.frozen
class Timeouts:
    """How long one request may take.

    Waiting for a place in the rate limit does not count, nor does time in which the process was suspended.
    """

    connect: float = _seconds(10.0)
    """Seconds for name, TCP and TLS together."""
    read: float = _seconds(30.0)
    """Seconds between two pieces of an answer."""
    total: float = _seconds(60.0)
    """Seconds for one request and its answer, once it is connected."""
    upload_stall: float = _seconds(60.0)
    """Seconds in which at least one byte of an upload must move; an upload has no total."""


@safe_repr
@attrs.frozen
class Polling:
    """How often waiting looks."""

    first: float = _seconds(1.0)
    """Seconds before the first look, and the pause after something finished."""
    longest: float = _seconds(10.0)
    """Seconds that the pause grows to; the vendor asks for about ten."""
    webhook_grace: float = _seconds(60.0)
    """Seconds that a job is left to its webhook before it is looked at."""
