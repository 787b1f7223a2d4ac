"""The result of an identification: turns, speakers, decisions, and its forms as RTTM, JSON and a picture."""

from .decisions import Certainty, Decision
from .identification import Identification
from .output import IdentificationOutput
from .turns import DiarizedTurn, FrameConfidence, IdentifiedSpeaker, IdentifiedTurn, SpeakerScores

__all__ = [
    "Certainty",
    "Decision",
    "DiarizedTurn",
    "FrameConfidence",
    "Identification",
    "IdentificationOutput",
    "IdentifiedSpeaker",
    "IdentifiedTurn",
    "SpeakerScores",
]
