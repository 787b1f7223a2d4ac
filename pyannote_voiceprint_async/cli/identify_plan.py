"""Lines about the plan of `identify`: which jobs are submitted, and what is billed."""

from collections.abc import Iterator

from pyannote_voiceprint_async.identification.run_plan import IdentificationRunPlan

from .formatting import format_audio, format_count
from .identify_arguments import IdentifyArguments
from .plan_text import jobs_line, opening, state_lines

__all__ = ["identify_plan_lines"]


def identify_plan_lines(plan: IdentificationRunPlan, arguments: IdentifyArguments) -> Iterator[str]:
    """Yield the lines about a plan.

    Args:
        plan: the plan.
        arguments: the arguments of the command.
    """
    states = list(state_lines(plan.counts, done="with a result"))
    recordings, parts = len(arguments.recordings), len(arguments.requests)
    each = f", with {parts} jobs for each" if parts > 1 else ""
    yield (
        f"{opening(is_dry_run=arguments.dry_run)}The run has {format_count(recordings, 'recording')}{each}"
        f"{':' if states else '.'}"
    )
    yield from states
    possible = plan.counts.possible_jobs
    yield jobs_line(
        plan.counts.jobs,
        _price(plan, is_sandbox=arguments.common.sandbox),
        f", and up to {possible} more for recordings of unknown outcome that were not accepted" if possible else "",
    )


def _price(plan: IdentificationRunPlan, *, is_sandbox: bool) -> str:
    if not plan.counts.jobs:
        return ""
    free = ["free in the sandbox"] if is_sandbox else []
    if plan.unknown_lengths == plan.counts.jobs:
        return ", ".join(free) or "billed by the seconds of the recordings, whose length is not known here"
    audio = f"{format_audio(plan.billed_seconds)} of audio{'' if is_sandbox else ' to bill'}"
    rest = f", and {plan.unknown_lengths} whose length is not known here" if plan.unknown_lengths else ""
    return ", ".join([f"{audio}{rest}", *free])
