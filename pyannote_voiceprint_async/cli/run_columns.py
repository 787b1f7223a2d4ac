"""The progress of a run as columns."""

from collections.abc import Iterator

import attrs

from pyannote_voiceprint_async.enrollment import Progress

from .formatting import format_duration
from .progress_columns import ProgressColumn, ProgressView

__all__ = ["run_view"]


def run_view(progress: Progress, files_found: int = 0) -> ProgressView:
    """Return the columns and the note that a display shows for a run.

    Args:
        progress: the progress.
        files_found: the files that a search of directories has found so far, before the first row is read.
    """
    fields = {name: round(value, 1) if isinstance(value, float) else value for name, value in _fields(progress)}
    columns = list(_columns(progress) if progress.total else _reading_columns(progress, files_found))
    return ProgressView(progress.succeeded + progress.failed, progress.total, columns, _note(progress), fields)


def _fields(progress: Progress) -> Iterator[tuple[str, object]]:
    yield "done", progress.succeeded + progress.failed
    yield from attrs.asdict(progress).items()


def _columns(progress: Progress) -> Iterator[ProgressColumn]:
    """Yield the columns in their order; the priorities decide which of them fit."""
    done = progress.succeeded + progress.failed
    yield ProgressColumn(f"{done} of {progress.total} done", f"{done}/{progress.total}", priority=9)
    if progress.failed:
        yield ProgressColumn(f"{progress.failed} failed", priority=8, style="red")
    if progress.rows_per_minute is not None:
        rate = f"{progress.rows_per_minute:.0f}"
        yield ProgressColumn(f"{rate} a minute", f"{rate}/min", priority=6)
    if progress.seconds_left is not None and done < progress.total:
        left = format_duration(progress.seconds_left)
        yield ProgressColumn(f"{left} left", f"{left.replace(' days', ' d').replace(' day', ' d')} left", priority=7)
    if progress.queued:
        yield ProgressColumn(f"{progress.queued} queued", priority=3)
    if progress.in_flight:
        yield ProgressColumn(f"{progress.in_flight} in flight", priority=2)
    if progress.awaiting_result:
        yield ProgressColumn(
            f"{progress.awaiting_result} awaiting a result", f"{progress.awaiting_result} awaiting", priority=4
        )


def _reading_columns(progress: Progress, files_found: int) -> Iterator[ProgressColumn]:
    if files_found and not progress.read:
        yield ProgressColumn(f"Searching the directories: {files_found} files", f"{files_found} files found")
        return
    yield ProgressColumn(f"Reading the list: {progress.read} rows", f"{progress.read} rows read", priority=2)
    if progress.checking:
        yield ProgressColumn(f"checking {progress.checking}", priority=1)


def _note(progress: Progress) -> str | None:
    if progress.paused_for is None:
        return None
    again = f" The next attempt is in {format_duration(progress.pause_seconds)}." if progress.pause_seconds >= 1 else ""
    return f"paused: {progress.paused_for}{again}"
