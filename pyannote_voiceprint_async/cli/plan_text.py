"""Lines about the plan of a run. A dry run prints them as its result, and a run states them at its start."""

from collections.abc import Iterator

from pyannote_voiceprint_async.enrollment import RunPlan

from .formatting import format_cost, format_count, format_duration

__all__ = ["jobs_line", "opening", "plan_lines", "state_lines"]

# Seconds. A run that submits for less than this has no line about its time.
_SHORTEST_SECONDS = 1.0


def plan_lines(plan: RunPlan, *, is_sandbox: bool, is_dry_run: bool = False) -> Iterator[str]:
    """Yield what a run does.

    Args:
        plan: the plan.
        is_sandbox: whether the run uses the embedded sandbox.
        is_dry_run: whether only the plan was made.
    """
    rows = plan.rows + plan.invalid + plan.forgotten
    states = list(state_lines(plan, done="with a voiceprint"))
    yield f"{opening(is_dry_run=is_dry_run)}The list has {format_count(rows, 'row')}{':' if states else '.'}"
    yield from states
    if plan.replaced:
        yield f"Rows whose recording differs from the billed one of an earlier list: {plan.replaced}."
    yield _jobs(plan, is_sandbox=is_sandbox)
    if plan.left:
        yield f"Not submitted because of --max-jobs: {format_count(plan.left, 'row')}."
    if plan.seconds >= _SHORTEST_SECONDS:
        limit = plan.limit
        yield (
            f"At {format_count(limit.limit, 'submission')} in {limit.per:g} seconds, the last one is sent after "
            f"{format_duration(plan.seconds)}."
        )


def opening(*, is_dry_run: bool) -> str:
    """Return the first words about a plan."""
    return "Nothing was sent or changed. " if is_dry_run else ""


def jobs_line(jobs: int, price: str, possible: str) -> str:
    """Return the line about the jobs to submit.

    Args:
        jobs: the number of jobs.
        price: what is billed; empty if nothing is.
        possible: the jobs of unknown outcomes; empty if there are none.
    """
    return f"To be submitted: {format_count(jobs, 'job')}{f' ({price})' if price else ''}{possible}."


def state_lines(plan: RunPlan, *, done: str) -> Iterator[str]:
    """Yield the counts of a plan that are not 0.

    Args:
        plan: the plan.
        done: the state of the rows that are done.
    """
    yield from (f"{number:>7} {state}" for state, number in _states(plan, done).items() if number)


def _jobs(plan: RunPlan, *, is_sandbox: bool) -> str:
    price = "free in the sandbox" if is_sandbox else format_cost(plan.jobs, plan.price)
    uploads = f", {format_count(plan.uploads, 'file')} uploaded first" if plan.uploads else ""
    possible = ""
    if plan.possible_jobs:
        more = "" if is_sandbox else f" ({format_cost(plan.possible_jobs, plan.price)})"
        possible = f", and up to {plan.possible_jobs} more{more} for rows of unknown outcome that were not accepted"
    return jobs_line(plan.jobs, f"{price}{uploads}", possible)


def _states(plan: RunPlan, done: str) -> dict[str, int]:
    # Without verbs: one row and several rows need the same words.
    return {
        done: plan.succeeded,
        "submitted by an earlier run, awaiting a result": plan.submitted,
        "of them submitted more than 24 hours ago: the result has probably expired": plan.overdue,
        "of unknown outcome: resolved first, and then submitted if it was not accepted": plan.unresolved,
        "of unknown outcome, and submitted again (possibly billed twice)": plan.resubmitted,
        "failed before, and not retried (--retry-failed)": plan.failed,
        "expired before, and not resubmitted (--retry-expired)": plan.expired,
        "with a presigned URL that expires before its turn: sign it for a longer time, or split the list": (
            plan.expiring
        ),
        "invalid, and skipped": plan.invalid,
        "erased, and skipped": plan.forgotten,
    }
