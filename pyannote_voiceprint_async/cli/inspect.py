"""`pyannote-voiceprint inspect`: report the properties and problems of audio files."""

import sys
from pathlib import Path
from typing import Any

import attrs
import click

from pyannote_voiceprint_async.audio import Finding, check_audio
from pyannote_voiceprint_async.enrollment import Problem
from pyannote_voiceprint_async.enrollment.manifest.skipped_files import SkippedFiles
from pyannote_voiceprint_async.enrollment.manifest.source_expansion import expand_source
from pyannote_voiceprint_async.errors import MediaError

from .exit_codes import ExitCode
from .output import json_line, print_status
from .sources import reject_problems

__all__ = ["inspect"]

# Measurements are not more precise than this.
_DIGITS = 4
# The code of the finding for a file that cannot be opened or decoded. Its message is a sentence.
_UNREADABLE = "unreadable"


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
def inspect(files: tuple[str, ...]) -> None:
    """Report the properties and problems of audio files. Nothing is sent.

    FILE is a file, a directory or a pattern. For each file, one line of JSON is written to stdout: its measured
    properties (seconds, sample_rate, channels, format, peak, loudness_dbfs, speech_seconds, header_seconds, …) and
    `findings`, each with code, message and is_fatal. A summary for people is written to stderr. The exit code is 1 if
    any finding is fatal, which means that `enroll` would refuse the file. This command needs the extra `[audio]`.
    """
    skipped = SkippedFiles()
    paths = _find_files(files, skipped)
    is_well = True
    for path in paths:
        record = _record(path)
        is_well &= not any(finding["is_fatal"] for finding in record["findings"])
        click.echo(json_line(record))
        print_status(_summary(record))
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
        return record | {"findings": [attrs.asdict(Finding(_UNREADABLE, str(error), is_fatal=True))]}
    facts = {"format": report.format} if report.facts is None else _rounded(attrs.asdict(report.facts))
    return record | facts | {"findings": [attrs.asdict(finding) for finding in report.findings]}


def _rounded(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, _DIGITS) if isinstance(value, float) else value for name, value in facts.items()}


def _summary(record: dict[str, Any]) -> str:
    """Return one line: whether `enroll` would accept the file, and its problems."""
    findings = record["findings"]
    problems = ". It ".join(finding["message"].removesuffix(".") for finding in findings)
    if any(finding["code"] == _UNREADABLE for finding in findings):
        named = f": {record['file']}"  # the line begins with the name
        return f"{record['file']}: would be refused. {problems.removesuffix(named)}."
    if any(finding["is_fatal"] for finding in findings):
        return f"{record['file']}: would be refused: {problems}."
    length = (
        f", {record['seconds']:.1f} s with {record['speech_seconds']:.1f} s of speech" if "seconds" in record else ""
    )
    return f"{record['file']}: usable{length}, but it {problems}." if findings else f"{record['file']}: good{length}."
