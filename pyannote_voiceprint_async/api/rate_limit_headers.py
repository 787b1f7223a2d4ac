"""What an answer's headers say about the rate limit and the server's clock, in every form that the sources know.

`Retry-After` is seconds, a fraction or an HTTP date; `X-RateLimit-Reset` is documented both as UTC epoch
seconds and as seconds until the reset. Both also appear in milliseconds and microseconds: the size of the number
decides. Dates are measured against the answer's own `Date`, because local clocks are wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache

__all__ = ["has_retry_after", "limit", "remaining", "retry_after", "server_date"]

# The first number of a list: proxies join repeated headers with commas.
_NUMBER = re.compile(r"\s*(\d{1,19}(?:\.\d{1,18})?)\s*(?:[,;]|$)", re.ASCII)
# `100`, and the list form of the IETF drafts: `100, 100;w=60`.
_COUNT = re.compile(r"\s*(\d{1,9})\s*(?:[,;]|$)", re.ASCII)
# A time since 1970 has this many seconds from 2001 to 2286; no wait has.
_EPOCH = (1e9, 1e10)
_EPOCH_UNITS = (1.0, 1e3, 1e6, 1e9)
# Above these a number of seconds until then is one of milliseconds, or of microseconds. RFC 9110 gives `Retry-After`
# in seconds, so a day is believed; a rate limit's window is a minute.
_LONGEST_RETRY_AFTER = 86_400.0
_LONGEST_RESET = 3_600.0
_LONGEST_IN_MILLISECONDS = 3_600_000.0


def limit(headers: Mapping[str, str]) -> int | None:
    """Give the requests that a window allows (`X-RateLimit-Limit`), if that is said and above zero."""
    return _count(headers.get("X-RateLimit-Limit")) or None


def remaining(headers: Mapping[str, str]) -> int | None:
    """Give the requests that are left in this window (`X-RateLimit-Remaining`), if that is said."""
    return _count(headers.get("X-RateLimit-Remaining"))


def server_date(headers: Mapping[str, str]) -> float | None:
    """Give the server's clock (`Date`) as UTC epoch seconds, if it is said; it has whole seconds only."""
    return _epoch(headers.get("Date", ""))


def retry_after(headers: Mapping[str, str], wall: float) -> float | None:
    """Give the seconds that the server asks to wait; None for no word, garbage, zero and the past.

    Args:
        headers: the answer's headers.
        wall: UTC epoch seconds of this machine, used where the answer has no `Date`.
    """
    server_now = server_date(headers) or wall
    word = _wait(headers.get("Retry-After", ""), server_now, _LONGEST_RETRY_AFTER)
    if word is None:
        word = _wait(headers.get("X-RateLimit-Reset", ""), server_now, _LONGEST_RESET)
    return word if word is not None and word > 0 else None


def has_retry_after(headers: Mapping[str, str]) -> bool:
    """Whether there is a `Retry-After` that can be read, even one that says now."""
    return _wait(headers.get("Retry-After", ""), 0.0, _LONGEST_RETRY_AFTER) is not None


@lru_cache(maxsize=1024)
def _count(text: str | None) -> int | None:
    found = _COUNT.match(text or "")
    return int(found.group(1)) if found else None


def _wait(text: str, server_now: float, longest: float) -> float | None:
    """Return the seconds until the time that a header names; `longest` is the longest delta in seconds."""
    if found := _NUMBER.match(text):
        return _seconds(float(found.group(1)), server_now, longest)
    # A date has a comma of its own; of joined dates the first counts.
    at = _epoch(",".join(text.split(",")[:2]))
    return None if at is None else at - server_now


def _seconds(number: float, server_now: float, longest: float) -> float | None:
    if number <= longest:
        return number
    if number < _EPOCH[0]:
        return number / (1e3 if number <= _LONGEST_IN_MILLISECONDS else 1e6)
    for unit in _EPOCH_UNITS:
        if _EPOCH[0] <= number / unit < _EPOCH[1]:
            return number / unit - server_now
    return None


def _epoch(text: str) -> float | None:
    try:
        read = parsedate_to_datetime(text)
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
