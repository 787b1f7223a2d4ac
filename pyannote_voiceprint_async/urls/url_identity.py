"""The identity and the expiry of presigned URLs.

Each new signature changes the URL of an object. The identity of a URL leaves out the parameters that only sign it
(`signers.py` lists them) and keeps all others, because they may select another recording.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

from .signer import Signer
from .signers import SIGNERS
from .url_parts import UrlParts

__all__ = ["identity_and_expiry", "url_expires_at", "url_identity"]

# A URL without query and escapes is its own identity. Recognizing that costs a tenth of splitting the URL. Paths that
# begin with /p/ are excluded: they may hold a signature.
_PLAIN_URL = re.compile(r"https?://[a-z0-9.-]+(?:/(?!p/)[\w.~!$'()*+,;:@/-]*)?", re.ASCII)


def _index_by_first_parameter() -> Mapping[str | None, list[Signer]]:
    index: defaultdict[str | None, list[Signer]] = defaultdict(list)
    for signer in SIGNERS:
        index[next(iter(signer.required), None)].append(signer)
    return dict(index)


# Of about sixty signers, only those whose first required parameter is in the query can match. Signers without a
# required parameter are under None.
_SIGNERS_BY_PARAMETER = _index_by_first_parameter()


def identity_and_expiry(url: str) -> tuple[str, float | None]:
    """Return the identity of a URL and the UTC epoch seconds at which its signature expires (None: not known).

    The identity is the URL without its signature: two presigned URLs of one object have the same identity.
    Percent-encoding is normalized (RFC 3986), scheme and host are in lower case, and international host names are in
    ASCII. Password, default port and fragment are left out. The user name is kept, because it may select the object.
    All other parameters are kept in their order. A URL that is neither http nor https is its own identity.
    """
    if _PLAIN_URL.fullmatch(url):
        return url, None
    written = UrlParts.split(url)
    if written is None:
        return url, None
    parts = written.normalized()
    named = [(_parameter_name(parameter), parameter) for parameter in parts.query.split("&")]
    # If a name occurs more than once, its first value counts.
    values = {name: unquote(parameter.partition("=")[2]) for name, parameter in reversed(named)}
    path, signers = parts.path, list(_matching_signers(parts, values))
    for signer in signers:
        if signer.path_signature is not None and (match := signer.path_signature.search(path)):
            path = path[: match.start()] + path[match.end() :]
            values |= {name: value for name, value in match.groupdict().items() if value is not None}
    ignored = frozenset[str]().union(*(signer.ignored for signer in signers))
    identity = parts.join(path, [parameter for name, parameter in named if name not in ignored])
    expiries = (signer.expiry(values) for signer in signers if signer.expiry is not None)
    return identity, min((expiry for expiry in expiries if expiry is not None), default=None)


def url_identity(url: str) -> str:
    """Return the URL without its signature, see `identity_and_expiry`."""
    return identity_and_expiry(url)[0]


def url_expires_at(url: str) -> float | None:
    """Return the UTC epoch seconds at which a presigned URL expires; None if it is not presigned or has no expiry."""
    return identity_and_expiry(url)[1]


def _parameter_name(parameter: str) -> str:
    name = parameter.partition("=")[0]
    return (unquote(name) if "%" in name else name).lower()


def _matching_signers(parts: UrlParts, values: Mapping[str, str]) -> Iterator[Signer]:
    host = parts.host.partition(":")[0]
    for name in (None, *values):
        for signer in _SIGNERS_BY_PARAMETER.get(name, ()):
            if signer.matches(host, parts.path, values):
                yield signer
