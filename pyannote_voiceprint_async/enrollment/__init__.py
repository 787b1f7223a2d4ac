"""Bulk enrollment: a list of speakers goes in, voiceprints come out, and it may be killed at any instant."""

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
    RowLeftOut,
    RowNoted,
    RowSubmitted,
    RowSucceeded,
    RowUncertain,
    Stopping,
)
from .ledger import Ledger
from .manifest import Manifest
from .rows import Problem, Row, State
from .rttm_rows import rows_from_rttm
from .run import Enrollment
from .sources import rows_from_sources

__all__ = [
    "Enrollment",
    "Event",
    "Finished",
    "Ledger",
    "Manifest",
    "Paused",
    "Problem",
    "Progress",
    "Report",
    "Resumed",
    "Row",
    "RowExpired",
    "RowFailed",
    "RowLeftOut",
    "RowNoted",
    "RowSubmitted",
    "RowSucceeded",
    "RowUncertain",
    "State",
    "Stopping",
    "enroll",
    "rows_from_rttm",
    "rows_from_sources",
]
