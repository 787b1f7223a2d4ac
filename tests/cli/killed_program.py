"""The command, which kills itself at a step of the ledger of identifications, or runs to its end.

The arguments are `before`, `after` or `never`, the name of a method of `IdentificationStore`, and those of the command.
The requests of a killed run are too old to be accepted.
"""

import os
import signal
import sys

from pyannote_voiceprint_async.cli.app import app
from pyannote_voiceprint_async.enrollment.ledger.identifications import IdentificationStore
from pyannote_voiceprint_async.enrollment.run.outcome_resolver import OutcomeResolver


def kill_at(when: str, step: str) -> None:
    """Kill this process before or after a step of the ledger."""
    original = getattr(IdentificationStore, step)

    async def step_and_end(self, *values):
        if when == "after":
            await original(self, *values)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(IdentificationStore, step, step_and_end)


def main() -> None:
    when, step, *arguments = sys.argv[1:]
    OutcomeResolver.seconds_left = lambda *_: 0.0
    if when != "never":
        kill_at(when, step)
    app(arguments)
