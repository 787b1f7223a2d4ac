"""Whose voice it is, among many speakers: voiceprints from files and ledgers, and more than 50 of them."""

from pyannote_voiceprint_async.identified import (
    Certainty,
    Decision,
    DiarizedTurn,
    FrameConfidence,
    Identification,
    IdentifiedSpeaker,
    IdentifiedTurn,
)

from .among import identify_among, jobs_needed
from .errors import PartialIdentificationError
from .speakers import Speakers

__all__ = [
    "Certainty",
    "Decision",
    "DiarizedTurn",
    "FrameConfidence",
    "Identification",
    "IdentifiedSpeaker",
    "IdentifiedTurn",
    "PartialIdentificationError",
    "Speakers",
    "identify_among",
    "jobs_needed",
]
