"""When a signature expires: one reader for each form in which signers write the time. Pure."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TypeAlias

__all__ = ["Expiry", "baidu", "earliest", "epoch", "hexadecimal", "lifetime", "moment", "policy", "token", "written"]

Expiry: TypeAlias = Callable[[Mapping[str, str]], float | None]
"""Reads the expiry, in UTC epoch seconds, from the decoded parameters of a query; None where it has none."""

_SECONDS = re.compile(r"\d{1,11}", re.ASCII)
_EPOCH = re.compile(r"\d{1,16}", re.ASCII)
_HEX = re.compile(r"[0-9a-f]{1,10}", re.IGNORECASE | re.ASCII)
# Seconds have 10 digits, milliseconds 13, microseconds 16.
_FIRST_MILLISECONDS, _FIRST_MICROSECONDS = 10**11, 10**14
_LONGEST_TOKEN = 20_000
# CloudFront's variant of base64, and the expiry in the JSON that it wraps.
_CLOUDFRONT_BASE64 = str.maketrans("-_~", "+=/")
_POLICY_EXPIRY = re.compile(rb'"DateLessThan"\s*:\s*\{\s*"AWS:EpochTime"\s*:\s*(\d{1,11})\s*\}')
_BAIDU = re.compile(r"bce-auth-v\d/[^/]*/([^/]*)/(\d{1,11})/", re.ASCII)


def epoch(name: str) -> Expiry:
    """Read epoch seconds, milliseconds or microseconds; their size tells them apart."""
    return lambda query: _epoch(query.get(name))


def hexadecimal(name: str) -> Expiry:
    """Read epoch seconds in hexadecimal digits."""

    def read(query: Mapping[str, str]) -> float | None:
        text = query.get(name, "")
        return float(int(text, 16)) if _HEX.fullmatch(text) else None

    return read


def moment(name: str) -> Expiry:
    """Read an ISO 8601 time, with or without separators."""
    return lambda query: _moment(query.get(name))


def lifetime(begin: str, duration: str) -> Expiry:
    """Read a begin (ISO 8601 or epoch) and a duration in seconds."""

    def read(query: Mapping[str, str]) -> float | None:
        started = query.get(begin)
        return _after(_moment(started) if _epoch(started) is None else _epoch(started), query.get(duration))

    return read


def written(name: str, pattern: str) -> Expiry:
    """Read what the first group of a pattern finds in a value: epoch seconds, or YYYYMMDDHHMMSS in UTC."""
    expression = re.compile(pattern, re.IGNORECASE | re.ASCII)

    def read(query: Mapping[str, str]) -> float | None:
        found = expression.search(query.get(name, ""))
        return _moment_or_epoch(found[1]) if found else None

    return read


def policy(name: str) -> Expiry:
    """Read the expiry in a CloudFront policy."""

    def read(query: Mapping[str, str]) -> float | None:
        try:
            said = base64.b64decode(query.get(name, "").translate(_CLOUDFRONT_BASE64))
        except ValueError:
            return None
        found = _POLICY_EXPIRY.search(said)
        return float(found[1]) if found else None

    return read


def token(name: str) -> Expiry:
    """Read `exp` in a JSON Web Token, or in another token whose parts are JSON objects in base64."""

    def read(query: Mapping[str, str]) -> float | None:
        ends = (_claimed(part) for part in query.get(name, "")[:_LONGEST_TOKEN].split("."))
        return next((end for end in ends if end is not None), None)

    return read


def baidu(name: str) -> Expiry:
    """Read the begin and the duration in an authorization of Baidu's object storage."""

    def read(query: Mapping[str, str]) -> float | None:
        found = _BAIDU.match(query.get(name, ""))
        return _after(_moment(found[1]), found[2]) if found else None

    return read


def earliest(*readers: Expiry) -> Expiry:
    """Read the earliest of several."""

    def read(query: Mapping[str, str]) -> float | None:
        return min((end for reader in readers if (end := reader(query)) is not None), default=None)

    return read


def _epoch(text: str | None) -> float | None:
    if text is None or not _EPOCH.fullmatch(text):
        return None
    number = int(text)
    if number >= _FIRST_MICROSECONDS:
        return number / 1e6
    return number / 1e3 if number >= _FIRST_MILLISECONDS else float(number)


def _after(begin: float | None, duration: str | None) -> float | None:
    if begin is None or duration is None or not _SECONDS.fullmatch(duration):
        return None
    return begin + float(duration)


def _moment(text: str | None) -> float | None:
    """Read `20260131T235900Z` as well as `2026-01-31` and `2026-01-31T23:59:00Z`."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _moment_or_epoch(text: str) -> float | None:
    return _moment(f"{text[:8]}T{text[8:]}Z") if len(text) == len("20260131235900") else _epoch(text)


def _claimed(part: str) -> float | None:
    try:
        said = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        return None
    end = said.get("exp") if isinstance(said, dict) else None
    if isinstance(end, bool) or not isinstance(end, int | float | str):
        return None
    return _epoch(str(int(end)) if isinstance(end, float) and abs(end) < _FIRST_MICROSECONDS else str(end))
