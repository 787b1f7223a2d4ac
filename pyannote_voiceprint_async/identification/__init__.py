"""Identify speakers among many: read their voiceprints from files and ledgers, and compare more than 50 of them."""

from pyannote_voiceprint_async.identification_result.decisions import Certainty, Decision
from pyannote_voiceprint_async.identification_result.identification import Identification
from pyannote_voiceprint_async.identification_result.turns import (
    DiarizedTurn,
    FrameConfidence,
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
