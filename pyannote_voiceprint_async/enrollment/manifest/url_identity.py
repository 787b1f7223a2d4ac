"""Presigned URLs: which object a URL stands for, and when its signature expires.

A URL that is signed anew differs from the former URL of the same object. What only signs is left out of the identity
(`signers.py` has the table); whatever may tell objects apart stays in it, so that two recordings never become one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from itertools import chain
from urllib.parse import quote, unquote

import attrs

from .signers import SIGNERS, Signer

__all__ = ["identity_and_expiry", "legacy_identity", "url_expires_at", "url_identity"]

# Nearly every URL that is not presigned is its own identity: recognizing it costs a tenth of taking it apart.
# A path that begins with /p/ may hold a signature.
_PLAIN = re.compile(r"https?://[a-z0-9.-]+(?:/(?!p/)[\w.~!$'()*+,;:@/-]*)?", re.ASCII)
_WEB = re.compile(r"(https?)://([^/?#]*)([^?#]*)(?:\?([^#]*))?", re.IGNORECASE)
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}

_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
# Characters that no URL may hold as they are (RFC 3986), but `%`, `[` and `]`.
_UNESCAPED = re.compile(r"[^\w.~:/?#\[\]@!$&'()*+,;=%-]|[^\x00-\x7f]", re.ASCII)
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")

# By the first parameter that each needs: of sixty signers, few are candidates for a URL.
_BY_NAME = {
    name: [signer for signer in SIGNERS if next(iter(signer.needs), None) == name]
    for name in {next(iter(signer.needs)) for signer in SIGNERS if signer.needs}
}
_WITHOUT_NAME = [signer for signer in SIGNERS if not signer.needs]

# The rules of version 0.1, for what earlier ledgers keep a hash of.
_FORMER_PREFIXES = ("x-amz-", "x-goog-")
_FORMER_S3 = frozenset({"awsaccesskeyid", "expires", "signature"})
_FORMER_GOOGLE = frozenset({"googleaccessid", "expires", "signature"})
_FORMER_CLOUDFRONT = frozenset({"expires", "hash-algorithm", "key-pair-id", "policy", "signature"})
_FORMER_AZURE = frozenset({
    "saoid", "scid", "sdd", "se", "ses", "si", "sig", "sip", "skdutid", "ske", "skoid", "sks", "skt", "sktid", "skv",
    "sp", "spr", "sr", "srt", "ss", "st", "suoid", "sv",
})  # fmt: skip
_FORMER = (
    (_FORMER_S3, _FORMER_S3),
    (_FORMER_GOOGLE, _FORMER_GOOGLE),
    (frozenset({"key-pair-id", "signature"}), _FORMER_CLOUDFRONT),
    (frozenset({"sig", "sv"}), _FORMER_AZURE),
    (frozenset({"sig", "se"}), _FORMER_AZURE),
    (frozenset({"sig", "si"}), _FORMER_AZURE),
)


@attrs.frozen
class _Parts:
    """A URL, taken apart and normalized."""

    scheme: str
    user: str
    host: str
    """With its port, unless that is the default one."""
    path: str
    query: str

    def url(self, path: str, parameters: Sequence[str]) -> str:
        """Put a URL together again."""
        user, query = (f"{self.user}@" if self.user else ""), "&".join(parameters)
        return f"{self.scheme}://{user}{self.host}{path}" + (f"?{query}" if query else "")


def identity_and_expiry(url: str) -> tuple[str, float | None]:
    """Return the identity of a URL, and the UTC epoch seconds at which its signature expires (None: not known).

    The identity is the URL without what only signs it: two presigned URLs of one object have one identity.
    Percent-encoding is normalized (RFC 3986), scheme and host are in lower case, international host names in ASCII;
    password, default port and fragment are left out. The user stays, who may own what the URL stands for. All other
    parameters stay as they are, in their order. A URL that is neither http nor https is its own identity.
    """
    if _PLAIN.fullmatch(url):
        return url, None
    parts = _parts(url)
    if parts is None:
        return url, None
    named = [(_name(parameter), parameter) for parameter in parts.query.split("&")]
    # Of equal names the first counts.
    values = {name: unquote(parameter.partition("=")[2]) for name, parameter in reversed(named)}
    path, signers = parts.path, _signers(parts, values)
    for signer in signers:
        if signer.in_path is not None and (found := signer.in_path.search(path)):
            path = path[: found.start()] + path[found.end() :]
            values |= {name: value for name, value in found.groupdict().items() if value is not None}
    signing = frozenset[str]().union(*(signer.signs for signer in signers))
    identity = parts.url(path, [parameter for name, parameter in named if name not in signing])
    ends = (signer.expiry(values) for signer in signers if signer.expiry is not None)
    return identity, min((end for end in ends if end is not None), default=None)


def url_identity(url: str) -> str:
    """Return the URL without what only signs it, see `identify`."""
    return identity_and_expiry(url)[0]


def url_expires_at(url: str) -> float | None:
    """Return the UTC epoch seconds at which a presigned URL expires; None if it is not presigned or has no expiry."""
    return identity_and_expiry(url)[1]


def legacy_identity(url: str) -> str:
    """Return the identity by the rules of version 0.1: ledgers hold hashes of such identities of erased recordings."""
    found = _WEB.match(url)
    if found is None:
        return url
    scheme, authority, path, query = found.groups("")
    scheme = scheme.lower()
    credentials, _, place = authority.rpartition("@")
    host = place.lower().removesuffix(_DEFAULT_PORTS[scheme])
    names = [parameter.partition("=")[0].lower() for parameter in query.split("&")]
    signing = frozenset[str]().union(*(signed for needed, signed in _FORMER if needed <= frozenset(names)))
    kept = [
        parameter
        for parameter, name in zip(query.split("&"), names, strict=True)
        if name not in signing and not name.startswith(_FORMER_PREFIXES)
    ]
    return _Parts(scheme, credentials.partition(":")[0], host, path, query).url(path, kept)


def _parts(url: str) -> _Parts | None:
    found = _WEB.match(url)
    if found is None:
        return None
    scheme, authority, path, query = found.groups("")
    scheme = scheme.lower()
    credentials, _, place = authority.rpartition("@")
    user = credentials.partition(":")[0]
    return _Parts(scheme, _normal(user), _host(place, _DEFAULT_PORTS[scheme]), _normal(path), _normal(query))


def _host(place: str, default_port: str) -> str:
    host = place.lower().removesuffix(default_port)
    if host.isascii():
        return host
    name, colon, port = unicodedata.normalize("NFC", host).partition(":")
    try:
        encoded = name.encode("idna").decode("ascii")
        # Python's codec is of 2003, and maps letters (ß to ss) that have been different hosts since 2008.
        is_exact = encoded.encode("ascii").decode("idna") == name
    except UnicodeError:
        return host
    return f"{encoded}{colon}{port}" if is_exact else host


def _normal(text: str) -> str:
    """Normalize percent-encoding: unreserved characters are decoded, the rest is encoded in upper case."""
    if "%" in text:
        text = _ESCAPE.sub(_unescaped, text)
    return _UNESCAPED.sub(_escaped, text)


def _unescaped(found: re.Match[str]) -> str:
    character = chr(int(found[1], 16))
    return character if character in _UNRESERVED else found[0].upper()


def _escaped(found: re.Match[str]) -> str:
    return quote(found[0].encode(errors="surrogatepass"), safe="")


def _name(parameter: str) -> str:
    name = parameter.partition("=")[0]
    return (unquote(name) if "%" in name else name).lower()


def _signers(parts: _Parts, values: Mapping[str, str]) -> list[Signer]:
    host = parts.host.partition(":")[0]
    candidates = chain(_WITHOUT_NAME, *(_BY_NAME[name] for name in values.keys() & _BY_NAME.keys()))
    return [signer for signer in candidates if signer.matches(host, parts.path, values)]
