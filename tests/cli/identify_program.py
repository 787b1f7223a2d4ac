"""The command in a process that kills itself at a step of the ledger. Run with WHEN, STEP and the arguments.

WHEN is `before`, `after` or `never`.
"""

import sys

from enrollment.torture.points import Point, When, arm_point

from pyannote_voiceprint_async.cli.entry import main as run_command
from pyannote_voiceprint_async.enrollment.ledger.identifications import IdentificationStore
from pyannote_voiceprint_async.enrollment.run.outcome_resolver import OutcomeResolver


def main() -> None:
    # The requests of the killed run are too old to be accepted.
    OutcomeResolver.seconds_left = lambda *_: 0.0  # type: ignore[method-assign]
    when, step, *arguments = sys.argv[1:]
    if when != "never":
        arm_point(Point(IdentificationStore, step, When(when)))
    sys.argv[1:] = arguments
    run_command()
