"""The intent of one submission: it is in the ledger before the first byte is sent."""

from pyannote_voiceprint_async.enrollment.ledger.intents import SubmittedRow
from pyannote_voiceprint_async.enrollment.ledger.store import LedgerStore

from .timeline import Timeline

__all__ = ["SubmissionIntent"]


class SubmissionIntent:
    """The times between which a row may have been submitted.

    Args:
        ledger: the ledger.
        row: the row.
        timeline: the clock of the server.
    """

    def __init__(self, ledger: LedgerStore, row: SubmittedRow, timeline: Timeline) -> None:
        self._ledger = ledger
        self._row = row
        self._timeline = timeline
        self._begin: float | None = None

    async def record(self) -> None:
        """Record that a try is about to be sent.

        Raises:
            LedgerError: the row is no longer pending; nothing must be sent.
        """
        earliest, latest = self._timeline.now()
        if self._begin is None:
            # Earlier tries that were not refused may have been accepted, so the intent begins with the first of them.
            self._begin = earliest
        await self._ledger.record_intent(self._row, self._begin, latest)

    def withdraw_later(self) -> None:
        """Queue that all tries so far were refused."""
        self._begin = None
        self._ledger.withdraw_intent_later(self._row)

    async def extend(self) -> None:
        """Record that the last try may have been sent as late as now.

        The intent may be much older than the request, if the process was suspended between them.
        """
        await self._ledger.extend_intent(self._row, self._timeline.now().latest)
