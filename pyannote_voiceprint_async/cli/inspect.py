"""`pyannote-voiceprint inspect`: what files are, and whether they are worth a voiceprint."""

import sys
from pathlib import Path
from typing import Any

import attrs
import click

from pyannote_voiceprint_async.audio import check
from pyannote_voiceprint_async.enrollment import Problem
from pyannote_voiceprint_async.enrollment.manifest.sources import SkippedFiles, expand_source
from pyannote_voiceprint_async.errors import MediaError

from .exit_codes import ExitCode
from .output import json_line, say
from .sources import check_all

__all__ = ["inspect"]

# What is measured has no more.
_DIGITS = 4


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
def inspect(files: tuple[str, ...]) -> None:
    """Say what audio files are, and what is wrong with them. Nothing is sent.

    FILE is a file, a directory or a pattern. Each gives one line of JSON: what is measured (seconds, sample_rate,
    channels, format, peak, loudness_dbfs, speech_seconds, told_seconds by the header, …) and `findings`, each with
    code, message and is_fatal. A verdict for people goes to stderr. The exit code is 1 if any finding is fatal:
    `enroll` would refuse the file. It needs the extra `[audio]`.
    """
    left_out = SkippedFiles()
    paths = _found(files, left_out)
    is_well = True
    for path in paths:
        record = _record(path)
        is_well &= not any(finding["is_fatal"] for finding in record["findings"])
        click.echo(json_line(record))
        say(_verdict(record))
    if left_out.count:
        say(f"Left out: {left_out}. To inspect a file, name it itself.")
    sys.exit(ExitCode.WELL if is_well else ExitCode.SOME_FAILED)


def _found(files: tuple[str, ...], left_out: SkippedFiles) -> list[Path]:
    found = [one for file in files for one in expand_source(file, left_out)]
    problems = [str(one) for one in found if isinstance(one, Problem)]
    problems += [f"{one}: is a URL; fetch it first" for one in found if isinstance(one, str)]
    check_all(problems)
    return list(dict.fromkeys(one for one in found if isinstance(one, Path)))


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


def _verdict(record: dict[str, Any]) -> str:
    """Say in one line whether `enroll` takes it, and why not."""
    findings = record["findings"]
    said = "; ".join(finding["message"].removesuffix(".") for finding in findings)
    if any(finding["is_fatal"] for finding in findings):
        return f"{record['file']}: would be refused: {said}."
    heard = (
        f", {record['seconds']:.1f} s, {record['speech_seconds']:.1f} s of them speech" if "seconds" in record else ""
    )
    return f"{record['file']}: {'good' if not findings else 'goes'}{heard}{f'; but it {said}' if findings else ''}."


def _finding(code: str, message: str, *, is_fatal: bool) -> dict[str, Any]:
    return {"code": code, "message": message, "is_fatal": is_fatal}
