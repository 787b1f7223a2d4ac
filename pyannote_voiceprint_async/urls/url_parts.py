"""The parts of a URL, normalized so that two spellings of one URL are equal."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Self
from urllib.parse import quote

import attrs

__all__ = ["UrlParts"]

_WEB_URL = re.compile(r"(https?)://([^/?#]*)([^?#]*)(?:\?([^#]*))?", re.IGNORECASE)
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
# Characters that RFC 3986 does not allow unescaped in a URL, except `%`, `[` and `]`.
_MUST_BE_ESCAPED = re.compile(r"[^\w.~:/?#\[\]@!$&'()*+,;=%-]|[^\x00-\x7f]", re.ASCII)
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


@attrs.frozen
class UrlParts:
    """An http or https URL without password, default port and fragment."""

    scheme: str
    user: str
    host: str
    """The host in lower case, with its port unless that is the default of the scheme."""
    path: str
    query: str

    @classmethod
    def split(cls, url: str) -> Self | None:
        """Return the parts of a URL as they are written; None if it is neither http nor https."""
        match = _WEB_URL.match(url)
        if match is None:
            return None
        scheme, authority, path, query = match.groups("")
        scheme = scheme.lower()
        credentials, _, host = authority.rpartition("@")
        host = host.lower().removesuffix(_DEFAULT_PORTS[scheme])
        return cls(scheme, credentials.partition(":")[0], host, path, query)

    def normalized(self) -> UrlParts:
        """Return the parts with normalized percent-encoding and an ASCII host."""
        user, path, query = map(_normalize_escapes, (self.user, self.path, self.query))
        return UrlParts(self.scheme, user, _ascii_host(self.host), path, query)

    def join(self, path: str, parameters: Sequence[str]) -> str:
        """Return the URL with another path and query."""
        user, query = (f"{self.user}@" if self.user else ""), "&".join(parameters)
        return f"{self.scheme}://{user}{self.host}{path}" + (f"?{query}" if query else "")


def _ascii_host(host: str) -> str:
    if host.isascii():
        return host
    name, colon, port = unicodedata.normalize("NFC", host).partition(":")
    try:
        encoded = name.encode("idna").decode("ascii")
        # Python implements IDNA 2003, which maps ß to ss. Since IDNA 2008 these are two hosts: they must stay two.
        is_exact = encoded.encode("ascii").decode("idna") == name
    except UnicodeError:
        return host
    return f"{encoded}{colon}{port}" if is_exact else host


def _normalize_escapes(text: str) -> str:
    """Decode escaped unreserved characters; write all other escapes in upper case (RFC 3986, section 6.2.2)."""
    if "%" in text:
        text = _ESCAPE.sub(_decode_unreserved, text)
    return _MUST_BE_ESCAPED.sub(_escape, text)


def _decode_unreserved(match: re.Match[str]) -> str:
    character = chr(int(match[1], 16))
    return character if character in _UNRESERVED else match[0].upper()


def _escape(match: re.Match[str]) -> str:
    return quote(match[0].encode(errors="surrogatepass"), safe="")
