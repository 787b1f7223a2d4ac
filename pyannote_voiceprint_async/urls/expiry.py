"""Readers of the expiry time of presigned URLs: one for each format that signers use. Pure functions."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TypeAlias

__all__ = [
    "ExpiryReader",
    "baidu_authorization",
    "cloudfront_policy",
    "earliest",
    "epoch",
    "hex_epoch",
    "iso_time",
    "json_token",
    "pattern",
    "start_and_duration",
]

ExpiryReader: TypeAlias = Callable[[Mapping[str, str]], float | None]
"""Returns the expiry in UTC epoch seconds, or None, from the decoded parameters of a query (names in lower case)."""

_SECONDS = re.compile(r"\d{1,11}", re.ASCII)
_EPOCH = re.compile(r"\d{1,16}", re.ASCII)
_HEX = re.compile(r"[0-9a-f]{1,10}", re.IGNORECASE | re.ASCII)
# Today, epoch seconds have 10 digits, milliseconds 13 and microseconds 16.
_SMALLEST_MILLISECONDS, _SMALLEST_MICROSECONDS = 10**11, 10**14
_COMPACT_TIME_LENGTH = len("20260131235900")
_MAX_TOKEN_LENGTH = 20_000
# CloudFront replaces the three characters of base64 that are not safe in a URL.
_CLOUDFRONT_BASE64 = str.maketrans("-_~", "+=/")
_CLOUDFRONT_EXPIRY = re.compile(rb'"DateLessThan"\s*:\s*\{\s*"AWS:EpochTime"\s*:\s*(\d{1,11})\s*\}')
# bce-auth-v1/ACCESS_KEY/START/SECONDS/…
_BAIDU_AUTHORIZATION = re.compile(r"bce-auth-v\d/[^/]*/([^/]*)/(\d{1,11})/", re.ASCII)


def epoch(name: str) -> ExpiryReader:
    """Read epoch seconds, milliseconds or microseconds, told apart by their size."""
    return lambda query: _parse_epoch(query.get(name))


def hex_epoch(name: str) -> ExpiryReader:
    """Read epoch seconds in hexadecimal digits."""

    def read(query: Mapping[str, str]) -> float | None:
        text = query.get(name, "")
        return float(int(text, 16)) if _HEX.fullmatch(text) else None

    return read


def iso_time(name: str) -> ExpiryReader:
    """Read an ISO 8601 time, with or without separators."""
    return lambda query: _parse_iso_time(query.get(name))


def start_and_duration(start: str, duration: str) -> ExpiryReader:
    """Read a start (ISO 8601 or epoch) and a duration in seconds, and add them."""

    def read(query: Mapping[str, str]) -> float | None:
        text = query.get(start)
        started_at = _parse_epoch(text)
        return _add(_parse_iso_time(text) if started_at is None else started_at, query.get(duration))

    return read


def pattern(name: str, expression: str) -> ExpiryReader:
    """Read the first group of a regular expression in a value: epoch seconds, or YYYYMMDDHHMMSS in UTC."""
    compiled = re.compile(expression, re.IGNORECASE | re.ASCII)

    def read(query: Mapping[str, str]) -> float | None:
        match = compiled.search(query.get(name, ""))
        return _parse_epoch_or_compact_time(match[1]) if match else None

    return read


def cloudfront_policy(name: str) -> ExpiryReader:
    """Read the expiry in a custom policy of CloudFront, which is JSON in base64."""

    def read(query: Mapping[str, str]) -> float | None:
        try:
            policy = base64.b64decode(query.get(name, "").translate(_CLOUDFRONT_BASE64))
        except ValueError:
            return None
        match = _CLOUDFRONT_EXPIRY.search(policy)
        return float(match[1]) if match else None

    return read


def json_token(name: str) -> ExpiryReader:
    """Read `exp` in a JSON Web Token, or in another token whose parts are JSON objects in base64."""

    def read(query: Mapping[str, str]) -> float | None:
        expiries = map(_parse_exp_claim, query.get(name, "")[:_MAX_TOKEN_LENGTH].split("."))
        return next((expiry for expiry in expiries if expiry is not None), None)

    return read


def baidu_authorization(name: str) -> ExpiryReader:
    """Read the start and the duration in an authorization of Baidu's object storage."""

    def read(query: Mapping[str, str]) -> float | None:
        match = _BAIDU_AUTHORIZATION.match(query.get(name, ""))
        return _add(_parse_iso_time(match[1]), match[2]) if match else None

    return read


def earliest(*readers: ExpiryReader) -> ExpiryReader:
    """Return the earliest expiry that any of the readers finds."""

    def read(query: Mapping[str, str]) -> float | None:
        return min((expiry for reader in readers if (expiry := reader(query)) is not None), default=None)

    return read


def _parse_epoch(text: str | None) -> float | None:
    if text is None or not _EPOCH.fullmatch(text):
        return None
    number = int(text)
    if number >= _SMALLEST_MICROSECONDS:
        return number / 1e6
    return number / 1e3 if number >= _SMALLEST_MILLISECONDS else float(number)


def _add(start: float | None, duration: str | None) -> float | None:
    if start is None or duration is None or not _SECONDS.fullmatch(duration):
        return None
    return start + float(duration)


def _parse_iso_time(text: str | None) -> float | None:
    """Parse `20260131T235900Z` as well as `2026-01-31` and `2026-01-31T23:59:00Z`; without a zone it is UTC."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _parse_epoch_or_compact_time(text: str) -> float | None:
    return _parse_iso_time(f"{text[:8]}T{text[8:]}Z") if len(text) == _COMPACT_TIME_LENGTH else _parse_epoch(text)


def _parse_exp_claim(part: str) -> float | None:
    try:
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        return None
    exp = claims.get("exp") if isinstance(claims, dict) else None
    if isinstance(exp, bool) or not isinstance(exp, int | float | str):
        return None
    return _parse_epoch(str(int(exp)) if isinstance(exp, float) and abs(exp) < _SMALLEST_MICROSECONDS else str(exp))
