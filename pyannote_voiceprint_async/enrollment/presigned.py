"""Presigned URLs: which object they stand for, and when they die.

Whoever presigns anew gets another URL of the same object. What only signs is left out of its identity; whatever may
tell objects apart stays in it, so that no two recordings are ever taken for one.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import unquote

__all__ = ["url_expires_at", "url_identity"]

# Nearly every URL that is not presigned: it is its own identity, at a tenth of the price of taking it apart.
_SETTLED = re.compile(r"https?://[a-z0-9.-]+(?:/[^?#]*)?")
_WEB = re.compile(r"(https?)://([^/?#]*)([^?#]*)(?:\?([^#]*))?", re.IGNORECASE)
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}

# Signature version 4 of Amazon and of those who took it over.
_PREFIXES = ("x-amz-", "x-goog-")
_S3 = frozenset({"awsaccesskeyid", "expires", "signature"})
_GOOGLE = frozenset({"googleaccessid", "expires", "signature"})
_CLOUDFRONT = frozenset({"expires", "hash-algorithm", "key-pair-id", "policy", "signature"})
_AZURE = frozenset({
    "saoid", "scid", "sdd", "se", "ses", "si", "sig", "sip", "skdutid", "ske", "skoid", "sks", "skt", "sktid", "skv",
    "sp", "spr", "sr", "srt", "ss", "st", "suoid", "sv",
})  # fmt: skip
# Which parameters sign, and beside which others: an ordinary `?sp=1` or `?Expires=never` is none of a signature.
_SIGNED = (
    (_S3, _S3),
    (_GOOGLE, _GOOGLE),
    (frozenset({"key-pair-id", "signature"}), _CLOUDFRONT),
    (frozenset({"sig", "sv"}), _AZURE),
    (frozenset({"sig", "se"}), _AZURE),
    (frozenset({"sig", "si"}), _AZURE),
)

_SECONDS = re.compile(r"\d{1,11}", re.ASCII)
# CloudFront's own base64, and the end in the JSON that it wraps.
_CLOUDFRONT_BASE64 = str.maketrans("-_~", "+=/")
_POLICY_END = re.compile(rb'"DateLessThan"\s*:\s*\{\s*"AWS:EpochTime"\s*:\s*(\d{1,11})\s*\}')


def url_identity(url: str) -> str:
    """Give the URL without what only signs it: two presigned URLs of one object have one identity.

    Scheme and host are in lower case; password, default port and fragment are left out. The user stays, who may own
    what the URL stands for. All other parameters stay as they are, in their order. A URL that is neither http nor
    https is its own identity.
    """
    if _SETTLED.fullmatch(url):
        return url
    found = _WEB.match(url)
    if found is None:
        return url
    scheme, authority, path, query = found.groups("")
    scheme = scheme.lower()
    credentials, _, place = authority.rpartition("@")
    user = credentials.partition(":")[0]
    host = (f"{user}@" if user else "") + place.lower().removesuffix(_DEFAULT_PORTS[scheme])
    kept = "&".join(_unsigned(query.split("&")))
    return f"{scheme}://{host}{path}?{kept}" if kept else f"{scheme}://{host}{path}"


def url_expires_at(url: str) -> float | None:
    """Give the UTC epoch seconds at which a presigned URL dies; None if it is not presigned, or does not say."""
    query = url.partition("#")[0].partition("?")[2]
    if not query:
        return None
    said: dict[str, str] = {}
    for parameter in query.split("&"):
        name, _, value = parameter.partition("=")
        said.setdefault(name.lower(), value)
    return next((end for end in _ends(said) if end is not None), None)


def _unsigned(parameters: Sequence[str]) -> list[str]:
    names = [parameter.partition("=")[0].lower() for parameter in parameters]
    there = frozenset(names)
    signing = frozenset[str]().union(*(signed for needed, signed in _SIGNED if needed <= there))
    return [
        parameter
        for parameter, name in zip(parameters, names, strict=True)
        if name not in signing and not name.startswith(_PREFIXES)
    ]


def _ends(said: Mapping[str, str]) -> Iterator[float | None]:
    for prefix in _PREFIXES:
        yield _lasting(_moment(said.get(f"{prefix}date")), _seconds(said.get(f"{prefix}expires")))
    if "sig" in said:
        yield _moment(said.get("se"))
    if "signature" in said:
        yield _seconds(said.get("expires"))
        yield _policy_end(said.get("policy"))


def _lasting(begin: float | None, seconds: float | None) -> float | None:
    return None if begin is None or seconds is None else begin + seconds


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and _SECONDS.fullmatch(text) else None


def _moment(text: str | None) -> float | None:
    """Read `20260131T235900Z` as well as `2026-01-31` and `2026-01-31T23:59:00Z`."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(unquote(text))
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _policy_end(policy: str | None) -> float | None:
    if policy is None:
        return None
    try:
        said = base64.b64decode(unquote(policy).translate(_CLOUDFRONT_BASE64))
    except ValueError:
        return None
    found = _POLICY_END.search(said)
    return float(found[1]) if found else None
