"""One problem of a recording, for programs and for people."""

import attrs

__all__ = ["JOINED", "Finding"]


@attrs.frozen
class Finding:
    """One problem of a recording."""

    code: str
    """Identifier for programs: "too_long", "silent", …"""
    message: str
    """The problem and what to do, for people. It begins in lower case, as `Problem.message` does."""
    is_fatal: bool
    """Whether the recording must not be enrolled. Other findings are warnings."""


JOINED = Finding(
    "joined",
    "is several files that were joined end to end, which cannot be checked here. Send one of them alone, or "
    "decode all of them into one file",
    is_fatal=True,
)
"""The finding for joined files in a format that libsndfile cannot decode."""
