"""Speakers without a manifest: files, directories, patterns and URLs, each called after its file."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from glob import glob, has_magic
from pathlib import Path, PurePath
from urllib.parse import unquote, urlsplit

import attrs

from pyannote_voiceprint_async.redaction import redact_url

from .names import find_existing, normalize_name, unicode_forms
from .rows import Problem, Row

__all__ = [
    "AUDIO_SUFFIXES",
    "JSON_LINES_SUFFIXES",
    "TABLE_SUFFIXES",
    "SkippedFiles",
    "SourceRows",
    "distinct_labels",
    "expand_source",
    "is_manifest",
    "is_url",
    "rows_from_sources",
    "source_key",
]

AUDIO_SUFFIXES = (
    ".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".mp4", ".aac", ".webm", ".aiff", ".aif", ".au",
    ".3g2", ".3ga", ".3gp", ".3gpp", ".aa3", ".ac3", ".act", ".adts", ".aifc", ".amr", ".ape", ".asf", ".avi", ".awb",
    ".bwf", ".caf", ".dff", ".ds2", ".dsf", ".dss", ".dts", ".dvf", ".eac3", ".ec3", ".f4a", ".f4v", ".flv", ".gsm",
    ".loas", ".m1a", ".m2a", ".m2ts", ".m4b", ".m4p", ".m4r", ".m4v", ".mka", ".mkv", ".mov", ".mp1", ".mp2", ".mpa",
    ".mpc", ".mpeg", ".mpg", ".mpga", ".msv", ".mts", ".mxf", ".nist", ".nut", ".oga", ".ogm", ".ogv", ".ogx", ".oma",
    ".omg", ".qcp", ".qt", ".ra", ".rf64", ".rm", ".sd2", ".shn", ".silk", ".snd", ".sph", ".spx", ".tak", ".tta",
    ".ulaw", ".vob", ".voc", ".vox", ".w64", ".wave", ".weba", ".wma", ".wmv", ".wv", ".wve", ".xa",
)  # fmt: skip
"""What recordings are called in a directory. A file that is named itself may be called anything."""
TABLE_SUFFIXES = (".csv", ".tsv")
"""What a manifest with one line of column names is called."""
JSON_LINES_SUFFIXES = (".jsonl", ".ndjson")
"""What a manifest with one JSON object a line is called."""


_NAMES_SHOWN = 5
# A ledger in the folder of its recordings, and what belongs to it.
_LEDGER = ".ledger"


@attrs.define
class SkippedFiles:
    """Files of directories and patterns that are not taken, because their names are not those of recordings."""

    count: int = 0
    """How many."""
    names: list[str] = attrs.field(factory=list)
    """The first few."""

    def add(self, path: Path) -> None:
        """Count a file."""
        self.count += 1
        if len(self.names) < _NAMES_SHOWN:
            self.names.append("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in os.fspath(path)))

    def __str__(self) -> str:
        more = ", …" if self.count > len(self.names) else ""
        return f"{self.count} file{'s'[: self.count != 1]} ({', '.join(self.names)}{more})"

    @property
    def warning(self) -> str:
        """What is reported with the first recording, before anything is sent."""
        return f"is listed without {self}, whose names are not those of recordings; to include a file, name it itself"


class SourceRows:
    """The rows of what is named, see `rows_from_sources`.

    Attributes:
        skipped_files: the files that the last iteration did not take.
    """

    def __init__(self, arguments: Iterable[str]) -> None:
        self._arguments = tuple(dict.fromkeys(arguments))
        self.skipped_files = SkippedFiles()

    def __repr__(self) -> str:
        return f"<Sources of {len(self._arguments)} arguments>"

    def __iter__(self) -> Iterator[Row | Problem]:
        self.skipped_files = SkippedFiles()
        sources: dict[str, Path | str] = {}
        for argument in self._arguments:
            for found in expand_source(argument, self.skipped_files):
                if isinstance(found, Problem):
                    yield found
                else:
                    sources.setdefault(source_key(found), found)
        everything, shared = list(sources.values()), _shared_folder(self._arguments)
        labels = distinct_labels(everything, lambda source: _long_name(source, shared))
        warnings = (self.skipped_files.warning,) if self.skipped_files.count else ()
        for label, source in zip(labels, everything, strict=True):
            yield Row(label, source, warnings=warnings)
            warnings = ()


def rows_from_sources(arguments: Iterable[str]) -> SourceRows:
    """Return the rows of what the arguments name, in their order; what is named twice is there once.

    Files of a directory or pattern whose names are not those of recordings are left out. The first row has a note of
    them, and `left_out` of the result counts and names them.

    The label is the name without suffix. Where two would be called the same, it is the path below the folder that all
    arguments share. All names are held in memory, because the last one may meet the first: long lists are manifests.

    Args:
        arguments: files, directories (searched for audio, with all directories in them), URLs, and patterns such as
            `*.wav` or `voices/**/*.flac` that the shell has not expanded.
    """
    return SourceRows(arguments)


def expand_source(argument: str, skipped_files: SkippedFiles) -> Iterator[Path | str | Problem]:
    """Give the files or the URL that an argument stands for. A file that is not there is given all the same.

    Args:
        argument: a file, a directory, a pattern or a URL.
        skipped_files: counts the files that are not taken.
    """
    path = find_existing(Path(argument))
    if not argument:
        # Python takes it for the current folder, and a shell makes it of a variable that is not set.
        yield Problem("one of the sources is empty; give a file, a directory or a URL")
    elif is_url(argument):
        yield argument
    elif path.is_dir():
        yield from _directory(path, argument, skipped_files)
    elif has_magic(argument) and not path.exists():
        yield from _pattern(argument, skipped_files)
    else:
        yield path


def source_key(source: Path | str) -> str:
    """Give what is equal for two ways to name one file."""
    return source if isinstance(source, str) else os.path.realpath(source)


def distinct_labels(sources: Sequence[Path | str], long_name: Callable[[Path | str], str]) -> Iterator[str]:
    """Give the shortest names that tell the sources apart.

    Args:
        sources: files and URLs.
        long_name: what a source is called whose short name is that of another one, too.
    """
    short = [normalize_name(_short_name(source)) for source in sources]
    times = Counter(short)
    given = {name for name in short if times[name] == 1}
    for name, source in zip(short, sources, strict=True):
        if times[name] == 1:
            yield name
            continue
        # Two URLs may differ in nothing but the query, which must not be shown.
        label = long = normalize_name(long_name(source))
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
    return PurePath(path).suffix.lower() in (*TABLE_SUFFIXES, *JSON_LINES_SUFFIXES)


def _directory(directory: Path, argument: str, skipped_files: SkippedFiles) -> Iterator[Path | Problem]:
    problems: list[Problem] = []
    there = SkippedFiles()
    found = list(_recordings(sorted(_files_in(directory, problems)), skipped_files, there))
    yield from problems
    if not found and not problems:
        yield Problem(f"{argument}: has no audio in it{_only(there) or '; give a directory with recordings'}")
    yield from found


def _only(there: SkippedFiles) -> str:
    return f", only {there}; name the files themselves to have them taken" if there.count else ""


def _recordings(files: Iterable[Path], *skipped_files: SkippedFiles) -> Iterator[Path]:
    """Give the recordings among some files, and count the others."""
    for path in files:
        if _is_audio(path.name):
            yield path
        elif _LEDGER not in path.name:
            for counted in skipped_files:
                counted.add(path)


def _files_in(directory: Path, problems: list[Problem]) -> Iterator[Path]:
    def unreadable(exc: OSError) -> None:
        why = (exc.strerror or "cannot be read").lower()
        problems.append(Problem(f"{exc.filename}: {why}; change its permissions"))

    for folder, folders, files in os.walk(directory, onerror=unreadable):
        # Hidden ones are no recordings: macOS leaves a `._voice.wav` beside each `voice.wav` on foreign disks.
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(folder, name) for name in files if not name.startswith("."))


def _pattern(pattern: str, skipped_files: SkippedFiles) -> Iterator[Path | Problem]:
    """Give the files that match; of any kind only if the pattern says which, as in `*.pcm`."""
    suffix = PurePath(pattern).suffix
    any_kind = bool(suffix) and not has_magic(suffix)
    # That of Path takes no absolute pattern. `**` gives a file once for each way that leads to it.
    matches = {Path(name) for form in unicode_forms(pattern) for name in glob(form, recursive=True)}  # noqa: PTH207
    files, there = sorted(path for path in matches if not path.is_dir()), SkippedFiles()
    found = files if any_kind else list(_recordings(files, skipped_files, there))
    if not found:
        why = _only(there) or "; look at the folder, and quote the pattern if it has spaces"
        yield Problem(f"{pattern}: matches no {'audio' if there.count else 'file'}{why}")
    yield from found


def _is_audio(name: str) -> bool:
    return PurePath(name).suffix.lower() in AUDIO_SUFFIXES


def _short_name(source: Path | str) -> str:
    if isinstance(source, Path):
        return source.stem
    try:
        parts = urlsplit(source)
        # The key of `media://voice.wav` stands where other URLs have their host.
        path = parts.netloc + parts.path if parts.scheme.lower() == "media" else parts.path
        return PurePath(unquote(path)).stem or parts.hostname or redact_url(source)
    except ValueError:
        return redact_url(source)


def _long_name(source: Path | str, folder: str) -> str:
    if isinstance(source, str):
        return redact_url(source).partition("://")[2].removeprefix("…@").removesuffix("?…")
    return Path(os.path.relpath(source, folder)).as_posix()


def _shared_folder(arguments: Iterable[str]) -> str:
    folders = {_folder(argument) for argument in arguments if argument and not is_url(argument)}
    return os.path.commonpath(folders) if folders else os.curdir


def _folder(argument: str) -> str:
    """Give the folder that an argument speaks of: itself, or the one in which its file or its pattern begins."""
    path = find_existing(Path(os.path.abspath(argument)))  # noqa: PTH100 - `..` must be gone before paths are compared
    if path.is_dir():
        return str(path)
    parents = [parent for parent in path.parents if path.exists() or not has_magic(str(parent))]
    return str(parents[0])
