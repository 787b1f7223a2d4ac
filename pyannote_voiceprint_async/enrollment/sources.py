"""Speakers without a manifest: files, directories, patterns and URLs, each called after its file."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from glob import glob, has_magic
from pathlib import Path, PurePath
from urllib.parse import unquote, urlsplit

from pyannote_voiceprint_async.masking import mask_url

from .rows import Problem, Row

__all__ = [
    "JSON_LINES",
    "SUFFIXES",
    "TABLES",
    "distinct_labels",
    "expand",
    "is_manifest",
    "is_url",
    "rows_from_sources",
    "same_source",
]

SUFFIXES = (
    ".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".mp4", ".aac", ".webm", ".aiff", ".aif", ".au",
)  # fmt: skip
"""What audio is called in a directory. A file that is named itself may be called anything."""
TABLES = (".csv", ".tsv")
"""What a manifest with one line of column names is called."""
JSON_LINES = (".jsonl", ".ndjson")
"""What a manifest with one JSON object a line is called."""


def rows_from_sources(arguments: Iterable[str]) -> Iterator[Row | Problem]:
    """Give what the arguments stand for, in their order; what is named twice is there once.

    The label is the name without suffix. Where two would be called the same, it is the path below the folder that all
    arguments share. All names are held in memory, because the last one may meet the first: long lists are manifests.

    Args:
        arguments: files, directories (searched for audio, with all directories in them), URLs, and patterns such as
            `*.wav` or `voices/**/*.flac` that the shell has not expanded.
    """
    asked = list(dict.fromkeys(arguments))
    sources: dict[str, Path | str] = {}
    for argument in asked:
        for found in expand(argument):
            if isinstance(found, Problem):
                yield found
            else:
                sources.setdefault(same_source(found), found)
    everything, shared = list(sources.values()), _shared_folder(asked)
    labels = distinct_labels(everything, lambda source: _long_name(source, shared))
    for label, source in zip(labels, everything, strict=True):
        yield Row(label, source)


def expand(argument: str) -> Iterator[Path | str | Problem]:
    """Give the files or the URL that an argument stands for. A file that is not there is given all the same."""
    path = Path(argument)
    if not argument:
        # Python takes it for the current folder, and a shell makes it of a variable that is not set.
        yield Problem("one of the sources is empty; give a file, a directory or a URL")
    elif is_url(argument):
        yield argument
    elif path.is_dir():
        yield from _directory(path, argument)
    elif has_magic(argument) and not path.exists():
        yield from _pattern(argument)
    else:
        yield path


def same_source(source: Path | str) -> str:
    """Give what is equal for two ways to name one file."""
    return source if isinstance(source, str) else os.path.realpath(source)


def distinct_labels(sources: Sequence[Path | str], long_name: Callable[[Path | str], str]) -> Iterator[str]:
    """Give the shortest names that tell the sources apart.

    Args:
        sources: files and URLs.
        long_name: what a source is called whose short name is that of another one, too.
    """
    short = [_short_name(source) for source in sources]
    times = Counter(short)
    given = {name for name in short if times[name] == 1}
    for name, source in zip(short, sources, strict=True):
        if times[name] == 1:
            yield name
            continue
        # Two URLs may differ in nothing but the query, which must not be shown.
        label = long = long_name(source)
        number = 1
        while label in given:
            number += 1
            label = f"{long} ({number})"
        given.add(label)
        yield label


def is_url(argument: str) -> bool:
    """Whether it is meant as a URL, be it a good one or not."""
    return "://" in argument or argument[:5].lower() == "data:"


def is_manifest(path: str | os.PathLike[str]) -> bool:
    """Whether it is called like a list of speakers, not like a recording."""
    return PurePath(path).suffix.lower() in (*TABLES, *JSON_LINES)


def _directory(directory: Path, argument: str) -> Iterator[Path | Problem]:
    problems: list[Problem] = []
    found = sorted(_audio_in(directory, problems))
    yield from problems
    if not found and not problems:
        yield Problem(f"{argument}: has no audio in it ({' '.join(SUFFIXES)})")
    yield from found


def _audio_in(directory: Path, problems: list[Problem]) -> Iterator[Path]:
    def unreadable(exc: OSError) -> None:
        why = (exc.strerror or "cannot be read").lower()
        problems.append(Problem(f"{exc.filename}: {why}; change its permissions"))

    for folder, folders, files in os.walk(directory, onerror=unreadable):
        # Hidden ones are no recordings: macOS leaves a `._voice.wav` beside each `voice.wav` on foreign disks.
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(folder, name) for name in files if not name.startswith(".") and _is_audio(name))


def _pattern(pattern: str) -> Iterator[Path | Problem]:
    """Give the files that match; of any kind only if the pattern says which, as in `*.pcm`."""
    suffix = PurePath(pattern).suffix
    any_kind = bool(suffix) and not has_magic(suffix)
    matches = glob(pattern, recursive=True)  # noqa: PTH207 - that of Path takes no absolute pattern
    # `**` gives a file once for each way that leads to it.
    found = sorted({Path(name) for name in matches if (any_kind or _is_audio(name)) and not Path(name).is_dir()})
    if not found:
        yield Problem(f"{pattern}: matches no file; look at the folder, and quote the pattern if it has spaces")
    yield from found


def _is_audio(name: str) -> bool:
    return PurePath(name).suffix.lower() in SUFFIXES


def _short_name(source: Path | str) -> str:
    if isinstance(source, Path):
        return source.stem
    try:
        parts = urlsplit(source)
        # The key of `media://voice.wav` stands where other URLs have their host.
        path = parts.netloc + parts.path if parts.scheme.lower() == "media" else parts.path
        return PurePath(unquote(path)).stem or parts.hostname or mask_url(source)
    except ValueError:
        return mask_url(source)


def _long_name(source: Path | str, folder: str) -> str:
    if isinstance(source, str):
        return mask_url(source).partition("://")[2].removeprefix("…@").removesuffix("?…")
    return Path(os.path.relpath(source, folder)).as_posix()


def _shared_folder(arguments: Iterable[str]) -> str:
    folders = {_folder(argument) for argument in arguments if argument and not is_url(argument)}
    return os.path.commonpath(folders) if folders else os.curdir


def _folder(argument: str) -> str:
    """Give the folder that an argument speaks of: itself, or the one in which its file or its pattern begins."""
    path = Path(os.path.abspath(argument))  # noqa: PTH100 - `..` must be gone before paths are compared
    if path.is_dir():
        return str(path)
    parents = [parent for parent in path.parents if path.exists() or not has_magic(str(parent))]
    return str(parents[0])
