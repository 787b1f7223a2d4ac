"""SOURCE… on the command line: files, directories, patterns and URLs, all checked before anything is sent."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import attrs
import click

from pyannote_voiceprint_async.api.endpoints import LARGEST_VOICEPRINT_AUDIO
from pyannote_voiceprint_async.enrollment.manifest.preflight import BLIND, Preflight
from pyannote_voiceprint_async.enrollment.manifest.row_checks import file_problem, heard_of, url_problem
from pyannote_voiceprint_async.enrollment.manifest.rows import Problem
from pyannote_voiceprint_async.enrollment.manifest.sources import (
    LeftOut,
    distinct_labels,
    expand,
    is_url,
    same_source,
)
from pyannote_voiceprint_async.redaction import printable, redact_url

__all__ = ["LabeledSource", "file_problem", "find_recordings", "is_url", "reject_problems", "url_problem"]


@attrs.frozen
class LabeledSource:
    """One thing to make a voiceprint of, and what to call it."""

    label: str
    """Short, and different from all others of the command."""
    source: Path | str
    """A file, or a URL."""
    notes: tuple[str, ...] = ()
    """What is to be told of it, and is no reason not to send it."""

    @property
    def shown(self) -> str:
        """The source as it may be shown: a URL's query is a password."""
        return _shown(self.source)


def find_recordings(arguments: Iterable[str], preflight: Preflight | None = None) -> list[LabeledSource]:
    """Give what the arguments stand for, in their order; what is named twice is there once.

    Args:
        arguments: files, directories, patterns and URLs.
        preflight: how files are looked at; None is not at all.

    Raises:
        click.UsageError: something cannot be sent; it says all that is wrong at once.
    """
    sources: dict[str, Path | str] = {}
    problems: list[str] = []
    left_out = LeftOut()
    for argument in arguments:
        for found in expand(argument, left_out):
            if problem := _problem(found):
                problems.append(problem)
            elif not isinstance(found, Problem):
                sources.setdefault(same_source(found), found)
    found_ones = list(sources.values())
    notes = [_notes(source, preflight, problems) for source in found_ones]
    reject_problems(problems)
    if left_out.count and notes:
        notes[0] = (left_out.note, *notes[0])
    labels = distinct_labels(found_ones, _shown)
    return _with_blindness_told(map(LabeledSource, labels, found_ones, notes), preflight)


def reject_problems(problems: Sequence[str]) -> None:
    """Make sure that nothing is wrong.

    Raises:
        click.UsageError: something is; one line each.
    """
    if problems:
        raise click.UsageError("Nothing was sent:\n" + "\n".join(f"  {printable(problem)}" for problem in problems))


def _notes(source: Path | str, preflight: Preflight | None, problems: list[str]) -> tuple[str, ...]:
    """Look at a file as `enroll` does."""
    if preflight is None or not preflight.looks or isinstance(source, str):
        return ()
    heard = heard_of(source, source.stat(), (), preflight.listen)
    if isinstance(heard, str):
        problems.append(f"{_shown(source)}: {heard}")
        return ()
    return heard.notes or ()


def _with_blindness_told(recordings: Iterable[LabeledSource], preflight: Preflight | None) -> list[LabeledSource]:
    """Tell once that files are not looked at, where that was wanted."""
    found = list(recordings)
    first = next((at for at, recording in enumerate(found) if isinstance(recording.source, Path)), None)
    if preflight is not None and preflight.is_blind and first is not None:
        found[first] = attrs.evolve(found[first], notes=(*found[first].notes, BLIND))
    return found


def _problem(found: Path | str | Problem) -> str | None:
    if isinstance(found, Problem):
        return str(found)
    problem = url_problem(found) if isinstance(found, str) else file_problem(found, largest=LARGEST_VOICEPRINT_AUDIO)
    return f"{_shown(found)}: {problem}" if problem else None


def _shown(source: Path | str) -> str:
    return redact_url(source) if isinstance(source, str) else os.fspath(source)
