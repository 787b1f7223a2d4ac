"""Redact URLs and server texts before they are shown: no signature, password or key may remain."""

from __future__ import annotations

import json
import re
from urllib.parse import quote

__all__ = ["printable", "printable_lines", "redact_text", "redact_url"]

_LONGEST_QUOTE = 500
_MARK = "…"

# Slashes as JSON may escape them too, and all signs as they stand in a URL that is quoted inside another one (once or
# twice). Quotes may be part of a path, so a URL ends at white space only.
_SCHEME_END = r"(?::|%(?:25)*3A)(?:\\?/|%(?:25)*2F){2}"
_SLASH, _AT = r"(?:/|%(?:25)*2F)", r"(?:@|%(?:25)*40)"
_QUESTION, _HASH = r"(?:\?|%(?:25)*3F|\\u003f)", r"(?:#|%(?:25)*23|\\u0023)"
_AMPERSAND, _EQUALS = r"(?:&|%(?:25)*26|\\u0026)", r"(?:=>?|%(?:25)*3D|\\u003d)"
_SIGN = r"[^\s\"<>]"
_PATH = rf"(?:(?!{_QUESTION}|{_HASH}|{_SCHEME_END}){_SIGN})*"
_QUOTE = r"\\?[\"']?"
# How names of parameters, headers and fields end that hold a secret.
_NAME = (
    r"(?:signature|\bsig|credential|token|secret|passw(?:or)?d|passphrase|pwd|(?:api|access)[-_]?key|\bkey|authorization|"
    r"\bauth|cookie|session|jwt|hmac|policy)[\w-]{0,20}"
)
# "token: expired" is a sentence, "token: 5ec7e7" is not.
_NO_WORD = rf"(?!(?-i:[a-z.,;:!?…-])+(?:\s|$)){_SIGN}{{6,}}"

# Each pattern keeps its first group, and replaces the rest of what it finds.
_SECRETS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # A user and a password, with or without a scheme in front of them.
        rf"({_SCHEME_END})(?:(?!{_SLASH}|{_QUESTION}|{_HASH}){_SIGN})+(?={_AT}{_SIGN})",
        r"()\b[\w.+-]{1,40}:[^\s\"<>/@]{1,200}(?=@[\w\[])",
        # The query or the fragment of a URL; the query of a path without a scheme, or of the rest of a URL with spaces.
        rf"({_SCHEME_END}{_PATH}{_QUESTION}){_SIGN}+",
        rf"({_SCHEME_END}{_PATH}){_HASH}{_SIGN}*",
        rf"((?<={_SIGN}){_QUESTION})(?=[\w%&=]){_SIGN}+",
        # The part of a query that stands behind a space.
        rf"()(?<!{_SIGN})(?:(?!{_AMPERSAND}){_SIGN})*{_AMPERSAND}(?:amp;)?[\w.~$%\[\]-]{{1,80}}?{_EQUALS}{_SIGN}*",
        # name=value, "name": "value", Name: value
        rf"({_NAME}{_QUOTE}\s*{_EQUALS}\s*{_QUOTE})(?:(?<=\")[^\"]+|(?<=')[^']+|{_SIGN}+)",
        rf"({_NAME}{_QUOTE}\s*:\s*\\?)(?:\"[^\"]*\"?|'[^']*'?)",
        rf"(\b(?:Bearer|Basic)\s+){_NO_WORD}",
        rf"({_NAME}{_QUOTE}\s*:\s*)(?!Bearer|Basic){_NO_WORD}",
        # Keys and tokens that are known by their shape.
        r"()\bsk[-_][\w-]{6,}",
        r"()\beyJ[\w-]{10,}[\w.-]*",
    )
)
_SECRET_PART = re.compile(r"[?#].*", re.DOTALL)
_USERINFO = re.compile(r"^([a-z][a-z0-9+.-]*:(?:\\?/){2})[^/?#]*@", re.IGNORECASE)


def redact_url(url: str) -> str:
    """Return the URL without user, password, query and fragment: a presigned query is a password."""
    return _SECRET_PART.sub("?…", _USERINFO.sub(r"\1…@", url))


def redact_text(text: str, *secrets: str) -> str:
    """Return at most 500 characters of a server's text, with `secrets` and all that looks like one redacted."""
    # The known secrets first, so that no cut leaves a piece of one.
    for secret in filter(None, secrets):
        for written in {secret[:], secret.replace("/", "\\/"), quote(secret, safe="")}:
            text = text.replace(written, _MARK)
    # More than is quoted in the end: a long text must not cost much, and a query must still be seen as one.
    text = text[: 4 * _LONGEST_QUOTE]
    for pattern in _SECRETS:
        text = pattern.sub(rf"\1{_MARK}", text)
    return text if len(text) <= _LONGEST_QUOTE else text[: _LONGEST_QUOTE - 1] + _MARK


def printable(line: str) -> str:
    """Escape every character that does not print, as JSON does.

    Control characters (C0, C1, DEL), line breaks, bidirectional overrides, zero-width characters and lone surrogates
    become visible: text from outside can neither steer a terminal nor begin a line of its own.
    """
    if line.isprintable():
        return line
    return "".join(character if character.isprintable() else json.dumps(character)[1:-1] for character in line)


def printable_lines(text: str) -> str:
    """Escape every character that does not print, but for line breaks."""
    return "\n".join(map(printable, text.split("\n")))
