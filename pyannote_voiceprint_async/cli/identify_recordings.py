"""The recordings of `identify`, checked before the first upload: at most 24 hours and 1 GiB each."""

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import attrs

from pyannote_voiceprint_async.api.endpoints import MAX_IDENTIFICATION_BYTES, MAX_IDENTIFICATION_SECONDS
from pyannote_voiceprint_async.audio import stated_seconds
from pyannote_voiceprint_async.enrollment.manifest.preflight import PREFLIGHT_UNAVAILABLE
from pyannote_voiceprint_async.errors import MediaError

from .sources import LabeledSource, find_recordings, reject_problems

__all__ = ["Recording", "check_recordings"]


@attrs.frozen
class Recording:
    """A recording, with its length if it is known."""

    source: LabeledSource
    seconds: float | None = None
    """The length that the header of the file states."""


def check_recordings(arguments: Iterable[str], *, is_wanted: bool) -> tuple[list[Recording], str | None]:
    """Return the recordings that the arguments stand for, and a note if their lengths were not checked.

    Args:
        arguments: files, directories, patterns and URLs.
        is_wanted: whether the lengths of files are checked, which needs the extra `[audio]`.

    Raises:
        click.UsageError: some recordings cannot be submitted; the error lists all of them.
    """
    sources = find_recordings(arguments, max_size=None)
    files = [source for source in sources if isinstance(source.source, Path)]
    reject_problems([f"{source.shown}: {problem}" for source in files if (problem := _size_problem(source))])
    if not is_wanted or find_spec("soundfile") is None:
        return list(map(Recording, sources)), PREFLIGHT_UNAVAILABLE if is_wanted and files else None
    problems: list[str] = []
    recordings = [Recording(source, _read_length(source, problems)) for source in sources]
    reject_problems(problems)
    return recordings, None


def _size_problem(source: LabeledSource) -> str | None:
    size = Path(source.source).stat().st_size
    if size <= MAX_IDENTIFICATION_BYTES:
        return None
    most = MAX_IDENTIFICATION_BYTES / 2**20
    return f"has {size / 2**20:.0f} MiB, and the API accepts at most {most:.0f} MiB; compress or split it first"


def _read_length(source: LabeledSource, problems: list[str]) -> float | None:
    if isinstance(source.source, str):
        return None
    try:
        seconds = stated_seconds(source.source)
    except MediaError as error:
        problems.append(f"{source.shown}: {error}")
        return None
    if seconds is not None and seconds > MAX_IDENTIFICATION_SECONDS:
        hours, most = seconds / 3600, MAX_IDENTIFICATION_SECONDS / 3600
        problems.append(f"{source.shown}: lasts {hours:.1f} h, and the API accepts at most {most:g} h; split it first")
    return seconds
