"""Stage a list of speakers and apply it to the ledger: every problem is found before anything is billed."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Self, TypeAlias

import attrs

from pyannote_voiceprint_async.enrollment.manifest.preflight import CheckedAudio, Preflight
from pyannote_voiceprint_async.enrollment.manifest.row_checks import check_row
from pyannote_voiceprint_async.enrollment.manifest.rows import Problem, Row
from pyannote_voiceprint_async.enrollment.manifest.segments import Segments
from pyannote_voiceprint_async.enrollment.options import Options
from pyannote_voiceprint_async.errors import LedgerError, ManifestError

from . import staged_list
from .row_warnings import RowWarnings
from .store import LedgerStore

__all__ = ["Staging"]

_PAGE = 500
_MAX_PROBLEMS = 1000

_REPLACED = (
    "its recording is not the one that was billed for this label: it is submitted and billed, and the label no longer "
    "refers to the earlier voiceprint"
)
_REPLACED_PAID = (
    "its recording is not the one that was listed for this label: the label no longer refers to that voiceprint"
)

Rows: TypeAlias = Iterable[Row | Problem] | AsyncIterable[Row | Problem]


@attrs.define
class Staging:
    """The two steps by which a list gets into the ledger: `stage` reads and checks it, `apply` writes it.

    Args:
        ledger: the ledger.
        model: the model of rows that name none.
        has_resolver: whether the run has a `resolve` function, which accepts any source.
        allow_shared_audio: the same audio may have several labels; it is submitted once.
        skip_invalid: skip rows with a problem, instead of refusing the list.
        replace: submit labels again whose URL differs from the billed one only in its query.
        preflight: check audio files, where that is possible.
        trim: use the best part of files that are too long.
    """

    ledger: LedgerStore
    model: str
    has_resolver: bool = False
    allow_shared_audio: bool = False
    skip_invalid: bool = False
    replace: bool = False
    preflight: bool = True
    trim: bool = False
    problems: list[Problem] = attrs.field(factory=list, init=False)
    """The problems of the list, in its order; the first thousand."""
    warnings: RowWarnings = attrs.field(factory=RowWarnings, init=False)
    """The warnings about rows; the first thousand."""
    rows_read: int = attrs.field(default=0, init=False)
    """How many rows were read so far."""
    checking: str | None = attrs.field(default=None, init=False)
    """The name of the file that is being checked."""
    invalid: int = attrs.field(default=0, init=False)
    """How many rows are skipped because of a problem."""
    forgotten: int = attrs.field(default=0, init=False)
    """How many rows are skipped because `forget` erased them."""
    replaced: int = attrs.field(default=0, init=False)
    """How many labels got another recording than before, although the earlier one was billed."""
    _preflight: Preflight = attrs.field(init=False)
    _problem_count: int = attrs.field(default=0, init=False)
    _is_canceled: bool = attrs.field(default=False, init=False)

    @classmethod
    def for_run(cls, ledger: LedgerStore, options: Options) -> Self:
        """Return the staging of a run or of its dry run."""
        return cls(
            ledger,
            options.model,
            has_resolver=options.resolve is not None,
            allow_shared_audio=options.allow_shared_audio,
            skip_invalid=options.skip_invalid,
            replace=options.replace,
            preflight=options.preflight,
            trim=options.trim,
        )

    async def stage(self, rows: Rows) -> None:
        """Read and check the list. The ledger keeps only the results of audio checks, if the list is refused.

        Args:
            rows: the list; it is read once, in pages. A plain iterable is read in a worker thread.

        Raises:
            ManifestError: the list has problems, and `skip_invalid` is not set.
            ConfigurationError: a row needs to be cut, and the extra `[audio]` is missing.
        """
        self._preflight = await asyncio.to_thread(
            Preflight.create, is_wanted=self.preflight, trim=self.trim, is_canceled=lambda: self._is_canceled
        )
        database = self.ledger.database
        await database.read(staged_list.create)
        try:
            await self._read_and_check(rows)
        except BaseException:
            self._is_canceled = True
            with suppress(LedgerError):  # the files are then checked again
                await database.atomic(staged_list.keep_checks)
            raise

    async def apply(self, *, now: float, retry_failed: str | None = None, retry_expired: bool = False) -> None:
        """Write the staged list into the ledger, in one transaction.

        Args:
            now: UTC epoch seconds.
            retry_failed: retry rows that failed with this text in their error; an empty text retries all of them.
            retry_expired: resubmit rows whose result expired before it was fetched (billed again).
        """
        await self.ledger.database.atomic(
            partial(self._apply, now=now, retry_failed=retry_failed, retry_expired=retry_expired)
        )

    async def _read_and_check(self, rows: Rows) -> None:
        database = self.ledger.database
        async for page in _pages(rows):
            await database.read(partial(self._stage_page, page=page, position=self.rows_read))
            self.rows_read += len(page)
        await database.read(self._check_list)
        if self.problems and not self.skip_invalid:
            raise _manifest_error(self.problems, self._problem_count)

    # In the thread of the database

    def _stage_page(self, connection: sqlite3.Connection, page: Sequence[Row | Problem], position: int) -> None:
        records = []
        for at, row in enumerate(page, position):
            if self._is_canceled:
                return  # checking the files of a page can take long
            records.append(self._stage_row(connection, row, at))
        staged_list.insert(connection, records)

    def _stage_row(self, connection: sqlite3.Connection, row: Row | Problem, position: int) -> tuple[Any, ...]:
        preflight = self._preflight
        checked = (
            row
            if isinstance(row, Problem)
            else check_row(
                row,
                model=self.model,
                has_resolver=self.has_resolver,
                check_file=partial(self._check_file, connection),
                trim=preflight.trim,
            )
        )
        if isinstance(checked, Problem):
            self._add_problem(checked)
            return staged_list.to_wrong_record(position, checked)
        self.warnings.add(checked, is_unavailable=preflight.is_unavailable)
        settings_key = preflight.settings_key(checked.row.segments) if checked.is_file else ""
        return staged_list.to_record(position, checked, settings_key)

    def _check_file(
        self, connection: sqlite3.Connection, path: Path, found: os.stat_result, segments: Segments
    ) -> CheckedAudio:
        settings_key = self._preflight.settings_key(segments)
        if earlier := staged_list.earlier_check(connection, path, found, settings_key, is_whole=not segments):
            return earlier
        self.checking = path.name
        try:
            return self._preflight.check_file(path, found, segments)
        finally:
            self.checking = None

    def _check_list(self, connection: sqlite3.Connection) -> None:
        self.forgotten = staged_list.delete_forgotten(connection)
        for problem in staged_list.find_conflicts(
            connection, allow_shared_audio=self.allow_shared_audio, replace=self.replace
        ):
            self._add_problem(problem)
        self.invalid = staged_list.count_invalid(connection)
        self.problems.sort(key=lambda problem: problem.line or 0)

    def _apply(
        self, connection: sqlite3.Connection, *, now: float, retry_failed: str | None, retry_expired: bool
    ) -> None:
        run = self.ledger.run
        for label, is_paid in staged_list.replaced_labels(connection):
            self.replaced += 1
            self.warnings.add_note(label, _REPLACED_PAID if is_paid else _REPLACED)
        staged_list.apply(
            connection, run=run, now=now, invalid=self.invalid, allow_shared_audio=self.allow_shared_audio
        )
        staged_list.reset_rows(connection, run=run, now=now, retry_failed=retry_failed, retry_expired=retry_expired)
        staged_list.drop(connection)

    def _add_problem(self, problem: Problem) -> None:
        self._problem_count += 1
        if len(self.problems) < _MAX_PROBLEMS:
            self.problems.append(problem)


def _manifest_error(problems: Sequence[Problem], count: int) -> ManifestError:
    more = f"\n  and {count - len(problems)} more" if count > len(problems) else ""
    things = "one thing is" if count == 1 else f"{count} things are"
    return ManifestError(
        f"Nothing was sent: {things} wrong with the list. Correct it, or continue without those rows (--skip-invalid; "
        "in Python, skip_invalid=True).\n" + "\n".join(f"  {problem}" for problem in problems) + more,
        problems=problems,
    )


async def _pages(rows: Rows) -> AsyncIterator[list[Row | Problem]]:
    if isinstance(rows, AsyncIterable):
        page = []
        async for row in rows:
            page.append(row)
            if len(page) == _PAGE:
                yield page
                page = []
        if page:
            yield page
        return
    iterator: Iterator[Row | Problem] = await asyncio.to_thread(iter, rows)
    while page := await asyncio.to_thread(lambda: list(islice(iterator, _PAGE))):
        yield page
