"""Local audio: check it before it costs anything, and cut it to the length of a voiceprint. Needs the extra `[audio]`.

All functions block: call them on a worker thread. soundfile and numpy are imported at the first call.
"""

from .check import AudioReport, check_audio, check_audio_if_installed, stated_seconds, unsupported_format
from .clips import Clip, as_clip, best_segment, cut, cut_segments
from .facts import AudioFacts, measure
from .finding import Finding
from .rttm import RttmSource, SpeakerTurn, read_turns
from .source import AudioSource, CancelableFile
from .speaker_clips import SpeakerClip, clips_from_rttm, clips_from_turns
from .verdict import LONGEST_SECONDS, SHORTEST_SECONDS, assess, fatal_message

__all__ = [
    "LONGEST_SECONDS",
    "SHORTEST_SECONDS",
    "AudioFacts",
    "AudioReport",
    "AudioSource",
    "CancelableFile",
    "Clip",
    "Finding",
    "RttmSource",
    "SpeakerClip",
    "SpeakerTurn",
    "as_clip",
    "assess",
    "best_segment",
    "check_audio",
    "check_audio_if_installed",
    "clips_from_rttm",
    "clips_from_turns",
    "cut",
    "cut_segments",
    "fatal_message",
    "measure",
    "read_turns",
    "stated_seconds",
    "unsupported_format",
]
