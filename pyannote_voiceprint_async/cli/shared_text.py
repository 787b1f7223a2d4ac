"""Format the state that processes share: as a record, and as lines for people."""

from collections.abc import Iterator
from typing import Any

import attrs

from pyannote_voiceprint_async.shared.status import ScopeStatus, WindowStatus

from .formatting import format_count, format_duration
from .log_format import format_time
from .text_layout import TextColumn, field_lines, table_line, wrap

__all__ = ["scope_lines", "scope_record"]

_MOST_KEYS = 20
_COLUMNS = (
    TextColumn("OPERATION", 11),
    TextColumn("PROCESSES", 9, align_right=True),
    TextColumn("IN USE", 6, align_right=True),
    TextColumn("LIMIT", 6, align_right=True),
    TextColumn("WAITING", 7, align_right=True),
    TextColumn("PAUSE", 8),
)


def scope_record(scope: ScopeStatus) -> dict[str, Any]:
    """Return the state of one team and one API as plain JSON types."""
    record = attrs.asdict(scope)
    record["unresolved_keys"] = [{"key": key.key, "sent_at": format_time(key.sent_at)} for key in scope.unresolved_keys]
    return record


def scope_lines(scope: ScopeStatus, width: int) -> Iterator[str]:
    """Yield the lines about one team and one API, for a terminal of this width."""
    keys = ", ".join(f"{count} {state}" for state, count in scope.keys.items()) or "none"
    yield from field_lines([("API", scope.base_url), ("Team", scope.team), ("Keys", keys)], width)
    for key in scope.unresolved_keys[:_MOST_KEYS]:
        yield from wrap(f"  unknown outcome: {key.key}, sent {format_time(key.sent_at)}", width)
    if more := len(scope.unresolved_keys[_MOST_KEYS:]):
        yield from wrap(f"  and {format_count(more, 'other key')}", width)
    if scope.windows:
        yield ""
        yield table_line(_COLUMNS, (column.title for column in _COLUMNS))
    for window in scope.windows:
        yield table_line(_COLUMNS, _cells(window))


def _cells(window: WindowStatus) -> tuple[str, ...]:
    pause = format_duration(window.pause_seconds) if window.pause_seconds else ""
    counts = (window.members, window.in_use, window.limit, window.waiting_requests)
    return (window.operation, *map(str, counts), pause)
