"""Lines about the plan of `identify`: which jobs are submitted, and what is billed."""

from collections.abc import Iterator

from pyannote_voiceprint_async.identification.run_plan import IdentificationRunPlan

from .formatting import format_audio, format_count
from .identify_arguments import IdentifyArguments
from .plan_text import state_lines

__all__ = ["identify_plan_lines"]


def identify_plan_lines(plan: IdentificationRunPlan, arguments: IdentifyArguments) -> Iterator[str]:
    """Yield the lines about a plan.

    Args:
        plan: the plan.
        arguments: the arguments of the command.
    """
    jobs = format_count(plan.counts.jobs, "job")
    recordings, parts = len(arguments.recordings), len(arguments.requests)
    each = f", {parts} jobs for each recording" if parts > 1 else ""
    what = f"for {format_count(recordings, 'recording')}{each}{_billed(plan, is_sandbox=arguments.common.sandbox)}."
    if arguments.dry_run:
        yield f"Dry run: {jobs} would be submitted {what} Nothing was sent."
    else:
        yield f"{jobs} to submit {what}"
    yield from state_lines(plan.counts, done="with a result")
    if possible := plan.counts.possible_jobs:
        yield f"Up to {possible} more for submissions of unknown outcome that were not accepted."


def _billed(plan: IdentificationRunPlan, *, is_sandbox: bool) -> str:
    if not plan.counts.jobs:
        return ""
    if plan.unknown_lengths == plan.counts.jobs:
        if is_sandbox:
            return " (free in the sandbox)"
        return ": billed by the seconds of the recordings, whose length is not known here"
    unknown = f", and {plan.unknown_lengths} of unknown length" if plan.unknown_lengths else ""
    price = " (free in the sandbox)" if is_sandbox else " to bill"
    return f": {format_audio(plan.billed_seconds)} of audio{price}{unknown}"
