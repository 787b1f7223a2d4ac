"""Check one row of a list before anything is submitted, and identify its recording.

The checks block: run them in a worker thread.
"""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import attrs

from pyannote_voiceprint_async.api.endpoints import MAX_VOICEPRINT_BYTES
from pyannote_voiceprint_async.errors import MediaError
from pyannote_voiceprint_async.urls.url_identity import identity_and_expiry

from .label_checks import label_problem, printable_label
from .names import find_existing, normalize_name
from .preflight import CheckedAudio, change_time_ns
from .rows import Problem, Row
from .segments import Segments, is_whole_file, segments_problem
from .source_checks import check_source, model_problem, os_error_reason, printable_source
from .source_kinds import is_url

__all__ = ["CheckFile", "CheckedRow", "check_audio_file", "check_row"]

CheckFile: TypeAlias = Callable[[Path, os.stat_result, Segments], CheckedAudio]
"""Checks the audio of a file, of which some segments may be wanted. Raises what `Preflight.check_file` raises."""


@attrs.frozen
class CheckedRow:
    """A row without a known problem."""

    row: Row
    """The row, normalized: its label in NFC without surrounding white space, its model set, its file as an absolute
    path in the Unicode form of the disk, and no segments if they select the whole file."""
    audio: CheckedAudio
    """What is known of its recording."""

    @property
    def is_file(self) -> bool:
        """Whether the source is a local file."""
        return isinstance(self.row.source, Path)


def check_row(
    row: object,
    *,
    model: str,
    has_resolver: bool,
    check_file: CheckFile,
    trim: bool = False,
) -> CheckedRow | Problem:
    """Return the checked row, or a problem that names everything that is wrong with it.

    Args:
        row: a `Row`; an object of another type, or with values of other types, is a problem.
        model: the model of the run, for rows without one.
        has_resolver: whether the run has a `resolve` function, which accepts sources that the API does not.
        check_file: checks a file, or returns what an earlier run found.
        trim: whether the best segment of a long recording is used, so that a file may have any size.
    """
    if not isinstance(row, Row):
        return Problem(f"is not a Row but {type(row).__name__}; pass Row(label, source)")
    row = _with_path_on_disk(row)
    is_cut = trim or not is_whole_file(row.segments)
    source = check_source(row.source, has_resolver=has_resolver, max_size=None if is_cut else MAX_VOICEPRINT_BYTES)
    checks = (label_problem(row.label), model_problem(row.model), _extra_problem(row.extra), source, _cut_problem(row))
    if problems := [problem for problem in checks if isinstance(problem, str)]:
        return Problem(". Also: ".join(problems), printable_label(row.label), row.line)
    normalized = _normalize(row, model)
    audio = _check_audio(normalized, source if isinstance(source, os.stat_result) else None, check_file)
    if isinstance(audio, str):
        return Problem(audio, normalized.label, normalized.line)
    return CheckedRow(normalized, audio)


def check_audio_file(
    path: Path, status: os.stat_result, segments: Segments, check_file: CheckFile
) -> CheckedAudio | str:
    """Return what is known of a file, or the problem with it.

    Args:
        path: the file.
        status: the result of `path.stat()`.
        segments: the segments to cut out; none for the whole file.
        check_file: checks the file.
    """
    try:
        return check_file(path, status, segments)
    except OSError as exc:
        return f"{os_error_reason(exc)}; make sure that the file stays readable"
    except MediaError as error:
        sentence = str(error)
        # The sentence follows the name of the file.
        return sentence[:1].lower() + sentence[1:].removesuffix(".")


def _with_path_on_disk(row: Row) -> Row:
    if not isinstance(row.source, Path):
        return row
    try:
        return attrs.evolve(row, source=find_existing(row.source))
    except (OSError, ValueError):
        return row  # `check_source` reports a path that cannot exist


def _normalize(row: Row, model: str) -> Row:
    return attrs.evolve(
        row,
        label=normalize_name(row.label.strip()),
        source=row.source.absolute() if isinstance(row.source, Path) else str(row.source),
        model=str(model if row.model is None else row.model),
        segments=() if is_whole_file(row.segments) else row.segments,
    )


def _check_audio(row: Row, status: os.stat_result | None, check_file: CheckFile) -> CheckedAudio | str:
    """Return what is known of the recording of a valid row; `status` is that of its file."""
    if isinstance(row.source, Path) and status is not None:
        audio = check_audio_file(row.source, status, row.segments, check_file)
        if isinstance(audio, str):
            return f"{printable_source(row.source)}: {audio}"
        return attrs.evolve(audio, size=status.st_size, modified_ns=change_time_ns(status))
    source = str(row.source)
    if not is_url(source):
        return CheckedAudio(f"id:{source}")
    identity, expires_at = identity_and_expiry(source)
    return CheckedAudio(f"url:{identity}", expires_at=expires_at)


def _extra_problem(extra: object) -> str | None:
    if not extra and isinstance(extra, Mapping):
        return None
    try:
        if not isinstance(extra, Mapping) or not all(isinstance(name, str) for name in extra):
            return "extra must be a mapping from names to JSON values"
        json.dumps(dict(extra), ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        return "extra has a value that cannot be written as JSON in UTF-8 (bytes, NaN, a lone surrogate, …)"
    return None


def _cut_problem(row: Row) -> str | None:
    problem = segments_problem(row.segments)
    if problem is None and not is_whole_file(row.segments) and not isinstance(row.source, Path):
        return "start and end can only cut a local file; cut the recording yourself, or leave them empty"
    return problem
