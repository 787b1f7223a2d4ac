"""The ledger of `enroll`, as its users open, read and maintain it."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from pyannote_voiceprint_async.enrollment.events import Report
from pyannote_voiceprint_async.models import Voiceprint
from pyannote_voiceprint_async.reprs import safe_repr

from . import maintenance
from .export import Exported, check_export, export, format_of
from .export_formats import ExportFormat
from .maintenance import FailedRow, Forgotten, Purged
from .store import LedgerStore
from .voiceprints import read_voiceprints

__all__ = ["Ledger"]

T = TypeVar("T")


@safe_repr
class Ledger:
    """The ledger of one list of speakers: an SQLite file. Blocking work runs in a thread.

    `async with Ledger(path)` opens it for runs: the file is created if it is missing, private to its owner, and locked
    until the end of the block, so that only one program at a time can submit its rows. Pass it to `enroll`, or pass the
    path.

    `voiceprints`, `status`, `failed_rows` and `export` also work on a ledger that is not open, and while any program
    has it open; `voiceprints`, `status` and `failed_rows` write nothing. `forget`, `purge` and `accept` write: they use
    the open ledger, or open it for the call. None of them runs while a run of this program uses the ledger.

    Args:
        path: the file. The constructor does not touch it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.store = LedgerStore(self.path)
        """Internal: what a run reads and writes."""

    def __repr__(self) -> str:
        return f"<Ledger {'open' if self.is_open else 'closed'}>"

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def is_open(self) -> bool:
        """Whether this object has the file open."""
        return self.store.is_open

    async def open(self) -> None:
        """Create the file if it is missing, lock it, and check it.

        Raises:
            LedgerInUseError: another run has it open.
            LedgerError: it cannot be used.
        """
        await self.store.open()

    async def aclose(self) -> None:
        """Write what is queued, and release the file. Closing twice is fine."""
        await self.store.aclose()

    async def voiceprints(self) -> AsyncIterator[tuple[str, Voiceprint]]:
        """Yield the label and the voiceprint of every row that has one, of all lists, by label.

        Raises:
            LedgerError: the ledger is missing or damaged, or cannot be read.
        """
        after = ""
        while page := await asyncio.to_thread(read_voiceprints, self.path, after):
            for label, voiceprint in page:
                yield label, voiceprint
                after = label

    async def status(self) -> Report:
        """Count the rows of the newest list by state.

        Raises:
            LedgerError: the ledger is missing, or cannot be read.
        """
        return await asyncio.to_thread(maintenance.status, self.path)

    async def failed_rows(self) -> AsyncIterator[FailedRow]:
        """Yield the rows of the newest list that failed, are uncertain or expired, by label.

        Raises:
            LedgerError: the ledger is missing, or cannot be read.
        """
        after = ""
        while page := await asyncio.to_thread(maintenance.read_failed_rows, self.path, after):
            for row in page:
                yield row
                after = row.label

    async def export(
        self,
        out: str | os.PathLike[str],
        file_format: ExportFormat | None = None,
        *,
        model: str | None = None,
        force: bool = False,
    ) -> Exported:
        """Write the rows with their voiceprints into a file that only its owner may read.

        The ledger records that the voiceprints were exported, so that `purge` may drop them.

        Args:
            out: the file; an earlier export is replaced when everything is written.
            file_format: `jsonl`, `csv`, or `json` for `{label: voiceprint}`; by default the suffix of the file, or
                else `jsonl`.
            model: only voiceprints of this model.
            force: replace a file that holds something other than an earlier export.

        Raises:
            ConfigurationError: the file must not be written, or a `json` file cannot hold all voiceprints.
            LedgerError: the ledger is missing or damaged, or cannot be read.
            OSError: the file cannot be written.
        """

        def checked_export() -> Exported:
            path = Path(out)
            chosen = file_format or format_of(path) or "jsonl"
            check_export(path, chosen, self.path, force=force)
            return export(self.path, path, chosen, model=model, force=force)

        return await asyncio.to_thread(checked_export)

    async def forget(self, labels: Iterable[str]) -> Forgotten:
        """Erase people, with their recordings and voiceprints, so that no later run enrolls them again.

        A recording that another label shares is kept. Only a hash of each label and recording is left.

        Args:
            labels: the labels of the people.

        Raises:
            LedgerInUseError: a run has the ledger.
            LedgerError: it cannot be used, or another program reads it; calling again completes it.
            TypeError: `labels` is a string.
        """
        if isinstance(labels, str):
            raise TypeError("Pass a list of labels, such as [label]: a string would be read as a list of letters.")
        wanted = list(labels)
        if not self.is_open:
            return await asyncio.to_thread(maintenance.forget, self.path, wanted)
        forgotten = await self._change(partial(maintenance.forget_labels, labels=wanted))
        if forgotten.labels:
            await self.store.database.compact()
        return forgotten

    async def purge(self) -> Purged:
        """Drop the exported voiceprints. Ids, hashes and states are kept, so that nothing is billed again.

        Raises:
            LedgerInUseError: a run has the ledger.
            LedgerError: it cannot be used, was never exported, or another program reads it.
        """
        if not self.is_open:
            return await asyncio.to_thread(maintenance.purge, self.path)
        purged = await self._change(maintenance.purge_exported)
        await self.store.database.compact()
        return purged

    async def accept(self, label: str, job_id: str) -> None:
        """Record a job that a run reported as not saved. The next run fetches its result.

        Args:
            label: the label of the row; for an identification, the name that was printed with the job.
            job_id: the id of the job.

        Raises:
            LedgerInUseError: a run has the ledger.
            LedgerError: the ledger has no such label, the label has another job, or the job belongs to another label.
        """
        if not self.is_open:
            await asyncio.to_thread(maintenance.accept, self.path, label, job_id)
        else:
            await self._change(partial(maintenance.accept_job, label=label, job_id=job_id))

    async def _change(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a function in a transaction of the open ledger, while no run uses it."""
        self.store.acquire()
        try:
            return await self.store.database.atomic(work)
        finally:
            self.store.release()
