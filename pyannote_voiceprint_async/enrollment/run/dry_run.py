"""A dry run: what a run would do and cost. The list is read and checked, and nothing is sent or changed."""

import os
from collections.abc import AsyncIterable, Iterable
from pathlib import Path

from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.enrollment.events import Progress
from pyannote_voiceprint_async.enrollment.ledger.ledger import Ledger
from pyannote_voiceprint_async.enrollment.ledger.snapshot import temporary_copy
from pyannote_voiceprint_async.enrollment.ledger.staging import Staging
from pyannote_voiceprint_async.enrollment.ledger.store import LedgerStore
from pyannote_voiceprint_async.enrollment.manifest.rows import Problem, Row
from pyannote_voiceprint_async.enrollment.options import Options
from pyannote_voiceprint_async.enrollment.plan import RunPlan

from .planning import make_plan
from .row_source import stage_rows

__all__ = ["DryRun"]


class DryRun:
    """A run that sends nothing and changes nothing.

    Args:
        client: the client, for its base URL, key and rate limit.
        rows: the list.
        ledger: the path of the ledger, which need not exist.
        options: the options of the run.
    """

    def __init__(
        self,
        client: AsyncVoiceprintClient,
        rows: Iterable[Row | Problem] | AsyncIterable[Row | Problem],
        ledger: str | os.PathLike[str],
        options: Options,
    ) -> None:
        self._client = client
        self._rows = rows
        self._ledger = Path(ledger)
        self._options = options
        self._staging: Staging | None = None

    @property
    def progress(self) -> Progress:
        """How far the list is read, at any time."""
        if self._staging is None:
            return Progress()
        return Progress(read=self._staging.rows_read, checking=self._staging.checking)

    async def run(self) -> RunPlan:
        """Return what `enroll` would do with the same arguments.

        Raises:
            ManifestError: the list is invalid.
            LedgerError: the ledger cannot be read, or belongs to another API or key.
        """
        async with temporary_copy(self._ledger) as copy, Ledger(copy) as opened:
            return await self._stage_and_plan(opened.store)

    async def _stage_and_plan(self, ledger: LedgerStore) -> RunPlan:
        engine, options = self._client.engine, self._options
        await ledger.claim(options.origin or engine.base_url, engine.api_key, new_key=options.new_key)
        self._staging = Staging.for_run(ledger, options)
        await stage_rows(self._staging, self._rows)
        now = engine.clock.wall()
        await self._staging.apply(now=now, retry_failed=options.retry_failed, retry_expired=options.retry_expired)
        return await make_plan(self._client, ledger, self._staging, options, now)
