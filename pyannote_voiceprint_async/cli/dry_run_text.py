"""Lines about a dry run: what a run of the same command would do and cost."""

from collections.abc import Iterator

from pyannote_voiceprint_async.enrollment.run.dry_run import DryRun
from pyannote_voiceprint_async.settings import RateLimit

from .formatting import format_cost, format_count, format_duration

__all__ = ["dry_run_lines"]

# The time of a shorter list is not worth a line.
_SHORTEST_SECONDS = 1.0


def dry_run_lines(dry_run: DryRun, limit: RateLimit, *, is_sandbox: bool) -> Iterator[str]:
    """Yield what a run would do.

    Args:
        dry_run: the result of the dry run.
        limit: the rate limit of submissions.
        is_sandbox: whether the run would use the embedded sandbox.
    """
    rows = dry_run.rows + dry_run.invalid + dry_run.forgotten
    states = [f"{number:>7} {state}" for state, number in _states(dry_run).items() if number]
    yield f"Nothing was sent or changed. The list has {format_count(rows, 'row')}{':' if states else '.'}"
    yield from states
    if dry_run.replaced:
        yield f"Rows whose recording differs from the billed one of an earlier list: {dry_run.replaced}."
    price = "free in the sandbox" if is_sandbox else format_cost(dry_run.jobs)
    uploads = f", {format_count(dry_run.uploads, 'file')} uploaded first" if dry_run.uploads else ""
    yield f"To be submitted: {format_count(dry_run.jobs, 'job')} ({price}{uploads})."
    if dry_run.left:
        yield f"Not submitted because of --max-jobs: {dry_run.left}."
    if dry_run.seconds >= _SHORTEST_SECONDS:
        yield (
            f"At {limit.limit} submissions in {limit.per:g} seconds, the last one is sent after "
            f"{format_duration(dry_run.seconds)}."
        )
    if dry_run.expiring:
        yield (
            f"Presigned URLs that would expire before they are submitted: {dry_run.expiring}. Sign them for a longer "
            "time, or split the list."
        )


def _states(dry_run: DryRun) -> dict[str, int]:
    return {
        "have a voiceprint": dry_run.succeeded,
        "would be waited for (submitted by an earlier run)": dry_run.submitted,
        "have an unknown outcome: it is resolved first, and they may then be submitted": dry_run.unresolved,
        "failed before, and would not be retried (--retry-failed)": dry_run.failed,
        "expired before, and would not be resubmitted (--retry-expired)": dry_run.expired,
        "are invalid, and would be skipped": dry_run.invalid,
        "were erased, and would be skipped": dry_run.forgotten,
    }
