"""The pyannoteAI API on this machine, with its limits, faults and billing."""

from pyannote_voiceprint_async.sandbox.faults import FAULTS, Fault
from pyannote_voiceprint_async.sandbox.jobs import SandboxJob
from pyannote_voiceprint_async.sandbox.limits import Limit
from pyannote_voiceprint_async.sandbox.options import parse_fault, parse_limit, parse_range, parse_webhook_fault
from pyannote_voiceprint_async.sandbox.request_log import ReceivedRequest
from pyannote_voiceprint_async.sandbox.sandbox_thread import SandboxThread
from pyannote_voiceprint_async.sandbox.server import Sandbox
from pyannote_voiceprint_async.sandbox.settings import Settings
from pyannote_voiceprint_async.sandbox.state import SandboxState, Tally, WebhookTally
from pyannote_voiceprint_async.sandbox.voiceprints import voiceprint_of
from pyannote_voiceprint_async.sandbox.webhook_faults import WEBHOOK_FAULTS, WebhookFault
from pyannote_voiceprint_async.sandbox.webhook_sender import Delivery

__all__ = [
    "FAULTS",
    "WEBHOOK_FAULTS",
    "Delivery",
    "Fault",
    "Limit",
    "ReceivedRequest",
    "Sandbox",
    "SandboxJob",
    "SandboxState",
    "SandboxThread",
    "Settings",
    "Tally",
    "WebhookFault",
    "WebhookTally",
    "parse_fault",
    "parse_limit",
    "parse_range",
    "parse_webhook_fault",
    "voiceprint_of",
]
