"""Recordings as a run reads them from the ledger."""

from pathlib import Path
from typing import Any, NamedTuple

from pyannote_voiceprint_async.enrollment.manifest.rows import Row
from pyannote_voiceprint_async.enrollment.manifest.segments import Segments

__all__ = ["PendingRecording", "UnresolvedSubmission"]


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


class UnresolvedSubmission(NamedTuple):
    """A submission with an unknown outcome, and the times between which its intent was written, by any clock."""

    id: int
    intended_from: float
    intended_until: float
    is_uncertain: bool
    model: str = ""
