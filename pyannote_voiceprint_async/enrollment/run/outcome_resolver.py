"""Finding out what became of submissions whose outcome nobody knows: the list of jobs, and a decision."""

from collections.abc import Sequence

import attrs

from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.enrollment.ledger.recordings import UnresolvedSubmission
from pyannote_voiceprint_async.enrollment.ledger.store import LedgerStore
from pyannote_voiceprint_async.enrollment.options import OnUnknown
from pyannote_voiceprint_async.errors import JobError, NotFoundError, UnexpectedResponseError
from pyannote_voiceprint_async.models import Voiceprint

from .job_listing import UnbelievableError, list_back_to
from .outcome_matching import SETTLING_SECONDS, Verdict, decide
from .timeline import Timeline

__all__ = ["OutcomeResolver", "Settled"]

# If our newest job is no older than this, the list must contain it. It is read back to so many seconds before the
# first moment of interest.
_LISTED_FOR, _BEFORE = 24 * 3600.0, 60.0
# How long an unknown job may take before it is left to whoever made it.
_PATIENCE_TO_ADOPT = 900.0


@attrs.frozen
class Settled:
    """What became known."""

    unsent: int = 0
    """Rows of which nothing was accepted: they are sent, for free."""
    resubmitted: int = 0
    """Rows that are sent once more, and may be paid twice."""
    adopted: Sequence[tuple[int, Voiceprint]] = ()
    """Rows whose job was found, with its voiceprint."""
    uncertain: Sequence[int] = ()
    """Rows of which nobody can know."""


class OutcomeResolver:
    """Settles what is not known. It must run while none of our submissions is in flight.

    Args:
        client: the way to the API.
        ledger: what is known.
        on_unknown: what is done where a job may be ours.
        timeline: the clocks by which intents are written.
    """

    def __init__(
        self, client: AsyncVoiceprintClient, ledger: LedgerStore, on_unknown: OnUnknown, timeline: Timeline
    ) -> None:
        self._client = client
        self._ledger = ledger
        self._on_unknown = on_unknown
        self._timeline = timeline
        self._resubmitted: set[int] = set()
        self._total = client._transport.timeouts.total
        self._patience = self._total + SETTLING_SECONDS

    async def unresolved(self, *, uncertain_too: bool) -> list[UnresolvedSubmission]:
        """Give what is not known; with what earlier runs could not find out, if that is wanted."""
        return [one for one in await self._ledger.unresolved() if uncertain_too or not one.is_uncertain]

    def seconds_left(self, unresolved: Sequence[UnresolvedSubmission]) -> float:
        """Return the seconds until none of these requests can be inside the server any more.

        All of them have left before now, so that no clock can make this longer than the patience for one request.
        """
        latest = max(one.intended_until for one in unresolved)
        return min(latest - self._timeline.now().earliest, 0.0) + self._patience

    async def settle(self, unresolved: Sequence[UnresolvedSubmission]) -> Settled:
        """Look at the team's jobs, and decide.

        Raises:
            VoiceprintError: the jobs cannot be listed.
        """
        error_flags = await self._look(unresolved)
        await self._ledger.record_unknown_jobs((job.job_id, job.created_at) for job in error_flags.unknown)
        await self._ledger.resolve_unsent(error_flags.unsent)
        adopted = await self._adopt(error_flags) if self._on_unknown == "adopt" else []
        held = [number for number in error_flags.held if number not in {taken for taken, _ in adopted}]
        again: list[int] = []
        if self._on_unknown == "resubmit":
            # Once in a run: what is cut off again and again would be paid again and again.
            again = [number for number in held if number not in self._resubmitted]
            self._resubmitted.update(again)
            await self._ledger.resolve_resubmit(again)
        uncertain = [number for number in held if number not in set(again)]
        await self._ledger.resolve_uncertain(uncertain)
        return Settled(len(error_flags.unsent), len(again), adopted, uncertain)

    async def _look(self, unresolved: Sequence[UnresolvedSubmission]) -> Verdict:
        nobody_knows = Verdict([], [one.id for one in unresolved], {}, [])
        begins = min(one.intended_from for one in unresolved)
        newest, wanted = await self._ledger.newest_job(), None
        if newest is not None and newest[1] > self._timeline.now().latest - _LISTED_FOR:
            wanted, begins = newest[0], min(begins, newest[1])
        try:
            listing = await list_back_to(self._client, self._ledger, begins - _BEFORE, wanted=wanted, total=self._total)
        except (NotFoundError, UnexpectedResponseError, UnbelievableError):
            return nobody_knows  # a gateway without the list, or something that is none
        if not listing.offset.is_measured and not self._client._transport.knows_server_time:
            return nobody_knows  # this machine's clock may be anything
        return decide(
            unresolved,
            await self._ledger.abandoned_windows(),
            listing.unknown,
            patience=self._patience,
            listed_since=listing.since,
            now=self._timeline.at_least(),
            offset=listing.offset,
            ours=listing.ours,
        )

    async def _adopt(self, error_flags: Verdict) -> list[tuple[int, Voiceprint]]:
        """Take over jobs that can be nobody else's, if the key is used by nobody else."""
        adopted = []
        for number, job_id in error_flags.adoptable.items():
            task = await self._ledger.recording(number)
            try:
                job = await self._client._wait_for_voiceprint(job_id, self._client._clock.time() + _PATIENCE_TO_ADOPT)
            except JobError:
                continue  # no voiceprint: of another kind, or failed
            if await self._ledger.record_job(task, job_id, None):
                voiceprint = Voiceprint.of(job, task.model)
                await self._ledger.record_voiceprint(task, voiceprint, self._client._clock.wall())
                adopted.append((number, voiceprint))
        return adopted
