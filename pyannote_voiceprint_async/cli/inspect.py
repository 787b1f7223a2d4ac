"""`pyannote-voiceprint inspect`: report what audio files are, and whether `enroll` accepts them."""

import sys
from pathlib import Path
from typing import Any

import attrs
import click

from pyannote_voiceprint_async.audio import check
from pyannote_voiceprint_async.enrollment import Problem
from pyannote_voiceprint_async.enrollment.manifest.skipped_files import SkippedFiles
from pyannote_voiceprint_async.enrollment.manifest.source_expansion import expand_source
from pyannote_voiceprint_async.errors import MediaError

from .exit_codes import ExitCode
from .output import json_line, say
from .sources import check_all

__all__ = ["inspect"]

# The measurements have no more significant decimals.
_DIGITS = 4


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
def inspect(files: tuple[str, ...]) -> None:
    """Report what audio files are, and what is wrong with them. Nothing is sent.

    FILE is a file, a directory or a pattern. Each gives one line of JSON: what is measured (seconds, sample_rate,
    channels, format, peak, loudness_dbfs, speech_seconds, told_seconds by the header, …) and `findings`, each with
    code, message and is_fatal. A summary of each file goes to stderr. The exit code is 1 if any finding is fatal:
    `enroll` would refuse the file. This command needs the extra `[audio]`.
    """
    skipped = SkippedFiles()
    paths = _find_files(files, skipped)
    is_well = True
    for path in paths:
        record = _record(path)
        is_well &= not any(finding["is_fatal"] for finding in record["findings"])
        click.echo(json_line(record))
        say(_summary_line(record))
    if skipped.count:
        say(f"Skipped: {skipped}. To inspect a file, pass its own name.")
    sys.exit(ExitCode.WELL if is_well else ExitCode.SOME_FAILED)


def _find_files(arguments: tuple[str, ...], skipped: SkippedFiles) -> list[Path]:
    found = [source for argument in arguments for source in expand_source(argument, skipped)]
    problems = [str(problem) for problem in found if isinstance(problem, Problem)]
    problems += [f"{url}: is a URL; download it first" for url in found if isinstance(url, str)]
    check_all(problems)
    return list(dict.fromkeys(path for path in found if isinstance(path, Path)))


def _record(path: Path) -> dict[str, Any]:
    record: dict[str, Any] = {"file": str(path)}
    try:
        found = check(path)
    except MediaError as error:
        return record | {"findings": [_finding("unreadable", str(error), is_fatal=True)]}
    facts = {"format": found.format} if found.facts is None else _rounded(attrs.asdict(found.facts))
    return record | facts | {"findings": [attrs.asdict(finding) for finding in found.findings]}


def _rounded(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, _DIGITS) if isinstance(value, float) else value for name, value in facts.items()}


def _summary_line(record: dict[str, Any]) -> str:
    """Return one line that says whether `enroll` accepts the file, and why not."""
    findings = record["findings"]
    messages = "; ".join(finding["message"].removesuffix(".") for finding in findings)
    if any(finding["is_fatal"] for finding in findings):
        return f"{record['file']}: would be refused: {messages}."
    length = (
        f", {record['seconds']:.1f} s, {record['speech_seconds']:.1f} s of them speech" if "seconds" in record else ""
    )
    return (
        f"{record['file']}: {'good' if not findings else 'goes'}{length}{f'; but it {messages}' if findings else ''}."
    )


def _finding(code: str, message: str, *, is_fatal: bool) -> dict[str, Any]:
    return {"code": code, "message": message, "is_fatal": is_fatal}
