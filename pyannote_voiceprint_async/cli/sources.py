"""SOURCE… on the command line: files, directories, patterns and URLs, all checked before anything is sent."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import attrs
import click

from pyannote_voiceprint_async.api.endpoints import MAX_VOICEPRINT_BYTES
from pyannote_voiceprint_async.enrollment.manifest.preflight import PREFLIGHT_UNAVAILABLE, Preflight
from pyannote_voiceprint_async.enrollment.manifest.row_checks import check_audio_file, file_problem, url_problem
from pyannote_voiceprint_async.enrollment.manifest.rows import Problem
from pyannote_voiceprint_async.enrollment.manifest.sources import (
    SkippedFiles,
    distinct_labels,
    expand_source,
    is_url,
    source_key,
)
from pyannote_voiceprint_async.redaction import printable, redact_url

__all__ = ["Recording", "check_all", "file_problem", "find_recordings", "is_url", "url_problem"]


@attrs.frozen
class Recording:
    """One thing to make a voiceprint of, and what to call it."""

    label: str
    """Short, and different from all others of the command."""
    source: Path | str
    """A file, or a URL."""
    warnings: tuple[str, ...] = ()
    """What is to be told of it, and is no reason not to send it."""

    @property
    def shown(self) -> str:
        """The source as it may be shown: a URL's query is a password."""
        return _shown(self.source)


def find_recordings(arguments: Iterable[str], preflight: Preflight | None = None) -> list[Recording]:
    """Give what the arguments stand for, in their order; what is named twice is there once.

    Args:
        arguments: files, directories, patterns and URLs.
        preflight: how files are looked at; None is not at all.

    Raises:
        click.UsageError: something cannot be sent; it says all that is wrong at once.
    """
    sources: dict[str, Path | str] = {}
    problems: list[str] = []
    left_out = SkippedFiles()
    for argument in arguments:
        for found in expand_source(argument, left_out):
            if problem := _problem(found):
                problems.append(problem)
            elif not isinstance(found, Problem):
                sources.setdefault(source_key(found), found)
    found_ones = list(sources.values())
    notes = [_notes(source, preflight, problems) for source in found_ones]
    check_all(problems)
    if left_out.count and notes:
        notes[0] = (left_out.warning, *notes[0])
    labels = distinct_labels(found_ones, _shown)
    return _with_blindness_told(map(Recording, labels, found_ones, notes), preflight)


def check_all(problems: Sequence[str]) -> None:
    """Make sure that nothing is wrong.

    Raises:
        click.UsageError: something is; one line each.
    """
    if problems:
        raise click.UsageError("Nothing was sent:\n" + "\n".join(f"  {printable(problem)}" for problem in problems))


def _notes(source: Path | str, preflight: Preflight | None, problems: list[str]) -> tuple[str, ...]:
    """Look at a file as `enroll` does."""
    if preflight is None or not preflight.is_enabled or isinstance(source, str):
        return ()
    heard = check_audio_file(source, source.stat(), (), preflight.check_file)
    if isinstance(heard, str):
        problems.append(f"{_shown(source)}: {heard}")
        return ()
    return heard.warnings or ()


def _with_blindness_told(recordings: Iterable[Recording], preflight: Preflight | None) -> list[Recording]:
    """Tell once that files are not looked at, where that was wanted."""
    found = list(recordings)
    first = next((at for at, recording in enumerate(found) if isinstance(recording.source, Path)), None)
    if preflight is not None and preflight.is_unavailable and first is not None:
        found[first] = attrs.evolve(found[first], warnings=(*found[first].warnings, PREFLIGHT_UNAVAILABLE))
    return found


def _problem(found: Path | str | Problem) -> str | None:
    if isinstance(found, Problem):
        return str(found)
    problem = url_problem(found) if isinstance(found, str) else file_problem(found, largest=MAX_VOICEPRINT_BYTES)
    return f"{_shown(found)}: {problem}" if problem else None


def _shown(source: Path | str) -> str:
    return redact_url(source) if isinstance(source, str) else os.fspath(source)
