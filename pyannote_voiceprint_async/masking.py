"""What may be shown of an URL or of a server's text: never a signature, never a key."""

from __future__ import annotations

import json
import re

__all__ = ["mask_text", "mask_url", "printable", "printable_lines"]

# Slashes as JSON may escape them too. Quotes may be part of a path, so the URL ends at white space only.
_URL = re.compile(r"[a-z][a-z0-9+.-]*:(?:\\?/){2}[^\s\"<>]+", re.IGNORECASE)
# A signature whose URL was cut off in front of it.
_SIGNATURE = re.compile(r"([\w-]{0,40}(?:signature|credential|security-token|\bsig)=)[^\s&\"<>]+", re.IGNORECASE)
_SECRET_PART = re.compile(r"[?#].*", re.DOTALL)
_USERINFO = re.compile(r"^([a-z][a-z0-9+.-]*:(?:\\?/){2})[^/?#]*@", re.IGNORECASE)
_LONGEST_QUOTE = 500


def mask_url(url: str) -> str:
    """Give the URL without user, password, query and fragment: a presigned query is a password."""
    return _SECRET_PART.sub("?…", _USERINFO.sub(r"\1…@", url))


def mask_text(text: str, *secrets: str) -> str:
    """Give a server's text fit to be shown: URLs masked, `secrets` taken out, at most 500 characters."""
    # First of all the secrets, so that no cut leaves a piece of one.
    for secret in secrets:
        text = text.replace(secret, "…")
    # More than is quoted in the end: a long text must not cost much, and a query must still be seen as one.
    text = text[: 4 * _LONGEST_QUOTE]
    masked = _SIGNATURE.sub(r"\1…", _URL.sub(lambda found: mask_url(found.group()), text))
    return masked if len(masked) <= _LONGEST_QUOTE else masked[: _LONGEST_QUOTE - 1] + "…"


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
