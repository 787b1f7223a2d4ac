"""Resolve submissions of unknown outcome with the team's list of jobs, and record the result in the ledger."""

from collections.abc import Sequence

import attrs

from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.enrollment.ledger.recordings import UnknownOutcome
from pyannote_voiceprint_async.enrollment.ledger.store import LedgerStore
from pyannote_voiceprint_async.enrollment.options import OnUnknown
from pyannote_voiceprint_async.errors import JobError, NotFoundError, UnexpectedResponseError
from pyannote_voiceprint_async.models import Voiceprint

from .job_listing import IncompleteListingError, list_jobs_since
from .outcome_matching import LATE_ACCEPTANCE_SECONDS, MINIMUM_SKEW, OTHER_TYPES, MatchResult, match_outcomes
from .timeline import Timeline

__all__ = ["OutcomeResolver", "Resolution"]

# If our newest job is under 24 h old, the list must contain it.
_LISTED_FOR = 24 * 3600.0
# Seconds before the first intent back to which the list is read: each job there may be that of a held submission.
_LISTING_MARGIN = MINIMUM_SKEW + 60.0
# A job that does not finish within this many seconds is not adopted: another program may have submitted it.
_ADOPTION_TIMEOUT = 900.0


@attrs.frozen
class Resolution:
    """The result of resolving submissions of unknown outcome."""

    not_accepted: int = 0
    """How many submissions were not accepted. They are sent again, and billed once."""
    resubmitted: int = 0
    """How many submissions are sent once more although they may have been accepted: they may be billed twice."""
    adopted: Sequence[tuple[int, Voiceprint]] = ()
    """Ids of the recordings whose job was found, each with its voiceprint."""
    uncertain: Sequence[int] = ()
    """Ids of the recordings whose outcome stays unknown."""


class OutcomeResolver:
    """Resolves unknown outcomes. No submission of the run may be in flight meanwhile.

    Args:
        client: the client that lists the jobs.
        ledger: the ledger.
        on_unknown: what to do with a submission that may have been accepted.
        timeline: the clocks that date intents.
        other_types: the listed types of jobs that cannot be those of the submissions. Without it, the submissions are
            voiceprints.
    """

    def __init__(
        self,
        client: AsyncVoiceprintClient,
        ledger: LedgerStore,
        on_unknown: OnUnknown,
        timeline: Timeline,
        *,
        other_types: frozenset[str] | None = None,
    ) -> None:
        self._other_types = other_types
        self._client = client
        self._ledger = ledger
        self._on_unknown = on_unknown
        self._timeline = timeline
        self._resubmitted: set[int] = set()
        self._max_submission_seconds = client.engine.timeouts.total
        self._request_lifetime = self._max_submission_seconds + LATE_ACCEPTANCE_SECONDS

    async def unresolved(self, *, of_earlier_runs: bool) -> list[UnknownOutcome]:
        """Return the submissions of unknown outcome.

        Args:
            of_earlier_runs: whether to include the submissions that earlier runs could not resolve.
        """
        unresolved = await self._ledger.unknown_outcomes()
        return [submission for submission in unresolved if of_earlier_runs or not submission.is_uncertain]

    def seconds_left(self, unresolved: Sequence[UnknownOutcome]) -> float:
        """Return the seconds until the server can no longer accept any of these requests.

        The result is never longer than the lifetime of one request, even with a wrong clock: all were sent before now.
        """
        latest = max(submission.intended_until for submission in unresolved)
        return min(latest - self._timeline.now().earliest, 0.0) + self._request_lifetime

    async def resolve(self, unresolved: Sequence[UnknownOutcome]) -> Resolution:
        """Match the submissions with the team's jobs, and record the result in the ledger.

        Raises:
            VoiceprintError: the jobs cannot be listed.
        """
        result = await self._match(unresolved)
        await self._ledger.record_unknown_jobs((job.job_id, job.created_at) for job in result.unknown_jobs)
        await self._ledger.resolve_not_accepted(result.not_accepted)
        adopted = await self._adopt(result) if self._on_unknown == "adopt" else []
        adopted_ids = {number for number, _ in adopted}
        held = [number for number in result.possibly_accepted if number not in adopted_ids]
        resubmitted = await self._resubmit(held) if self._on_unknown == "resubmit" else []
        uncertain = [number for number in held if number not in resubmitted]
        await self._ledger.resolve_uncertain(uncertain)
        return Resolution(len(result.not_accepted), len(resubmitted), adopted, uncertain)

    async def _match(self, unresolved: Sequence[UnknownOutcome]) -> MatchResult:
        all_possible = MatchResult([], [submission.id for submission in unresolved], {}, [])
        since = min(submission.intended_from for submission in unresolved)
        newest, required = await self._ledger.newest_job(), None
        if newest is not None and newest[1] > self._timeline.now().latest - _LISTED_FOR:
            required, since = newest[0], min(since, newest[1])
        try:
            listing = await list_jobs_since(
                self._client,
                self._ledger,
                since - _LISTING_MARGIN,
                required=required,
                max_submission_seconds=self._max_submission_seconds,
            )
        except (NotFoundError, UnexpectedResponseError, IncompleteListingError):
            return all_possible  # there is no list, or it is incomplete
        if not listing.offset.is_measured and not self._client.engine.has_server_time:
            return all_possible  # this machine's clock may be wrong by any amount
        return match_outcomes(
            unresolved,
            await self._ledger.unresolvable_outcomes(),
            listing.unknown_jobs,
            request_lifetime=self._request_lifetime,
            listed_since=listing.since,
            now=self._timeline.at_least(),
            offset=listing.offset,
            # The ledger may hold jobs of both kinds: only the type tells an unknown identification from a voiceprint.
            own_jobs=listing.own_jobs if self._other_types is None else (),
            other_types=self._other_types or OTHER_TYPES,
        )

    async def _resubmit(self, held: Sequence[int]) -> list[int]:
        """Make recordings pending again, each at most once in a run: it may be billed again each time."""
        resubmitted = [number for number in held if number not in self._resubmitted]
        self._resubmitted.update(resubmitted)
        await self._ledger.resolve_resubmit(resubmitted)
        return resubmitted

    async def _adopt(self, result: MatchResult) -> list[tuple[int, Voiceprint]]:
        """Adopt the jobs that belong to our submissions, provided that no other program uses the key."""
        adopted = []
        for number, job_id in result.adoptable.items():
            recording = await self._ledger.recording(number)
            try:
                job = await self._client.engine.wait_for_voiceprint(
                    job_id, self._client.engine.clock.time() + _ADOPTION_TIMEOUT
                )
            except JobError:
                continue  # the job has no voiceprint: it is of another kind, failed, or has not finished
            if await self._ledger.record_job(recording, job_id, None):
                voiceprint = Voiceprint.from_job(job, recording.model)
                await self._ledger.record_voiceprint(recording, voiceprint, self._client.engine.clock.wall())
                adopted.append((number, voiceprint))
        return adopted
