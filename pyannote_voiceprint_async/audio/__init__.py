"""Local audio: looked at before it costs anything, and cut to what a voiceprint takes. Needs the extra `[audio]`.

All of it blocks: it belongs on a worker thread. soundfile and numpy are imported when something is called.
"""

from .check import Check, check, check_if_possible, foreign_format
from .clips import Clip, as_clip, best_part, cut, cut_pieces
from .facts import AudioFacts, look_at
from .rttm import Turn, turns_of
from .source import AbandonableFile, AudioSource
from .speaker_clips import SpeakerClip, clips_from_rttm, pick
from .verdict import LONGEST_SECONDS, SHORTEST_SECONDS, Finding, judge, refusal

__all__ = [
    "LONGEST_SECONDS",
    "SHORTEST_SECONDS",
    "AbandonableFile",
    "AudioFacts",
    "AudioSource",
    "Check",
    "Clip",
    "Finding",
    "SpeakerClip",
    "Turn",
    "as_clip",
    "best_part",
    "check",
    "check_if_possible",
    "clips_from_rttm",
    "cut",
    "cut_pieces",
    "foreign_format",
    "judge",
    "look_at",
    "pick",
    "refusal",
    "turns_of",
]
