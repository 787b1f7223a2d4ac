"""Checks of a speaker's label: what identification accepts, and what fits into one line of a list."""

import re

from .names import normalize_name

__all__ = ["MAX_LABEL_LENGTH", "UNPRINTABLE", "is_reserved_label", "label_problem", "printable_label"]

MAX_LABEL_LENGTH = 100
"""Identification accepts labels of at most this many characters."""

UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Control characters, line separators (a label is in one line of a file) and surrogates (not encodable as UTF-8)."""

_RESERVED_PREFIX = "speaker_"


def label_problem(label: object) -> str | None:
    """Return why identification would reject a label, or None."""
    if label is None:
        label = ""
    if not isinstance(label, str):
        return f"the label must be text, not {type(label).__name__}"
    label = normalize_name(label.strip())
    if not label:
        return "has no label; every speaker needs one"
    if len(label) > MAX_LABEL_LENGTH:
        return f"the label has {len(label)} characters; identification takes at most {MAX_LABEL_LENGTH}"
    if is_reserved_label(label):
        return (
            f"the label begins with {_RESERVED_PREFIX!r}, which identification reserves for diarized speakers; choose "
            "another one"
        )
    if UNPRINTABLE.search(label):
        return "the label has a line break or another control character; write it in plain text"
    return None


def is_reserved_label(label: str) -> bool:
    """Return whether identification reserves a label, because its names for diarized speakers begin in the same way."""
    return label[: len(_RESERVED_PREFIX)].lower() == _RESERVED_PREFIX


def printable_label(label: object) -> str | None:
    """Return a label as it can be shown in a message, whatever its type and content; None if it is empty."""
    if not isinstance(label, str) or not label.strip():
        return None
    return UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", normalize_name(label.strip()[:MAX_LABEL_LENGTH]))
