"""Finding out what became of submissions whose outcome nobody knows: the list of jobs, and a decision."""

from collections.abc import Sequence

import attrs

from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.errors import JobError, NotFoundError, UnexpectedResponseError
from pyannote_voiceprint_async.models import JobSummary, Voiceprint

from .ledger import Ledger, Unresolved
from .options import OnUnknown
from .reconcile import SETTLING_SECONDS, UnknownJob, Verdict, decide, windows_of

__all__ = ["Settled", "Settling"]

_LOOKED_UP_AT_ONCE = 100
# Our own last job is looked for in the list if it is no older than this, and from so many seconds before it on.
_LISTED_FOR, _BEFORE_NEWEST = 24 * 3600.0, 60.0
# How long an unknown job may take before it is left to whoever made it.
_PATIENCE_TO_ADOPT = 900.0
# Of others, in the time of our own submissions: at the highest limit that would be a day and a half.
_MOST_UNKNOWN = 1_000_000


class _UnbelievableError(Exception):
    """A list of jobs that cannot be all of it. It never leaves this file."""


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


class Settling:
    """Settles what is not known. It must run while none of our submissions is in flight.

    Args:
        client: the way to the API.
        ledger: what is known.
        on_unknown: what is done where a job may be ours.
    """

    def __init__(self, client: AsyncVoiceprintClient, ledger: Ledger, on_unknown: OnUnknown) -> None:
        self._client = client
        self._ledger = ledger
        self._on_unknown = on_unknown
        self._resubmitted: set[int] = set()
        self._patience = client._transport.timeouts.total + SETTLING_SECONDS

    async def unresolved(self, *, uncertain_too: bool) -> list[Unresolved]:
        """Give what is not known; with what earlier runs could not find out, if that is wanted."""
        return [one for one in await self._ledger.unresolved() if uncertain_too or not one.is_uncertain]

    def over_at(self, unresolved: Sequence[Unresolved]) -> float:
        """Give when all their windows are over, by the server's clock. All of them have left before now."""
        latest = max(one.intended_until for one in unresolved)
        return min(latest, self._client._transport.server_time()[1]) + self._patience

    def seconds_to(self, moment: float) -> float:
        """Give the seconds to a moment of the server's clock."""
        return moment - self._client._transport.server_time()[0]

    async def settle(self, unresolved: Sequence[Unresolved]) -> Settled:
        """Look at the team's jobs, and decide.

        Raises:
            VoiceprintError: the jobs cannot be listed.
        """
        verdict = await self._look(unresolved)
        await self._ledger.keep_unknown(verdict.unknown)
        await self._ledger.settle_unsent(verdict.unsent)
        adopted = await self._adopt(verdict) if self._on_unknown == "adopt" else []
        held = [number for number in verdict.held if number not in {taken for taken, _ in adopted}]
        again: list[int] = []
        if self._on_unknown == "resubmit":
            # Once in a run: what is cut off again and again would be paid again and again.
            again = [number for number in held if number not in self._resubmitted]
            self._resubmitted.update(again)
            await self._ledger.settle_resubmit(again)
        uncertain = [number for number in held if number not in set(again)]
        await self._ledger.settle_uncertain(uncertain)
        return Settled(len(verdict.unsent), len(again), adopted, uncertain)

    async def _look(self, unresolved: Sequence[Unresolved]) -> Verdict:
        nobody_knows = Verdict([], [one.id for one in unresolved], {}, [])
        if not self._client._transport.knows_server_time:
            return nobody_knows  # this machine's clock may be anything
        windows = windows_of(((one.intended_from, one.intended_until) for one in unresolved), self._patience)
        try:
            unknown, listed_since = await self._unknown_jobs(since=min(window.begins for window in windows))
        except (NotFoundError, UnexpectedResponseError, _UnbelievableError):
            return nobody_knows  # a gateway without the list, or something that is none
        return decide(
            unresolved,
            await self._ledger.lost_windows(),
            unknown,
            patience=self._patience,
            listed_since=listed_since,
            now=self._client._transport.server_time()[1],
        )

    async def _unknown_jobs(self, *, since: float) -> tuple[list[UnknownJob], float | None]:
        """List the jobs that are not ours back to some time, and say how far back the list went."""
        newest = await self._ledger.newest_job()
        wanted = None
        if newest is not None and newest[1] > self._client._transport.server_time()[1] - _LISTED_FOR:
            wanted, since = newest[0], min(since, newest[1] - _BEFORE_NEWEST)
        unknown, piece, older, has_wanted = list[UnknownJob](), list[JobSummary](), 0, wanted is None
        listed_since: float | None = None
        async for job in self._client.list_jobs():
            if len(unknown) > _MOST_UNKNOWN:
                raise UnexpectedResponseError(
                    "The API's list of jobs does not end, so nobody can know what is missing."
                )
            piece.append(job)
            has_wanted |= job.job_id == wanted
            created_at = job.created_at.timestamp() if job.created_at else None
            # Newest first, but nobody promises it to the second: a page of older ones is believed.
            older = older + 1 if created_at is not None and created_at < since else 0
            if older >= _LOOKED_UP_AT_ONCE:
                listed_since = created_at
                break
            if len(piece) == _LOOKED_UP_AT_ONCE:
                unknown += await self._not_ours(piece)
                piece = []
        if not has_wanted:
            raise _UnbelievableError  # what does not show our own last job may hide others
        return unknown + await self._not_ours(piece), listed_since

    async def _not_ours(self, jobs: Sequence[JobSummary]) -> list[UnknownJob]:
        ours = await self._ledger.known_jobs([job.job_id for job in jobs])
        return [
            UnknownJob(job.job_id, job.created_at.timestamp() if job.created_at else None)
            for job in jobs
            if job.job_id not in ours
        ]

    async def _adopt(self, verdict: Verdict) -> list[tuple[int, Voiceprint]]:
        """Take over jobs that can be nobody else's, if the key is used by nobody else."""
        adopted = []
        for number, job_id in verdict.adoptable.items():
            task = await self._ledger.task(number)
            try:
                job = await self._client._wait_for_voiceprint(job_id, self._client._clock.time() + _PATIENCE_TO_ADOPT)
            except JobError:
                continue  # no voiceprint: of another kind, or failed
            created_at = job.created_at.timestamp() if job.created_at else self._client._transport.server_time()[0]
            if await self._ledger.accept(task, job_id, created_at):
                voiceprint = Voiceprint.of(job, task.model)
                await self._ledger.succeed(task, voiceprint, self._client._clock.wall())
                adopted.append((number, voiceprint))
        return adopted
