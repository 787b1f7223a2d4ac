"""What an answer's headers say about the rate limit and the server's clock, in every form that the sources know.

`Retry-After` is seconds, a fraction or an HTTP date; `X-RateLimit-Reset` is documented both as UTC epoch
seconds and as seconds until the reset. Dates are measured against the answer's own `Date`, because local
clocks are wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache

__all__ = ["date", "limit", "remaining", "retry_after", "says_when_to_return"]

_SECONDS = re.compile(r"\s*(\d{1,18}(?:\.\d{1,18})?)\s*", re.ASCII)
# `100`, and the list form of the IETF drafts: `100, 100;w=60`.
_COUNT = re.compile(r"\s*(\d{1,9})\s*(?:[,;]|$)", re.ASCII)
# Nobody waits thirty years: a number of this size is a date.
_EPOCH_SECONDS = 1e9
_EPOCH_MILLISECONDS = 1e12


def limit(headers: Mapping[str, str]) -> int | None:
    """Give the requests that a window allows (`X-RateLimit-Limit`), if that is said and above zero."""
    return _count(headers.get("X-RateLimit-Limit")) or None


def remaining(headers: Mapping[str, str]) -> int | None:
    """Give the requests that are left in this window (`X-RateLimit-Remaining`), if that is said."""
    return _count(headers.get("X-RateLimit-Remaining"))


def date(headers: Mapping[str, str]) -> float | None:
    """Give the server's clock (`Date`) as UTC epoch seconds, if it is said; it has whole seconds only."""
    return _epoch(headers.get("Date", ""))


def retry_after(headers: Mapping[str, str], wall: float) -> float | None:
    """Give the seconds that the server asks to wait; None for no word, garbage, zero and the past.

    Args:
        headers: the answer's headers.
        wall: UTC epoch seconds of this machine, used where the answer has no `Date`.
    """
    server_now = date(headers) or wall
    word = _wait(headers.get("Retry-After", ""), server_now)
    if word is None:
        word = _wait(headers.get("X-RateLimit-Reset", ""), server_now)
    return word if word is not None and word > 0 else None


def says_when_to_return(headers: Mapping[str, str]) -> bool:
    """Whether there is a `Retry-After` that can be read, even one that says now."""
    return _wait(headers.get("Retry-After", ""), 0.0) is not None


@lru_cache(maxsize=1024)
def _count(text: str | None) -> int | None:
    found = _COUNT.match(text or "")
    return int(found.group(1)) if found else None


def _wait(text: str, server_now: float) -> float | None:
    found = _SECONDS.fullmatch(text)
    if not found:
        at = _epoch(text)
        return None if at is None else at - server_now
    number = float(found.group(1))
    if number >= _EPOCH_MILLISECONDS:
        number /= 1000
    return number - server_now if number >= _EPOCH_SECONDS else number


def _epoch(text: str) -> float | None:
    try:
        read = parsedate_to_datetime(text)
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
