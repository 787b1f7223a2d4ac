"""`pyannote-voiceprint inspect`: report the properties and problems of audio files."""

import sys
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import click

from pyannote_voiceprint_async.audio import Finding, check_audio
from pyannote_voiceprint_async.enrollment import Problem
from pyannote_voiceprint_async.enrollment.ledger.output_file import OutputFile
from pyannote_voiceprint_async.enrollment.manifest.skipped_files import SkippedFiles
from pyannote_voiceprint_async.enrollment.manifest.source_expansion import expand_source
from pyannote_voiceprint_async.errors import MediaError

from .exit_codes import ExitCode
from .inspect_picture import InspectPicture
from .inspect_text import UNREADABLE, InspectTable, summary_line
from .option_groups import Command
from .options import FILE_PATH, SOURCE_PATH, force_option, json_option
from .output import print_record, print_status
from .sources import reject_problems

__all__ = ["inspect"]

# Measurements are not more precise than this.
_DIGITS = 4


@click.command(cls=Command, examples=["inspect examples/speech", "inspect talk.wav --plot talk.png"])
@click.argument("files", nargs=-1, required=True, metavar="FILE…", type=SOURCE_PATH)
@click.option(
    "--plot",
    type=FILE_PATH,
    metavar="FILE.png",
    help="Draw the waveform, the speech that was found, clipping, and the segment that `enroll --trim` would select. "
    "Needs the extra `[plot]`.",
)
@force_option
@json_option
def inspect(files: tuple[str, ...], *, plot: Path | None, force: bool, as_json: bool) -> None:
    """Report the properties and findings of audio files. Nothing is sent.

    FILE is a file, a directory or a pattern. Print a table on a terminal; else one line of JSON for each file, with its
    properties (seconds, sample_rate, channels, format, peak, loudness_dbfs, speech_seconds, header_seconds, …) and
    `findings`, each with code, message and is_fatal, and a line for people on stderr. The exit code is 1 if any finding
    is fatal, which means that `enroll` would refuse the file. This command needs the extra `[audio]`.
    """
    skipped = SkippedFiles()
    paths = _find_files(files, skipped)
    picture = None if plot is None else InspectPicture(OutputFile(plot, "picture", force), paths)
    is_well, table, is_terminal = True, InspectTable(), sys.stdout.isatty()
    for path in paths:
        record = _record(path)
        is_well &= not any(finding["is_fatal"] for finding in record["findings"])
        print_record(record, partial(table.lines, record), as_json=as_json)
        if not is_terminal:
            print_status(summary_line(record))
        if picture is not None and not picture.add(path, summary_line(record)):
            print_status(f"{path}: not drawn, because it cannot be decoded here.")
    if is_terminal and not as_json and len(paths) > 1:
        print_status(table.total_line)
    if picture is not None:
        print_status(picture.write())
    if skipped.count:
        print_status(skipped.warning)
    sys.exit(ExitCode.SUCCESS if is_well else ExitCode.SOME_FAILED)


def _find_files(arguments: tuple[str, ...], skipped: SkippedFiles) -> list[Path]:
    found = [source for argument in arguments for source in expand_source(argument, skipped)]
    problems = [str(problem) for problem in found if isinstance(problem, Problem)]
    problems += [f"{url}: is a URL; download it first" for url in found if isinstance(url, str)]
    reject_problems(problems)
    return list(dict.fromkeys(path for path in found if isinstance(path, Path)))


def _record(path: Path) -> dict[str, Any]:
    record: dict[str, Any] = {"file": str(path)}
    try:
        report = check_audio(path)
    except MediaError as error:
        return record | {"findings": [attrs.asdict(Finding(UNREADABLE, str(error), is_fatal=True))]}
    facts = {"format": report.format} if report.facts is None else _rounded(attrs.asdict(report.facts))
    return record | facts | {"findings": [attrs.asdict(finding) for finding in report.findings]}


def _rounded(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, _DIGITS) if isinstance(value, float) else value for name, value in facts.items()}
