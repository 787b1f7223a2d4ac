"""Redact URLs and texts of the server before they are shown, and escape what a terminal must not print."""

from __future__ import annotations

import re
from urllib.parse import quote

__all__ = ["printable", "printable_lines", "redact_text", "redact_url"]

_MAX_LENGTH = 500
_MARK = "…"

# The characters of a URL. Each is matched as it is, as JSON escapes it, and percent-encoded any number of times,
# because a URL inside the query of another URL is encoded once more.
_SCHEME_END = r"(?::|%(?:25)*3A)(?:\\?/|%(?:25)*2F){2}"
_SLASH = r"(?:/|%(?:25)*2F)"
_AT = r"(?:@|%(?:25)*40)"
_QUESTION = r"(?:\?|%(?:25)*3F|\\u003f)"
_HASH = r"(?:#|%(?:25)*23|\\u0023)"
_AMPERSAND = r"(?:&|%(?:25)*26|\\u0026)"
_EQUALS = r"(?:=>?|%(?:25)*3D|\\u003d)"
# A single quote may be part of a path, so it does not end a URL.
_CHARACTER = r"[^\s\"<>]"
_PATH = rf"(?:(?!{_QUESTION}|{_HASH}|{_SCHEME_END}){_CHARACTER})*"
_QUOTE = r"\\?[\"']?"
# Names of parameters, headers and fields that hold a secret; a prefix such as `X-Amz-` may stand before them.
_NAME = (
    r"(?:signature|\bsig|credential|token|secret|passw(?:or)?d|passphrase|pwd|(?:api|access)[-_]?key|\bkey|authorization|"
    r"\bauth|cookie|session|jwt|hmac|policy)[\w-]{0,20}"
)
# "token: 5ec7e7" holds a secret, "token: expired" is a sentence.
_VALUE = rf"(?!(?-i:[a-z.,;:!?…-])+(?:\s|$)){_CHARACTER}{{6,}}"

# Each pattern keeps its first group and redacts the rest of its match. Their order matters: each sees the text that
# the patterns above it leave. `re` compiles them on first use: that takes longer than the rest of this import.
_SECRETS = (
    # https://user:password@host: the password of a proxy or of a storage.
    rf"({_SCHEME_END})(?:(?!{_SLASH}|{_QUESTION}|{_HASH}){_CHARACTER})+(?={_AT}{_CHARACTER})",
    # user:password@host: the same in a proxy setting without a scheme.
    rf"()\b[\w.+-]{{1,40}}:(?:(?!{_QUESTION}|{_HASH})[^\s\"<>/@]){{1,200}}(?=@[\w\[])",
    # user:pass?word@host: a password with a question mark. It may also be a query, so redact the rest.
    rf"()\b[\w.+-]{{1,40}}:[^\s\"<>/@]{{1,200}}(?=@[\w\[]){_CHARACTER}+",
    # https://host/path?query: the signature of a presigned URL.
    rf"({_SCHEME_END}{_PATH}{_QUESTION}){_CHARACTER}+",
    # https://host/path#fragment: some services put an access token there.
    rf"({_SCHEME_END}{_PATH}){_HASH}{_CHARACTER}*",
    # /path?query: a quoted path without its host, or the end of a URL with spaces in its path.
    rf"((?<={_CHARACTER}){_QUESTION})(?=[\w%&=]){_CHARACTER}+",
    # file&name=value: the end of a query with spaces in a value.
    rf"()(?<!{_CHARACTER})(?:(?!{_AMPERSAND}){_CHARACTER})*{_AMPERSAND}(?:amp;)?[\w.~$%\[\]-]{{1,80}}?{_EQUALS}{_CHARACTER}*",
    # token=value, token="two words": a parameter outside of any URL.
    rf"({_NAME}{_QUOTE}\s*{_EQUALS}\s*{_QUOTE})(?:(?<=\")[^\"]+|(?<=')[^']+|{_CHARACTER}+)",
    # "token": "value": a field of quoted JSON.
    rf"({_NAME}{_QUOTE}\s*:\s*\\?)(?:\"[^\"]*\"?|'[^']*'?)",
    # Bearer value: an Authorization header, with or without its name.
    rf"(\b(?:Bearer|Basic)\s+){_VALUE}",
    # Cookie: value: any other header with a secret.
    rf"({_NAME}{_QUOTE}\s*:\s*)(?!Bearer|Basic){_VALUE}",
    # sk-value: an API key, recognised by its prefix.
    r"()\bsk[-_][\w-]{6,}",
    # eyJvalue: a JSON Web Token, recognised by its prefix.
    r"()\beyJ[\w-]{10,}[\w.-]*",
)
_QUERY_OR_FRAGMENT = r"(?s)[?#].*"
_USERINFO = r"(?i)^([a-z][a-z0-9+.-]*:(?:\\?/){2})[^/?#]*@"


def redact_url(url: str) -> str:
    """Return the URL without user, password, query and fragment. The query of a presigned URL grants access."""
    return re.sub(_QUERY_OR_FRAGMENT, "?…", re.sub(_USERINFO, r"\1…@", url))


def redact_text(text: str, *secrets: str) -> str:
    """Return at most 500 characters of a server's text, with `secrets` and everything like a secret redacted."""
    # Replace the known secrets before any cut: the start of a secret that is cut off would no longer match.
    for secret in filter(None, secrets):
        for spelling in {secret[:], secret.replace("/", "\\/"), quote(secret, safe="")}:
            text = text.replace(spelling, _MARK)
    # Bound the work of the patterns, but keep enough text for them to recognise a long query.
    text = text[: 4 * _MAX_LENGTH]
    for pattern in _SECRETS:
        text = re.sub(pattern, rf"\1{_MARK}", text, flags=re.IGNORECASE)
    return text if len(text) <= _MAX_LENGTH else text[: _MAX_LENGTH - 1] + _MARK


def printable(line: str) -> str:
    """Escape every character that does not print, as JSON does.

    Control characters, line breaks, bidirectional overrides, zero-width characters and lone surrogates become visible,
    so that text from outside can neither control a terminal nor forge a line of output.
    """
    if line.isprintable():
        return line
    import json  # noqa: PLC0415 - the import would slow down `--help`

    return "".join(character if character.isprintable() else json.dumps(character)[1:-1] for character in line)


def printable_lines(text: str) -> str:
    """Escape every character that does not print, except line breaks."""
    return "\n".join(map(printable, text.split("\n")))
