"""`pyannote-voiceprint manifest`: make lists of speakers from the output of diarization."""

import csv
import os
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

import click

from pyannote_voiceprint_async.enrollment import Problem, Row, rows_from_rttm
from pyannote_voiceprint_async.enrollment.ledger.output_file import OutputFile
from pyannote_voiceprint_async.enrollment.manifest.names import find_existing, normalize_name
from pyannote_voiceprint_async.enrollment.manifest.segments import format_segments
from pyannote_voiceprint_async.enrollment.manifest.source_kinds import is_url
from pyannote_voiceprint_async.errors import ConfigurationError, MediaError

from .exit_codes import ExitCode, WrongUsage
from .formatting import format_count
from .option_groups import Group
from .options import FILE_PATH
from .output import print_status

__all__ = ["manifest"]

_EXAMPLE = "manifest from-rttm talk.rttm --audio talk.wav --out speakers.csv"
_COLUMNS = ("label", "source", "start", "end", "seconds")


@click.group(cls=Group, examples=[_EXAMPLE])
def manifest() -> None:
    """Make a list of speakers for `enroll`."""


@manifest.command("from-rttm", examples=[_EXAMPLE])
@click.argument("rttm", type=FILE_PATH, metavar="FILE.rttm")
@click.option("--audio", type=FILE_PATH, required=True, metavar="FILE", help="The recording that the RTTM describes.")
@click.option("--out", type=FILE_PATH, metavar="FILE.csv", help="File to write [default: stdout].")
@click.option("--force", is_flag=True, help="Replace an existing file.")
@click.option("--label", "labels", multiple=True, metavar="OLD=NEW", help="Label for a speaker; repeatable.")
@click.option("--file-id", metavar="NAME", help="The recording's name in the RTTM [default: that of the audio].")
def from_rttm(  # noqa: PLR0913 - the options of the command
    rttm: Path,
    audio: Path,
    *,
    out: Path | None,
    force: bool,
    labels: Sequence[str],
    file_id: str | None,
) -> None:
    """Make a list of the speakers of a recording from its RTTM, which diarization writes.

    For each speaker, the list has the longest turns that overlap no other speaker, at most 30 seconds in total. `start`
    and `end` are seconds in the recording; `enroll` cuts the segments out. The exit code is 1 if a speaker is never
    alone or cannot be listed, and 2 if no list was written.

    Identification refuses labels that begin with `speaker_`: SPEAKER_00 of meeting.wav is listed as `meeting
    SPEAKER_00`, unless --label gives another label. This command needs the extra `[audio]`.
    """
    label_of = _parse_labels(labels)
    rttm, audio = find_existing(rttm), find_existing(audio)
    _check_files(rttm, audio, out, force=force)
    try:
        found = rows_from_rttm(rttm, audio, labels=label_of, file_id=file_id)
    except MediaError as error:
        raise WrongUsage(str(error)) from None
    rows = [row for row in found if isinstance(row, Row)]
    problems = [problem for problem in found if isinstance(problem, Problem)]
    for problem in problems:
        print_status(f"Left out: {problem.label} {problem.message}.")
    for warning in dict.fromkeys(warning for row in rows for warning in row.warnings):
        print_status(f"Warning: {warning}, and confirm it with --file-id.")
    if not rows:
        raise WrongUsage("No speaker can be listed: nothing was written.")
    _write_list(out, rows, force=force)
    _report_default_labels(rows, label_of)
    sys.exit(ExitCode.SOME_FAILED if problems else ExitCode.SUCCESS)


def _check_files(rttm: Path, audio: Path, out: Path | None, *, force: bool) -> None:
    if out is not None:
        try:
            OutputFile(out, "list", force).check(rttm, audio)
        except ConfigurationError as error:
            raise ConfigurationError(f"--out {error}") from None
    if not _is_utf8(audio):
        raise ConfigurationError(f"--audio {_printable(audio)}: the file name is not UTF-8; rename the file.")


def _report_default_labels(rows: Iterable[Row], label_of: Mapping[str, str]) -> None:
    for row in rows:
        speaker = row.extra["speaker"]
        if speaker not in label_of and row.label != speaker:
            print_status(
                f"{speaker} is listed as {row.label!r}, because identification refuses labels that begin with "
                f"speaker_. To give another label: --label {shlex.quote(f'{speaker}=NAME')}"
            )


def _parse_labels(texts: Iterable[str]) -> dict[str, str]:
    label_of: dict[str, str] = {}
    for speaker, label in map(_parse_label, texts):
        if (other := label_of.setdefault(speaker, label)) != label:
            raise click.UsageError(f"--label gives {speaker} two labels, {other!r} and {label!r}; give one of them.")
    return label_of


def _parse_label(text: str) -> tuple[str, str]:
    old, separator, new = text.partition("=")
    if not (separator and old.strip() and new.strip()):
        raise click.UsageError(f"--label {text!r} is not valid: write OLD=NEW, such as SPEAKER_00=Anna.")
    return normalize_name(old.strip()), normalize_name(new.strip())


def _write_list(out: Path | None, rows: Sequence[Row], *, force: bool) -> None:
    if out is None:
        _write_table(sys.stdout, rows, Path.cwd())
        sys.stdout.flush()
        return
    try:
        with OutputFile(out, "list", force).write() as file:
            _write_table(file, rows, out.absolute().parent)
    except OSError as exc:
        raise ConfigurationError(f"--out {out} cannot be written ({exc.strerror or exc}).") from None
    print_status(f"{format_count(len(rows), 'speaker')} in {out}.")


def _write_table(file: TextIO, rows: Iterable[Row], folder: Path) -> None:
    table = csv.writer(file, lineterminator="\n")
    table.writerow(_COLUMNS)
    for row in rows:
        # For people who read the list; `enroll` only copies this column.
        seconds = sum(end - start for start, end in row.segments if end is not None)
        table.writerow(
            [row.label, _relative_path(Path(row.source), folder), *format_segments(row.segments), f"{seconds:.2f}"]
        )


def _relative_path(audio: Path, folder: Path) -> str:
    """Return the path relative to the list. Links are resolved first, because `..` after a link leads elsewhere."""
    path = os.path.relpath(audio.parent.resolve() / audio.name, folder.resolve())
    # `Manifest` strips white space around cells, and reads text that looks like a URL as one.
    return os.path.join(os.curdir, path) if is_url(path) or path != path.strip() else path  # noqa: PTH118


def _is_utf8(path: Path) -> bool:
    try:
        os.fspath(path.absolute()).encode()
    except UnicodeEncodeError:
        return False
    return True


def _printable(path: Path) -> str:
    return os.fsencode(path).decode(errors="replace")
