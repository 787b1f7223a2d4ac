"""SOURCE… on the command line: files, directories and URLs, all checked before anything is sent."""

import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePath
from urllib.parse import unquote, urlsplit

import attrs
import click

from pyannote_voiceprint_async.checks import check_request
from pyannote_voiceprint_async.endpoints import LARGEST_VOICEPRINT_AUDIO
from pyannote_voiceprint_async.errors import InvalidRequestError
from pyannote_voiceprint_async.masking import mask_url
from pyannote_voiceprint_async.models import VoiceprintRequest

__all__ = ["SUFFIXES", "Recording", "check_all", "file_problem", "find_recordings", "is_url", "url_problem"]

SUFFIXES = (
    ".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".mp4", ".aac", ".webm", ".aiff", ".aif", ".au",
)  # fmt: skip
"""What audio is called in a directory. A file that is named itself may be called anything."""

_SCHEMES = ("http://", "https://", "media://")


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
        for source in _expand(argument, problems):
            if isinstance(source, str):
                problem = url_problem(source)
            else:
                problem = file_problem(source, largest=LARGEST_VOICEPRINT_AUDIO)
            if problem:
                problems.append(f"{_shown(source)}: {problem}")
            else:
                sources.setdefault(source if isinstance(source, str) else os.path.realpath(source), source)
    check_all(problems)
    found = list(sources.values())
    return [Recording(label, source) for label, source in zip(_labels(found), found, strict=True)]


def check_all(problems: Sequence[str]) -> None:
    """Make sure that nothing is wrong.

    Raises:
        click.UsageError: something is; one line each.
    """
    if problems:
        raise click.UsageError("Nothing was sent:\n" + "\n".join(f"  {problem}" for problem in problems))


def url_problem(url: str) -> str | None:
    """Say what is wrong with a URL."""
    if not url.lower().startswith(_SCHEMES):
        return "must begin with http://, https:// or media://; give a bucket's object by a presigned URL"
    try:
        check_request(VoiceprintRequest(url))
    except InvalidRequestError as error:
        return error.errors[0].message
    return None


def file_problem(path: Path, *, largest: int | None = None) -> str | None:
    """Say why a file cannot be uploaded.

    Args:
        path: the file.
        largest: bytes; None is without end.
    """
    try:
        found = path.stat()
    except OSError as exc:
        return f"{(exc.strerror or 'cannot be read').lower()}; give a file, a directory with audio, or a URL"
    if not stat.S_ISREG(found.st_mode):
        return "is no file; give a file"
    if not found.st_size:
        return "is empty; give a file with audio"
    if largest is not None and found.st_size > largest:
        return f"has {found.st_size / 2**20:.0f} MiB; a voiceprint takes at most {largest / 2**20:.0f} MiB"
    return None if os.access(path, os.R_OK) else "may not be read; change its permissions"


def is_url(argument: str) -> bool:
    """Whether it is meant as a URL, be it a good one or not."""
    return "://" in argument or argument.lower().startswith("data:")


def _expand(argument: str, problems: list[str]) -> Iterator[Path | str]:
    if is_url(argument):
        yield argument
        return
    path = Path(argument)
    if not path.is_dir():
        yield path
        return
    before, found = len(problems), _audio_in(path, problems)
    if not found and len(problems) == before:
        problems.append(f"{argument}: has no audio in it ({' '.join(SUFFIXES)})")
    yield from found


def _audio_in(directory: Path, problems: list[str]) -> list[Path]:
    def unreadable(exc: OSError) -> None:
        problems.append(f"{exc.filename}: {(exc.strerror or 'cannot be read').lower()}; change its permissions")

    found = []
    for folder, folders, files in os.walk(directory, onerror=unreadable):
        # Hidden ones are no recordings: macOS leaves a `._voice.wav` beside each `voice.wav` on foreign disks.
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(folder, name) for name in files if _is_audio(name)]
    return sorted(found)


def _is_audio(name: str) -> bool:
    return not name.startswith(".") and PurePath(name).suffix.lower() in SUFFIXES


def _labels(sources: Sequence[Path | str]) -> Iterator[str]:
    """Give the shortest names that tell the sources apart."""
    short = [_short_name(source) for source in sources]
    times = Counter(short)
    given: Counter[str] = Counter()
    for name, source in zip(short, sources, strict=True):
        label = name if times[name] == 1 else _shown(source)
        given[label] += 1
        # Two presigned URLs may differ in nothing but the query, which must not be shown.
        yield label if given[label] == 1 else f"{label} ({given[label]})"


def _short_name(source: Path | str) -> str:
    if isinstance(source, Path):
        return source.stem
    parts = urlsplit(source)
    # The key of `media://voice.wav` stands where other URLs have their host.
    path = parts.netloc + parts.path if parts.scheme.lower() == "media" else parts.path
    return PurePath(unquote(path)).stem or parts.hostname or _shown(source)


def _shown(source: Path | str) -> str:
    return mask_url(source) if isinstance(source, str) else os.fspath(source)
