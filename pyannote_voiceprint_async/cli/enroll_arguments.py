"""The arguments of `enroll`, checked before a ledger is created."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import click

from pyannote_voiceprint_async.enrollment import Manifest, rows_from_sources
from pyannote_voiceprint_async.enrollment.ledger.export import check_export, format_of, ledger_files
from pyannote_voiceprint_async.enrollment.ledger.export_formats import ExportFormat
from pyannote_voiceprint_async.enrollment.ledger.output_file import OutputFile
from pyannote_voiceprint_async.enrollment.manifest.names import find_existing
from pyannote_voiceprint_async.enrollment.manifest.preflight import PREFLIGHT_UNAVAILABLE
from pyannote_voiceprint_async.enrollment.manifest.skipped_files import SkippedFiles
from pyannote_voiceprint_async.enrollment.manifest.source_kinds import is_manifest
from pyannote_voiceprint_async.enrollment.manifest.sources import SourceRows
from pyannote_voiceprint_async.enrollment.options import Options
from pyannote_voiceprint_async.errors import ConfigurationError

from .options import CommonOptions

__all__ = ["EnrollArguments", "files_found", "list_notes", "skipped_files"]

# Files in which people keep lists, and which are never recordings.
_OTHER_LISTS = (".txt", ".json", ".xls", ".xlsx", ".ods", ".xml", ".yaml", ".yml", ".parquet")


@attrs.frozen(kw_only=True)
class EnrollArguments:
    """The arguments and options of `enroll`."""

    common: CommonOptions
    sources: tuple[str, ...]
    ledger_option: Path | None
    out: Path | None
    report: Path | None
    force: bool
    dry_run: bool
    yes: bool
    label_column: str | None
    source_column: str | None
    options: Options

    @property
    def manifest(self) -> Path | None:
        """The path of the list of speakers; None if the sources are recordings."""
        return find_existing(Path(self.sources[0])) if is_manifest(self.sources[0]) else None

    @property
    def ledger(self) -> Path:
        """The path of the ledger. The sandbox has its own, so that made-up and real voiceprints are never mixed."""
        if self.ledger_option is not None:
            return find_existing(self.ledger_option)
        return (self.manifest or Path("voiceprints")).with_suffix(
            ".sandbox.ledger" if self.common.sandbox else ".ledger"
        )

    @property
    def sandbox_store(self) -> Path:
        """The file in which the embedded sandbox keeps its jobs, because the sandbox ends with the command."""
        return self.ledger.with_name(f"{self.ledger.name}.server")

    @property
    def out_format(self) -> ExportFormat | None:
        """The format of `--out`; None if there is no `--out`, or its suffix is unknown."""
        if self.out is None:
            return None
        # Devices and pipes have no suffix.
        return format_of(self.out) or ("jsonl" if OutputFile(self.out, "jsonl").is_stream else None)

    @property
    def report_file(self) -> OutputFile | None:
        """The file for the summary; None if there is no `--report`."""
        return None if self.report is None else OutputFile(self.report, "report", self.force)

    def rows(self) -> Manifest | SourceRows:
        """Return the rows to enroll."""
        if self.manifest is None:
            return rows_from_sources(self.sources)
        return Manifest(self.manifest, label_column=self.label_column, source_column=self.source_column)

    def write_report(self, record: Mapping[str, Any]) -> None:
        """Write the file of `--report`, if any.

        Raises:
            OSError: it cannot be written.
            ConfigurationError: the path got other content in the meantime.
        """
        if self.report_file is not None:
            with self.report_file.write() as file:
                file.write(json.dumps(record, indent=2, ensure_ascii=False) + "\n")

    def check(self) -> None:
        """Check everything that can be checked before a ledger is created.

        Raises:
            click.UsageError: the arguments contradict each other, or a source does not exist.
            ConfigurationError: an output file cannot be written.
        """
        self._check_sources()
        if self.out is not None:
            if self.out_format is None:
                raise click.UsageError(f"--out must end in .jsonl, .csv or .json, not {self.out.name!r}.")
            others = filter(None, (self.manifest, self.report))
            check_export(self.out, self.out_format, self.ledger, *others, force=self.force)
        if self.report_file is not None:
            try:
                self.report_file.check(*ledger_files(self.ledger), *filter(None, [self.manifest]))
            except ConfigurationError as error:
                raise ConfigurationError(f"--report {error}") from None

    def _check_sources(self) -> None:
        lists = [source for source in self.sources if is_manifest(source)]
        if lists and len(self.sources) > 1:
            raise click.UsageError(
                f"{lists[0]} is a list of speakers: pass it alone, or pass recordings without a list."
            )
        if self.manifest is not None and not self.manifest.exists():
            folder = "" if self.manifest.is_absolute() else f" in {Path.cwd()}"
            raise click.UsageError(f"{self.manifest}: no such file{folder}.")
        if not lists and (self.label_column or self.source_column):
            raise click.UsageError("--label-column and --source-column need a list of speakers.")
        wrong = next((source for source in self.sources if source.lower().endswith(_OTHER_LISTS)), None)
        if wrong is not None:
            raise click.UsageError(f"{wrong} is not a recording. Save a list of speakers as .csv, .tsv or .jsonl.")


def skipped_files(rows: Manifest | SourceRows) -> SkippedFiles:
    """Return the files of directories that are not rows."""
    return rows.skipped_files if isinstance(rows, SourceRows) else SkippedFiles()


def files_found(rows: Manifest | SourceRows) -> int:
    """Return how many files a search of directories has found so far."""
    return rows.files_found if isinstance(rows, SourceRows) else 0


def list_notes(rows: Manifest | SourceRows) -> tuple[str, ...]:
    """Return the possible notes about the whole list, once it is read."""
    return (skipped_files(rows).warning, PREFLIGHT_UNAVAILABLE)
