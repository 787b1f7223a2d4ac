"""One row of a list of speakers, and the states that it passes through."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import attrs

from pyannote_voiceprint_async.errors import Problem
from pyannote_voiceprint_async.redaction import redact_url

from .segments import Segments

__all__ = ["Problem", "Row", "State"]


def _redacted_repr(source: object) -> str:
    return repr(redact_url(source) if isinstance(source, str) else source)


@attrs.frozen
class Row:
    """A speaker to enroll."""

    label: str
    """The label of the speaker, unique in the list. Identification accepts at most 100 characters, and no label that
    begins with `speaker_`."""
    source: str | Path = attrs.field(repr=_redacted_repr)
    """A `str` is a URL (`http(s)://`, `media://`, or anything that `resolve` accepts); a `Path` is a local file."""
    model: str | None = None
    """The voiceprint model; None uses the model of the run."""
    extra: Mapping[str, Any] = attrs.field(factory=dict, kw_only=True)
    """Further columns, which are copied to the export."""
    segments: Segments = attrs.field(default=(), kw_only=True)
    """Segments of a longer recording as pairs of start and end in seconds: they are cut out and joined, and may have 30
    seconds in total. An end of None is the end of the recording. Only local files can be cut, with the extra
    `[audio]`."""
    warnings: tuple[str, ...] = attrs.field(default=(), kw_only=True, eq=False)
    """Warnings to report before the row is enrolled; none of them prevents that. Each begins in lower case, because it
    follows the label."""
    line: int | None = attrs.field(default=None, kw_only=True, eq=False)
    """The line of the row in its file, counted from 1."""


class State(StrEnum):
    """The state of a row in the ledger."""

    PENDING = "pending"
    """Not submitted, or no submission was accepted."""
    SUBMITTING = "submitting"
    """A submission has begun; its outcome is not known yet."""
    SUBMITTED = "submitted"
    """A job was accepted; the run waits for its result."""
    SUCCEEDED = "succeeded"
    """The voiceprint is in the ledger."""
    FAILED = "failed"
    """The row itself failed: it has no voiceprint, and is not billed."""
    UNCERTAIN = "uncertain"
    """The outcome of a submission is unknown, and could not be resolved: a job may exist."""
    EXPIRED = "expired"
    """The job succeeded and is billed, but its result was deleted before it was fetched."""
