"""Bulk enrollment: turns a list of speakers into voiceprints, and can be killed and resumed at any instant."""

from pyannote_voiceprint_async.enrollment.ledger.export import Exported
from pyannote_voiceprint_async.enrollment.ledger.ledger import Ledger
from pyannote_voiceprint_async.enrollment.ledger.maintenance import FailedRow, Forgotten, Purged
from pyannote_voiceprint_async.enrollment.manifest.manifest import Manifest
from pyannote_voiceprint_async.enrollment.manifest.rows import Problem, Row, State
from pyannote_voiceprint_async.enrollment.manifest.rttm_rows import rows_from_rttm
from pyannote_voiceprint_async.enrollment.manifest.sources import rows_from_sources
from pyannote_voiceprint_async.enrollment.run.enrollment import Enrollment

from .enroll import enroll
from .events import (
    Event,
    Finished,
    Paused,
    Progress,
    Report,
    Resumed,
    RowExpired,
    RowFailed,
    RowSkipped,
    RowSubmitted,
    RowSucceeded,
    RowUncertain,
    RunPlanned,
    Stopping,
)
from .plan import RowWarning, RunPlan

__all__ = [
    "Enrollment",
    "Event",
    "Exported",
    "FailedRow",
    "Finished",
    "Forgotten",
    "Ledger",
    "Manifest",
    "Paused",
    "Problem",
    "Progress",
    "Purged",
    "Report",
    "Resumed",
    "Row",
    "RowExpired",
    "RowFailed",
    "RowSkipped",
    "RowSubmitted",
    "RowSucceeded",
    "RowUncertain",
    "RowWarning",
    "RunPlan",
    "RunPlanned",
    "State",
    "Stopping",
    "enroll",
    "rows_from_rttm",
    "rows_from_sources",
]
