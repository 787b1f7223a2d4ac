"""What the start of a client imports: no modules that only other features need."""

import subprocess
import sys

LATE = [
    "api.identification_checks",
    "audio",
    "cli",
    "client_stats",
    "enrollment",
    "event_log",
    "events",
    "identification",
    "identification_result.identification",
    "identification_result.turns",
    "jobs.batch_results",
    "otel",
    "ratelimit.status",
    "results",
    "sandbox",
    "shared.connection",
    "shared.state",
    "webhooks",
]

PROGRAM = f"""
import sys
from pyannote_voiceprint_async import AsyncVoiceprintClient

def loaded():
    print(*(name for name in {LATE} if f"pyannote_voiceprint_async.{{name}}" in sys.modules))

AsyncVoiceprintClient("key")
loaded()
AsyncVoiceprintClient("key", on_event=print)
loaded()
AsyncVoiceprintClient("key", shared="shared.db")
loaded()
"""


def test_a_client_imports_what_its_arguments_need(tmp_path):
    run = subprocess.run([sys.executable, "-c", PROGRAM], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == [
        "",
        "event_log events",
        "event_log events shared.connection shared.state",
    ]
