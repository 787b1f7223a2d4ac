"""Recordings as a run reads them from the ledger."""

from pathlib import Path
from typing import Any, NamedTuple

from pyannote_voiceprint_async.enrollment.manifest.rows import Row
from pyannote_voiceprint_async.enrollment.manifest.segments import Segments

__all__ = ["PendingRecording", "UnknownOutcome"]


class PendingRecording(NamedTuple):
    """A recording without a voiceprint: pending, or submitted and awaited."""

    id: int
    identity: str
    source: str
    is_file: bool
    model: str
    size: int | None
    modified_ns: int | None
    expires_at: float | None
    media_url: str | None
    uploaded_at: float | None
    job_id: str | None
    segments: Segments
    labels: tuple[str, ...]
    extra: dict[str, Any]

    @property
    def row(self) -> Row:
        """The row of the list that has the first label."""
        return Row(self.labels[0], Path(self.source) if self.is_file else self.source, self.model, extra=self.extra)


class UnknownOutcome(NamedTuple):
    """A submission that may have been accepted, although the ledger has no job for it."""

    id: int
    """The recording."""
    intended_from: float
    """The earliest time at which the intent to submit may have been recorded, in UTC epoch seconds."""
    intended_until: float
    """The latest such time. The two differ because this machine's clock and the server's differ."""
    is_uncertain: bool
    """Whether an earlier attempt could not resolve the outcome."""
    model: str = ""
    """The model of the submission."""
