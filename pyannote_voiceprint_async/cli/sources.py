"""RECORDING… arguments: files, directories, patterns and URLs. All are checked before anything is submitted."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import attrs
import click

from pyannote_voiceprint_async.api.endpoints import MAX_VOICEPRINT_BYTES
from pyannote_voiceprint_async.enrollment.manifest.preflight import PREFLIGHT_UNAVAILABLE, Preflight
from pyannote_voiceprint_async.enrollment.manifest.row_checks import check_audio_file
from pyannote_voiceprint_async.enrollment.manifest.rows import Problem
from pyannote_voiceprint_async.enrollment.manifest.skipped_files import SkippedFiles
from pyannote_voiceprint_async.enrollment.manifest.source_checks import file_problem, url_problem
from pyannote_voiceprint_async.enrollment.manifest.source_expansion import expand_source, source_key
from pyannote_voiceprint_async.enrollment.manifest.source_kinds import is_url
from pyannote_voiceprint_async.enrollment.manifest.source_labels import distinct_labels
from pyannote_voiceprint_async.redaction import printable, redact_url

__all__ = ["LabeledSource", "file_problem", "find_recordings", "is_url", "reject_problems", "url_problem"]


@attrs.frozen
class LabeledSource:
    """A file or URL, with its label and warnings."""

    label: str
    """A short name, unique within the command."""
    source: Path | str
    """A file, or a URL."""
    warnings: tuple[str, ...] = ()
    """Warnings to report; none of them prevents the submission."""

    @property
    def shown(self) -> str:
        """The source as it can be shown: the query of a URL is left out, because it may hold a secret."""
        return _shown(self.source)


def find_recordings(
    arguments: Iterable[str], preflight: Preflight | None = None, *, max_size: int | None = MAX_VOICEPRINT_BYTES
) -> list[LabeledSource]:
    """Return the recordings that the arguments stand for, in their order and each only once.

    Args:
        arguments: files, directories, patterns and URLs.
        preflight: how files are checked; None checks only that they can be uploaded.
        max_size: the bytes that a file may have; None means no limit.

    Raises:
        click.UsageError: some sources cannot be submitted; the error lists all of them.
    """
    sources: dict[str, Path | str] = {}
    problems: list[str] = []
    skipped = SkippedFiles()
    for argument in arguments:
        for found in expand_source(argument, skipped):
            if problem := _problem(found, max_size):
                problems.append(problem)
            elif not isinstance(found, Problem):
                sources.setdefault(source_key(found), found)
    found_sources = list(sources.values())
    warnings = [_check_audio(source, preflight, problems) for source in found_sources]
    reject_problems(problems)
    if skipped.count and warnings:
        warnings[0] = (skipped.warning, *warnings[0])
    recordings = list(map(LabeledSource, distinct_labels(found_sources, _shown), found_sources, warnings))
    is_unchecked = preflight is not None and preflight.is_unavailable
    return _warn_of_missing_extra(recordings) if is_unchecked else recordings


def reject_problems(problems: Sequence[str]) -> None:
    """Raise an error that lists the problems, one per line, if there are any.

    Raises:
        click.UsageError: there are problems.
    """
    if problems:
        raise click.UsageError("Nothing was sent:\n" + "\n".join(f"  {printable(problem)}" for problem in problems))


def _check_audio(source: Path | str, preflight: Preflight | None, problems: list[str]) -> tuple[str, ...]:
    """Check a file as `enroll` does; return its warnings, or append its problem."""
    if preflight is None or not preflight.is_enabled or isinstance(source, str):
        return ()
    audio = check_audio_file(source, source.stat(), (), preflight.check_file)
    if isinstance(audio, str):
        problems.append(f"{_shown(source)}: {audio}")
        return ()
    return audio.warnings or ()


def _warn_of_missing_extra(recordings: list[LabeledSource]) -> list[LabeledSource]:
    """Add the warning that files are not checked to the first file only."""
    first = next((index for index, recording in enumerate(recordings) if isinstance(recording.source, Path)), None)
    if first is not None:
        warnings = (*recordings[first].warnings, PREFLIGHT_UNAVAILABLE)
        recordings[first] = attrs.evolve(recordings[first], warnings=warnings)
    return recordings


def _problem(found: Path | str | Problem, max_size: int | None) -> str | None:
    if isinstance(found, Problem):
        return str(found)
    problem = url_problem(found) if isinstance(found, str) else file_problem(found, max_size=max_size)
    return f"{_shown(found)}: {problem}" if problem else None


def _shown(source: Path | str) -> str:
    return redact_url(source) if isinstance(source, str) else os.fspath(source)
