"""Rows without a manifest: from files, directories, patterns and URLs, with labels made from their names."""

import os
from collections.abc import Iterable, Iterator
from glob import has_magic
from pathlib import Path
from typing import TypeAlias

from pyannote_voiceprint_async.redaction import redact_url

from .names import find_existing
from .rows import Problem, Row
from .skipped_files import SkippedFiles
from .source_expansion import expand_source, source_key
from .source_kinds import is_url
from .source_labels import distinct_labels

__all__ = ["SourceRows", "rows_from_sources"]

_Source: TypeAlias = str | os.PathLike[str]


class SourceRows:
    """An iterable over the rows of some sources, see `rows_from_sources`.

    Attributes:
        skipped_files: the files that the last iteration skipped.
        files_found: how many files of directories the last iteration has found so far.
    """

    def __init__(self, sources: Iterable[_Source]) -> None:
        self._sources = tuple(dict.fromkeys(sources))
        self.skipped_files = SkippedFiles()
        self.files_found = 0

    def __repr__(self) -> str:
        return f"<SourceRows of {len(self._sources)} sources>"

    def __iter__(self) -> Iterator[Row | Problem]:
        self.skipped_files = SkippedFiles()
        self.files_found = 0
        recordings: dict[str, Path | str] = {}
        for source in self._sources:
            for found in expand_source(source, self.skipped_files, self._count_file):
                if isinstance(found, Problem):
                    yield found
                else:
                    recordings.setdefault(source_key(found), found)
        found_recordings, folder = list(recordings.values()), _common_folder(self._sources)
        labels = distinct_labels(found_recordings, lambda recording: _long_name(recording, folder))
        warnings = (self.skipped_files.warning,) if self.skipped_files.count else ()
        for label, recording in zip(labels, found_recordings, strict=True):
            yield Row(label, recording, warnings=warnings)
            warnings = ()

    def _count_file(self) -> None:
        self.files_found += 1


def rows_from_sources(sources: Iterable[str | os.PathLike[str]]) -> SourceRows:
    """Return an iterable over the rows of some sources, in their order. A recording that occurs twice has one row.

    A `str` is read as on the command line: a URL if it contains `://` or begins with `data:`, otherwise a local file, a
    directory or a pattern such as `*.wav` or `voices/**/*.flac`. Do not pass strings of users whom you do not trust:
    they can name any file of this machine. A `PathLike` is always a local file or a directory, never a URL or a
    pattern. The text of a list is never accepted: write it to a file and pass that to `Manifest`.

    Directories are searched with all their subdirectories. Files of directories and patterns that are not named like
    recordings are skipped: the first row has a warning of them, and `skipped_files` of the result counts them.

    The label is the file name without suffix. If several recordings have the same name, their labels are their paths
    below the folder that all sources have in common. All names are in memory, because the last one may equal the first:
    use a manifest for long lists.

    Args:
        sources: files, directories, URLs and patterns.

    Raises:
        TypeError: `sources` is a single `str` or path instead of an iterable of them.
    """
    if isinstance(sources, str | os.PathLike):
        raise TypeError(f"sources must be an iterable of sources, not {type(sources).__name__}. Pass a list: [source].")
    return SourceRows(sources)


def _long_name(recording: Path | str, folder: str) -> str:
    if isinstance(recording, str):
        return redact_url(recording).partition("://")[2].removeprefix("…@").removesuffix("?…")
    return Path(os.path.relpath(recording, folder)).as_posix()


def _common_folder(sources: Iterable[_Source]) -> str:
    folders = {_folder(source) for source in sources if not isinstance(source, str) or (source and not is_url(source))}
    return os.path.commonpath(folders) if folders else os.curdir


def _folder(source: _Source) -> str:
    """Return the folder that a source names: a directory itself, or the folder of a file or of a pattern."""
    path = find_existing(Path(os.path.abspath(source)))  # noqa: PTH100 - `..` must be gone before paths are compared
    if path.is_dir():
        return str(path)
    parents = [parent for parent in path.parents if path.exists() or not has_magic(str(parent))]
    return str(parents[0])
