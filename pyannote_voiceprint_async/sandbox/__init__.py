"""The pyannoteAI API on this machine, with its limits, faults and billing."""

from pyannote_voiceprint_async.sandbox.faults import FAULTS, Fault
from pyannote_voiceprint_async.sandbox.jobs import Job
from pyannote_voiceprint_async.sandbox.limits import Limit
from pyannote_voiceprint_async.sandbox.options import parse_fault, parse_limit, parse_range
from pyannote_voiceprint_async.sandbox.server import Sandbox
from pyannote_voiceprint_async.sandbox.settings import Settings
from pyannote_voiceprint_async.sandbox.state import State, Tally
from pyannote_voiceprint_async.sandbox.voiceprints import voiceprint_of

__all__ = [
    "FAULTS",
    "Fault",
    "Job",
    "Limit",
    "Sandbox",
    "Settings",
    "State",
    "Tally",
    "parse_fault",
    "parse_limit",
    "parse_range",
    "voiceprint_of",
]
