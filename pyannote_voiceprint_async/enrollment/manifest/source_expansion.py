"""Expand the sources of a command line: files, directories, patterns and URLs. It reads directories, and blocks."""

import os
from collections.abc import Callable, Iterable, Iterator
from glob import glob, has_magic
from pathlib import Path, PurePath

from .names import find_existing, unicode_forms
from .rows import Problem
from .skipped_files import SkippedFiles
from .source_kinds import is_audio, is_url

__all__ = ["expand_source", "source_key"]

# A ledger and its companion files may be in the folder of the recordings: they are not reported as skipped.
_LEDGER = ".ledger"


def expand_source(
    source: str | os.PathLike[str], skipped_files: SkippedFiles, on_file: Callable[[], object] = lambda: None
) -> Iterator[Path | str | Problem]:
    """Yield the files or the URL that a source stands for. A file that does not exist is yielded too.

    Args:
        source: a `str` as a user types it (a URL, a file, a directory or a pattern), or the path of a file or a
            directory.
        skipped_files: counts the files that are skipped.
        on_file: called for each file of a directory, before any of them is yielded: a search can take long.
    """
    if not isinstance(source, str):
        path = find_existing(Path(source))
        yield from _expand_directory(path, str(path), skipped_files, on_file) if path.is_dir() else (path,)
    elif not source:
        # Path("") is the current folder, and "$VARIABLE" is empty if the variable is not set.
        yield Problem("one of the sources is empty; give a file, a directory or a URL")
    elif is_url(source):
        yield source
    else:
        yield from _expand_path(source, skipped_files, on_file)


def source_key(source: Path | str) -> str:
    """Return a key that is equal for two paths of one file."""
    return source if isinstance(source, str) else os.path.realpath(source)


def _expand_path(text: str, skipped_files: SkippedFiles, on_file: Callable[[], object]) -> Iterator[Path | Problem]:
    path = find_existing(Path(text))
    if path.is_dir():
        yield from _expand_directory(path, text, skipped_files, on_file)
    elif has_magic(text) and not path.exists():
        yield from _expand_pattern(text, skipped_files)
    else:
        yield path


def _expand_directory(
    directory: Path, shown: str, skipped_files: SkippedFiles, on_file: Callable[[], object]
) -> Iterator[Path | Problem]:
    problems: list[Problem] = []
    skipped_here = SkippedFiles()
    files = []
    for path in _walk(directory, problems):
        on_file()
        files.append(path)
    found = list(_filter_recordings(sorted(files), skipped_files, skipped_here))
    yield from problems
    if not found and not problems:
        hint = _only_other_files(skipped_here) or "; give a directory with recordings"
        yield Problem(f"{shown}: contains no audio files{hint}")
    yield from found


def _expand_pattern(pattern: str, skipped_files: SkippedFiles) -> Iterator[Path | Problem]:
    """Yield the files that match: recordings, or files of any kind if the pattern has a suffix, such as `*.pcm`."""
    suffix = PurePath(pattern).suffix
    is_any_kind = bool(suffix) and not has_magic(suffix)
    # `Path.glob` rejects absolute patterns. `**` returns a file once for each way that leads to it, hence the set.
    matches = {Path(name) for form in unicode_forms(pattern) for name in glob(form, recursive=True)}  # noqa: PTH207
    files, skipped_here = sorted(path for path in matches if not path.is_dir()), SkippedFiles()
    found = files if is_any_kind else list(_filter_recordings(files, skipped_files, skipped_here))
    if not found:
        hint = _only_other_files(skipped_here) or "; check the folder, and quote the pattern if it contains spaces"
        yield Problem(f"{pattern}: matches no {'audio files' if skipped_here.count else 'file'}{hint}")
    yield from found


def _only_other_files(skipped: SkippedFiles) -> str:
    return f", only {skipped}; to include a file, pass its own name" if skipped.count else ""


def _filter_recordings(files: Iterable[Path], *counters: SkippedFiles) -> Iterator[Path]:
    """Yield the recordings, and count all other files but those of a ledger."""
    for path in files:
        if is_audio(path.name):
            yield path
        elif _LEDGER not in path.name:
            for counter in counters:
                counter.add(path)


def _walk(directory: Path, problems: list[Problem]) -> Iterator[Path]:
    def report(exc: OSError) -> None:
        reason = (exc.strerror or "cannot be read").lower()
        problems.append(Problem(f"{exc.filename}: {reason}; change its permissions"))

    for folder, folders, files in os.walk(directory, onerror=report):
        # Hidden files are not recordings: macOS writes a `._voice.wav` beside each `voice.wav` on foreign disks.
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(folder, name) for name in files if not name.startswith("."))
