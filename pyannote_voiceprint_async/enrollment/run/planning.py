"""The plan of a run, computed by the same code for the run itself and for its dry run."""

from collections.abc import Iterable
from functools import partial

import attrs

from pyannote_voiceprint_async.api.endpoints import OUTPUT_LIFETIME
from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.enrollment.ledger.staging import Staging
from pyannote_voiceprint_async.enrollment.ledger.store import LedgerStore
from pyannote_voiceprint_async.enrollment.ledger.unsent import UnsentRecording
from pyannote_voiceprint_async.enrollment.options import Options
from pyannote_voiceprint_async.enrollment.plan import RunPlan
from pyannote_voiceprint_async.settings import RateLimit

from .submission_urls import needs_upload

__all__ = ["make_plan", "plan_submissions"]


async def make_plan(
    client: AsyncVoiceprintClient, ledger: LedgerStore, staging: Staging, options: Options, now: float
) -> RunPlan:
    """Return what a run does with the list that was applied to the ledger, before it sends anything.

    Args:
        client: the client, for its rate limit.
        ledger: the ledger.
        staging: the list, applied.
        options: the options of the run.
        now: UTC epoch seconds.
    """
    report = await ledger.report()
    plan = RunPlan(
        rows=report.rows,
        succeeded=report.succeeded,
        submitted=report.submitted,
        overdue=await ledger.overdue(now - OUTPUT_LIFETIME),
        failed=report.failed,
        expired=report.expired,
        invalid=staging.invalid,
        forgotten=staging.forgotten,
        replaced=staging.replaced,
        limit=client.engine.submission_limit,
        price=options.price,
        warnings=tuple(staging.warnings),
        problems=tuple(staging.problems),
    )
    plan = await ledger.count_unsent(partial(plan_submissions, plan=plan, options=options, now=now))
    return attrs.evolve(plan, new_jobs=await ledger.new_jobs(plan.jobs + plan.possible_jobs))


def plan_submissions(recordings: Iterable[UnsentRecording], *, plan: RunPlan, options: Options, now: float) -> RunPlan:
    """Return the plan with the submissions of these recordings, in the order in which a run submits them. Pure.

    Args:
        recordings: the recordings of the list without a known job.
        plan: the plan so far.
        options: the options of the run.
        now: UTC epoch seconds.
    """
    jobs = possible = uploads = 0
    expiring = left = unresolved = resubmitted = 0
    for recording in recordings:
        is_certain = recording.is_pending or options.on_unknown == "resubmit"
        unresolved += 0 if is_certain else recording.rows
        if jobs == options.max_jobs:
            left += recording.rows if is_certain else 0
        elif options.resolve is None and _is_expired(recording, now + _turn(jobs + possible, plan.limit)):
            expiring += recording.rows if is_certain else 0
        elif not is_certain:
            possible += 1
        else:
            jobs += 1
            uploads += needs_upload(recording, now)
            resubmitted += 0 if recording.is_pending else recording.rows
    if options.max_jobs is not None:
        possible = min(possible, options.max_jobs - jobs)
    return attrs.evolve(
        plan,
        jobs=jobs,
        possible_jobs=possible,
        uploads=uploads,
        left=left,
        expiring=expiring,
        unresolved=unresolved,
        resubmitted=resubmitted,
        seconds=_turn(max(0, jobs + possible - 1), plan.limit),
    )


def _turn(submission: int, limit: RateLimit) -> float:
    """Return the seconds until the rate limit lets a submission go: the first `limit` at once, as many each `per`."""
    return submission // limit.limit * limit.per


def _is_expired(recording: UnsentRecording, at: float) -> bool:
    return recording.expires_at is not None and recording.expires_at <= at
