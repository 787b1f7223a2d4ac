"""What a run reads of a recording in the ledger."""

from pathlib import Path
from typing import Any, NamedTuple

from pyannote_voiceprint_async.enrollment.manifest.rows import Row
from pyannote_voiceprint_async.enrollment.manifest.segments import Segments

__all__ = ["PendingRecording", "UnresolvedSubmission"]


class PendingRecording(NamedTuple):
    """A recording that is to become a voiceprint."""

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
        """The row of its first label."""
        return Row(self.labels[0], Path(self.source) if self.is_file else self.source, self.model, extra=self.extra)


class UnresolvedSubmission(NamedTuple):
    """A submission whose outcome nobody knows, and between which moments its intent was written, by all clocks."""

    id: int
    intended_from: float
    intended_until: float
    is_uncertain: bool
    model: str = ""
