"""`pyannote-voiceprint manifest`: lists of speakers, made of what people have."""

import csv
import os
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

import click

from pyannote_voiceprint_async.enrollment import Problem, Row, rows_from_rttm
from pyannote_voiceprint_async.enrollment.ledger.output_file import OutFile
from pyannote_voiceprint_async.enrollment.manifest.names import existing, normal_name
from pyannote_voiceprint_async.enrollment.manifest.segments import listed
from pyannote_voiceprint_async.enrollment.manifest.sources import is_url
from pyannote_voiceprint_async.errors import ConfigurationError, MediaError

from .exit_codes import ExitCode, WrongUsage
from .formatting import format_count
from .output import print_status

__all__ = ["manifest"]

_FILE = click.Path(dir_okay=False, path_type=Path)
_COLUMNS = ("label", "source", "start", "end", "seconds")


@click.group()
def manifest() -> None:
    """Make a list of speakers for `enroll`."""


@manifest.command("from-rttm")
@click.argument("rttm", type=_FILE, metavar="FILE.rttm")
@click.option("--audio", type=_FILE, required=True, metavar="FILE", help="The recording that the RTTM tells of.")
@click.option("--out", type=_FILE, metavar="FILE.csv", help="Write the list here; else to stdout.")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@click.option("--label", "labels", multiple=True, metavar="OLD=NEW", help="Call a speaker so; may be given repeatedly.")
@click.option("--file-id", metavar="NAME", help="The recording's name in an RTTM of several; else that of the audio.")
def from_rttm(  # noqa: PLR0913 - what a person may say
    rttm: Path,
    audio: Path,
    *,
    out: Path | None,
    force: bool,
    labels: Sequence[str],
    file_id: str | None,
) -> None:
    """Make a list of the speakers of a recording whose turns are known, as diarization writes them.

    Of each speaker the longest turns are taken that overlap nobody, up to 30 seconds together. `start` and `end` are
    their seconds in the recording; `enroll` cuts them out. The exit code is 1 if somebody cannot be heard alone, and 2
    if something is wrong, so that there is no list.

    Identification takes no label that begins with `speaker_`: SPEAKER_00 of meeting.wav is called `meeting SPEAKER_00`,
    unless --label has a better name. It needs the extra `[audio]`.
    """
    given = _renamings(labels)
    rttm, audio = existing(rttm), existing(audio)
    _check(rttm, audio, out, force=force)
    try:
        found = rows_from_rttm(rttm, audio, labels=given, file_id=file_id)
    except MediaError as error:
        raise WrongUsage(str(error)) from None
    rows = [one for one in found if isinstance(one, Row)]
    problems = [one for one in found if isinstance(one, Problem)]
    for problem in problems:
        print_status(f"Left out: {problem.label} {problem.message}.")
    for note in dict.fromkeys(note for row in rows for note in row.notes):
        print_status(f"Note: {note}, and say so with --file-id.")
    if not rows:
        raise WrongUsage("There is nobody to be listed: nothing was written.")
    _write_to(out, rows, force=force)
    _tell_names(rows, given)
    sys.exit(ExitCode.SOME_FAILED if problems else ExitCode.SUCCESS)


def _check(rttm: Path, audio: Path, out: Path | None, *, force: bool) -> None:
    if out is not None:
        try:
            OutFile(out, "list", force).check(rttm, audio)
        except ConfigurationError as error:
            raise ConfigurationError(f"--out {error}") from None
    if not _is_utf8(audio):
        raise ConfigurationError(f"--audio {_shown(audio)}: its name is no UTF-8, and no list can hold it; rename it.")


def _tell_names(rows: Iterable[Row], given: Mapping[str, str]) -> None:
    for row in rows:
        speaker = row.extra["speaker"]
        if speaker not in given and row.label != speaker:
            print_status(
                f"{speaker} is called {row.label!r}, because identification takes no label that begins with speaker_. "
                f"To give a better one: --label {shlex.quote(f'{speaker}=NAME')}"
            )


def _renamings(texts: Iterable[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for old, new in map(_renaming, texts):
        if given.setdefault(old, new) != new:
            raise click.UsageError(f"--label gives {old} two names, {given[old]!r} and {new!r}; give one of them.")
    return given


def _renaming(text: str) -> tuple[str, str]:
    old, mark, new = text.partition("=")
    if not (mark and old.strip() and new.strip()):
        raise click.UsageError(f"--label {text!r} is none: write OLD=NEW, such as SPEAKER_00=Anna.")
    return normal_name(old.strip()), normal_name(new.strip())


def _write_to(out: Path | None, rows: Sequence[Row], *, force: bool) -> None:
    if out is None:
        _write(sys.stdout, rows, Path.cwd())
        sys.stdout.flush()
        return
    try:
        with OutFile(out, "list", force).write() as file:
            _write(file, rows, out.absolute().parent)
    except OSError as exc:
        raise ConfigurationError(f"--out {out} cannot be written ({exc.strerror or exc}).") from None
    print_status(f"{format_count(len(rows), 'speaker')} in {out}.")


def _write(file: TextIO, rows: Iterable[Row], folder: Path) -> None:
    table = csv.writer(file, lineterminator="\n")
    table.writerow(_COLUMNS)
    for row in rows:
        # Seconds only tell people how much there is: `enroll` passes them through.
        seconds = sum(end - start for start, end in row.pieces if end is not None)
        table.writerow([row.label, _from_folder(Path(row.source), folder), *listed(row.pieces), f"{seconds:.2f}"])


def _from_folder(audio: Path, folder: Path) -> str:
    """Give the way from the list to the recording. Links are followed first: `..` behind one leads elsewhere."""
    place = os.path.relpath(audio.parent.resolve() / audio.name, folder.resolve())
    # A list takes white space from around its cells, and what looks like a URL for one.
    return os.path.join(os.curdir, place) if is_url(place) or place != place.strip() else place  # noqa: PTH118


def _is_utf8(path: Path) -> bool:
    try:
        os.fspath(path.absolute()).encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(path: Path) -> str:
    return os.fsencode(path).decode(errors="replace")
