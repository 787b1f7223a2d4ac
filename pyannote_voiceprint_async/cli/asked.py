"""What `enroll` was asked for, checked before there is a ledger."""

from pathlib import Path

import attrs
import click

from pyannote_voiceprint_async.api.endpoints import DEFAULT_LIMITS
from pyannote_voiceprint_async.enrollment import Manifest, rows_from_sources
from pyannote_voiceprint_async.enrollment.ledger.export import check_export, format_of, ledger_files
from pyannote_voiceprint_async.enrollment.ledger.export_formats import ExportFormat
from pyannote_voiceprint_async.enrollment.ledger.output_file import OutputFile
from pyannote_voiceprint_async.enrollment.manifest.names import find_existing
from pyannote_voiceprint_async.enrollment.manifest.source_kinds import is_manifest
from pyannote_voiceprint_async.enrollment.manifest.sources import SourceRows
from pyannote_voiceprint_async.enrollment.options import Options
from pyannote_voiceprint_async.errors import ConfigurationError
from pyannote_voiceprint_async.settings import RateLimit

from .options import Common

__all__ = ["Asked"]

# What people keep lists in, and what is never a recording.
_OTHER_LISTS = (".txt", ".json", ".xls", ".xlsx", ".ods", ".xml", ".yaml", ".yml", ".parquet")


@attrs.frozen(kw_only=True)
class Asked:
    """What the command was asked for."""

    common: Common
    sources: tuple[str, ...]
    given_ledger: Path | None
    out: Path | None
    report: Path | None
    force: bool
    dry_run: bool
    label_column: str | None
    source_column: str | None
    options: Options

    @property
    def manifest(self) -> Path | None:
        """The list of speakers, where there is one."""
        return find_existing(Path(self.sources[0])) if is_manifest(self.sources[0]) else None

    @property
    def ledger(self) -> Path:
        """The ledger; that of the sandbox is never that of real voiceprints."""
        if self.given_ledger is not None:
            return find_existing(self.given_ledger)
        return (self.manifest or Path("voiceprints")).with_suffix(
            ".sandbox.ledger" if self.common.sandbox else ".ledger"
        )

    @property
    def store(self) -> Path:
        """Where the embedded sandbox keeps its jobs: killing the command kills it, too."""
        return self.ledger.with_name(f"{self.ledger.name}.server")

    @property
    def form(self) -> ExportFormat | None:
        """How `out` is written."""
        if self.out is None:
            return None
        # The name of a device or a pipe asks for none.
        return format_of(self.out) or ("jsonl" if OutputFile(self.out, "jsonl").is_stream else None)

    @property
    def report_file(self) -> OutputFile | None:
        """Where the summary is written."""
        return None if self.report is None else OutputFile(self.report, "report", self.force)

    @property
    def limit(self) -> RateLimit:
        """How fast submissions go, as far as that is known before the API is asked."""
        documented = RateLimit(DEFAULT_LIMITS["submissions"])
        asked = self.common.rate_limit or documented
        return min(asked, documented, key=lambda limit: limit.limit / limit.per)

    def rows(self) -> Manifest | SourceRows:
        """Give the speakers."""
        if self.manifest is None:
            return rows_from_sources(self.sources)
        return Manifest(self.manifest, label_column=self.label_column, source_column=self.source_column)

    def check(self) -> None:
        """Make sure of all that can be known before a ledger is made.

        Raises:
            click.UsageError: it was asked for in a way that cannot work.
            ConfigurationError: a file cannot be written.
        """
        self._check_sources()
        if self.out is not None:
            if self.form is None:
                raise click.UsageError(f"--out must end in .jsonl, .csv or .json, not {self.out.name!r}.")
            others = filter(None, (self.manifest, self.report))
            check_export(self.out, self.form, self.ledger, *others, force=self.force)
        if self.report_file is not None:
            try:
                self.report_file.check(*ledger_files(self.ledger), *filter(None, [self.manifest]))
            except ConfigurationError as error:
                raise ConfigurationError(f"--report {error}") from None

    def _check_sources(self) -> None:
        lists = [source for source in self.sources if is_manifest(source)]
        if lists and len(self.sources) > 1:
            raise click.UsageError(f"{lists[0]} is a list of speakers: give it alone, or recordings without a list.")
        if self.manifest is not None and not self.manifest.exists():
            raise click.UsageError(f"{self.manifest}: no such file.")
        if not lists and (self.label_column or self.source_column):
            raise click.UsageError("--label-column and --source-column are for a list of speakers.")
        other = next((source for source in self.sources if source.lower().endswith(_OTHER_LISTS)), None)
        if other is not None:
            raise click.UsageError(f"{other} is no recording. Save a list of speakers as .csv, .tsv or .jsonl.")
