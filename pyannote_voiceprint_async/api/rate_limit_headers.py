"""Parse the response headers about the rate limit and the server's clock.

`Retry-After` is a number of seconds, with or without a fraction, or an HTTP date. `X-RateLimit-Reset` is documented
both as UTC epoch seconds and as seconds until the reset. Servers also send milliseconds and microseconds: the size of
the number tells the unit. Times are compared with the `Date` of the same response, because local clocks are wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache

__all__ = ["has_retry_after", "limit", "remaining", "retry_after", "server_date"]

# Only the first number of a list: proxies join repeated headers with commas.
_NUMBER = re.compile(r"\s*(\d{1,19}(?:\.\d{1,18})?)\s*(?:[,;]|$)", re.ASCII)
# `100`, and the list form of the IETF drafts: `100, 100;w=60`.
_COUNT = re.compile(r"\s*(\d{1,9})\s*(?:[,;]|$)", re.ASCII)
# Epoch seconds from 2001 to 2286. No wait in seconds is as long.
_EPOCH = (1e9, 1e10)
_EPOCH_UNITS = (1.0, 1e3, 1e6, 1e9)
# A larger number is not in seconds but in milliseconds, and a still larger one in microseconds. RFC 9110 defines
# `Retry-After` in seconds, so up to a day is plausible; a rate-limit window lasts a minute.
_MAX_RETRY_AFTER = 86_400.0
_MAX_RESET = 3_600.0
_MAX_MILLISECONDS = 3_600_000.0


def limit(headers: Mapping[str, str]) -> int | None:
    """Return the requests that a rate-limit window allows (`X-RateLimit-Limit`), or None."""
    return _parse_count(headers.get("X-RateLimit-Limit")) or None


def remaining(headers: Mapping[str, str]) -> int | None:
    """Return the requests left in the current window (`X-RateLimit-Remaining`), or None."""
    return _parse_count(headers.get("X-RateLimit-Remaining"))


def server_date(headers: Mapping[str, str]) -> float | None:
    """Return the server's clock (`Date`, in whole seconds) as UTC epoch seconds, or None."""
    return _parse_date(headers.get("Date", ""))


def retry_after(headers: Mapping[str, str], wall: float) -> float | None:
    """Return the seconds to wait that the server requests; None for nothing, garbage, zero and the past.

    Args:
        headers: the headers of the response.
        wall: the clock of this machine in UTC epoch seconds, used if the response has no `Date`.
    """
    server_now = server_date(headers) or wall
    wait = _parse_wait(headers.get("Retry-After", ""), server_now, _MAX_RETRY_AFTER)
    if wait is None:
        wait = _parse_wait(headers.get("X-RateLimit-Reset", ""), server_now, _MAX_RESET)
    return wait if wait is not None and wait > 0 else None


def has_retry_after(headers: Mapping[str, str]) -> bool:
    """Return whether there is a valid `Retry-After`, even one of zero seconds."""
    return _parse_wait(headers.get("Retry-After", ""), 0.0, _MAX_RETRY_AFTER) is not None


@lru_cache(maxsize=1024)
def _parse_count(text: str | None) -> int | None:
    found = _COUNT.match(text or "")
    return int(found.group(1)) if found else None


def _parse_wait(text: str, server_now: float, max_seconds: float) -> float | None:
    """Return the seconds until the time in a header. A number above `max_seconds` is not in seconds."""
    if found := _NUMBER.match(text):
        return _seconds_until(float(found.group(1)), server_now, max_seconds)
    # A date contains a comma itself; of joined dates only the first counts.
    time = _parse_date(",".join(text.split(",")[:2]))
    return None if time is None else time - server_now


def _seconds_until(number: float, server_now: float, max_seconds: float) -> float | None:
    if number <= max_seconds:
        return number
    if number < _EPOCH[0]:
        return number / (1e3 if number <= _MAX_MILLISECONDS else 1e6)
    for unit in _EPOCH_UNITS:
        if _EPOCH[0] <= number / unit < _EPOCH[1]:
            return number / unit - server_now
    return None


def _parse_date(text: str) -> float | None:
    try:
        date = parsedate_to_datetime(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
