"""`pyannote-voiceprint inspect`: what files are, and whether they are worth a voiceprint."""

import sys
from pathlib import Path
from typing import Any

import attrs
import click

from pyannote_voiceprint_async.audio import foreign_format, judge, look_at
from pyannote_voiceprint_async.enrollment import Problem
from pyannote_voiceprint_async.enrollment.sources import expand
from pyannote_voiceprint_async.errors import MediaError

from .exit_codes import ExitCode
from .output import json_line
from .sources import check_all

__all__ = ["inspect"]


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
def inspect(files: tuple[str, ...]) -> None:
    """Say what audio files are, and what is wrong with them. Nothing is sent.

    FILE is a file, a directory or a pattern. Each gives one line of JSON: what is measured (seconds, sample_rate,
    channels, format, peak, loudness_dbfs, speech_seconds, …) and `findings`, each with code, message and is_fatal. The
    exit code is 1 if any finding is fatal: `enroll` would refuse the file. It needs the extra `[audio]`.
    """
    paths = _found(files)
    is_well = True
    for path in paths:
        record = _record(path)
        is_well &= not any(finding["is_fatal"] for finding in record["findings"])
        click.echo(json_line(record))
    sys.exit(ExitCode.WELL if is_well else ExitCode.SOME_FAILED)


def _found(files: tuple[str, ...]) -> list[Path]:
    found = [one for file in files for one in expand(file)]
    problems = [str(one) for one in found if isinstance(one, Problem)]
    problems += [f"{one}: is a URL; fetch it first" for one in found if isinstance(one, str)]
    check_all(problems)
    return list(dict.fromkeys(one for one in found if isinstance(one, Path)))


def _record(path: Path) -> dict[str, Any]:
    record: dict[str, Any] = {"file": str(path)}
    try:
        foreign = foreign_format(path)
        if foreign is not None:
            told = f"is {foreign}, which cannot be looked into here; the API may take it all the same"
            return record | {"format": foreign, "findings": [_finding("foreign", told, is_fatal=False)]}
        facts = look_at(path)
    except MediaError as error:
        return record | {"findings": [_finding("unreadable", str(error), is_fatal=True)]}
    return record | attrs.asdict(facts) | {"findings": [attrs.asdict(finding) for finding in judge(facts)]}


def _finding(code: str, message: str, *, is_fatal: bool) -> dict[str, Any]:
    return {"code": code, "message": message, "is_fatal": is_fatal}
