"""One line of a list of speakers: who, and where the recording is."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import attrs

from pyannote_voiceprint_async.errors import Problem
from pyannote_voiceprint_async.redaction import redact_url

from .segments import Segments

__all__ = ["Problem", "Row", "State"]


def _shown(source: object) -> str:
    return repr(redact_url(source) if isinstance(source, str) else source)


@attrs.frozen
class Row:
    """A speaker to be enrolled."""

    label: str
    """What the speaker is called; different from all others. Identification takes at most 100 characters, and
    nothing that begins with `speaker_`."""
    source: str | Path = attrs.field(repr=_shown)
    """A URL (`http(s)://`, `media://`, or whatever `resolve` understands), or a file of this machine as a `Path`."""
    model: str | None = None
    """The voiceprint model; None is that of the run."""
    extra: Mapping[str, Any] = attrs.field(factory=dict, kw_only=True)
    """More columns; they are passed through to the output."""
    segments: Segments = attrs.field(default=(), kw_only=True)
    """Parts of a longer recording, as starts and ends in seconds, which are cut out and joined: at most 30 seconds
    together. An end that is None is the recording's. Only files of this machine are cut, with the extra `[audio]`."""
    warnings: tuple[str, ...] = attrs.field(default=(), kw_only=True, eq=False)
    """What is to be told before it is enrolled, and is no reason not to; each begins in lower case."""
    line: int | None = attrs.field(default=None, kw_only=True, eq=False)
    """Where it stands in its file, from 1."""


class State(StrEnum):
    """How far a row has come."""

    PENDING = "pending"
    """Nothing of it was sent, or nothing of it was accepted."""
    SUBMITTING = "submitting"
    """Its submission was about to leave; what became of it is not known yet."""
    SUBMITTED = "submitted"
    """Its job is accepted: it is waited for."""
    SUCCEEDED = "succeeded"
    """Its voiceprint is in the ledger."""
    FAILED = "failed"
    """It has no voiceprint for a reason of its own, and costs nothing."""
    UNCERTAIN = "uncertain"
    """A job of it may exist whose id nobody knows."""
    EXPIRED = "expired"
    """Its job is done and paid, and its output was deleted before it was read."""
