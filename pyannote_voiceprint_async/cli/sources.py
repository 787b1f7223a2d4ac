"""SOURCE… on the command line: files, directories, patterns and URLs, all checked before anything is sent."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import attrs
import click

from pyannote_voiceprint_async.endpoints import LARGEST_VOICEPRINT_AUDIO
from pyannote_voiceprint_async.enrollment.examine import file_problem, url_problem
from pyannote_voiceprint_async.enrollment.rows import Problem
from pyannote_voiceprint_async.enrollment.sources import distinct_labels, expand, is_url, same_source
from pyannote_voiceprint_async.masking import mask_url

__all__ = ["Recording", "check_all", "file_problem", "find_recordings", "is_url", "url_problem"]


@attrs.frozen
class Recording:
    """One thing to make a voiceprint of, and what to call it."""

    label: str
    """Short, and different from all others of the command."""
    source: Path | str
    """A file, or a URL."""

    @property
    def shown(self) -> str:
        """The source as it may be shown: a URL's query is a password."""
        return _shown(self.source)


def find_recordings(arguments: Iterable[str]) -> list[Recording]:
    """Give what the arguments stand for, in their order; what is named twice is there once.

    Raises:
        click.UsageError: something cannot be sent; it says all that is wrong at once.
    """
    sources: dict[str, Path | str] = {}
    problems: list[str] = []
    for argument in arguments:
        for found in expand(argument):
            if problem := _problem(found):
                problems.append(problem)
            elif not isinstance(found, Problem):
                sources.setdefault(same_source(found), found)
    check_all(problems)
    recordings = list(sources.values())
    return [
        Recording(label, source) for label, source in zip(distinct_labels(recordings, _shown), recordings, strict=True)
    ]


def check_all(problems: Sequence[str]) -> None:
    """Make sure that nothing is wrong.

    Raises:
        click.UsageError: something is; one line each.
    """
    if problems:
        raise click.UsageError("Nothing was sent:\n" + "\n".join(f"  {problem}" for problem in problems))


def _problem(found: Path | str | Problem) -> str | None:
    if isinstance(found, Problem):
        return str(found)
    problem = url_problem(found) if isinstance(found, str) else file_problem(found, largest=LARGEST_VOICEPRINT_AUDIO)
    return f"{_shown(found)}: {problem}" if problem else None


def _shown(source: Path | str) -> str:
    return mask_url(source) if isinstance(source, str) else os.fspath(source)
