"""An identification as a picture: one row for each speaker, in plain inline SVG."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Sequence

from pyannote_voiceprint_async.redaction import printable

from .turns import IdentifiedTurn

__all__ = ["clock_time", "to_html"]

_WIDTH, _ROW_HEIGHT, _BAR_HEIGHT, _NAME_WIDTH = 720, 22, 14, 180
_MAX_ROWS, _MAX_NAME = 40, 28
_COLORS = ("#4c78a8", "#f58518", "#54a24b", "#e45756", "#72b7b2", "#b279a2", "#9d755d", "#eeca3b")
_OTHER_COLOR = "#bab0ac"
_NUMBER_OF_TICKS = 5


def to_html(turns: Sequence[IdentifiedTurn], summary: str) -> str:
    """Return an HTML fragment with a timeline, which shrinks to the width of a narrow page. All texts are escaped.

    A turn is as wide as its time, and at least one pixel. Turns that touch at this width are drawn as one, so that the
    picture stays small however long the recording is.

    Args:
        turns: the turns.
        summary: a sentence above the picture.
    """
    rows = _rows(turns)
    total = max((turn.end for turn in turns), default=0.0)
    hidden = f"<p>and {len(rows) - _MAX_ROWS} more speakers</p>" if len(rows) > _MAX_ROWS else ""
    picture = _svg(dict(list(rows.items())[:_MAX_ROWS]), total) if total > 0 else ""
    return f"<div><p>{_escape(summary)}</p>{picture}{hidden}</div>"


def _escape(text: str) -> str:
    """Return a text as HTML and XML: markup is escaped, and characters that do not print are visible."""
    return html.escape(printable(text))


def _rows(turns: Iterable[IdentifiedTurn]) -> dict[str, list[IdentifiedTurn]]:
    """Return the turns by speaker, in the order of their first turn."""
    rows: dict[str, list[IdentifiedTurn]] = {}
    for turn in turns:
        rows.setdefault(turn.speaker, []).append(turn)
    return rows


def _svg(rows: dict[str, list[IdentifiedTurn]], total: float) -> str:
    width, height = _NAME_WIDTH + _WIDTH, _ROW_HEIGHT * (len(rows) + 1)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'style="max-width:100%;height:auto" font-family="sans-serif" font-size="12" fill="currentColor">'
    )
    parts = [head]
    for number, (name, turns) in enumerate(rows.items()):
        parts += _row(name, turns, _ROW_HEIGHT * number, _color(turns[0], number), total)
    parts += _ticks(total, height)
    return "".join([*parts, "</svg>"])


def _color(turn: IdentifiedTurn, number: int) -> str:
    """Return the color of a row: grey where no voiceprint matched."""
    return _OTHER_COLOR if turn.match is None else _COLORS[number % len(_COLORS)]


def _row(name: str, turns: Iterable[IdentifiedTurn], top: int, color: str, total: float) -> Iterator[str]:
    shown = name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 1]}…"
    yield (
        f'<text x="{_NAME_WIDTH - 8}" y="{top + _BAR_HEIGHT}" text-anchor="end">{_escape(shown)}'
        f"<title>{_escape(name)}</title></text>"
    )
    for start, end in _pixels(turns, total):
        yield (
            f'<rect x="{_NAME_WIDTH + start}" y="{top + 3}" width="{end - start}" height="{_BAR_HEIGHT}" '
            f'fill="{color}"/>'
        )


def _pixels(turns: Iterable[IdentifiedTurn], total: float) -> list[tuple[int, int]]:
    """Return the spans of the turns in pixels, merged where they touch."""
    merged: list[tuple[int, int]] = []
    for turn in sorted(turns, key=lambda turn: turn.start):
        start = min(_WIDTH - 1, max(0, int(turn.start / total * _WIDTH)))
        end = min(_WIDTH, max(start + 1, round(turn.end / total * _WIDTH)))
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _ticks(total: float, height: int) -> Iterator[str]:
    for number in range(_NUMBER_OF_TICKS):
        share = number / (_NUMBER_OF_TICKS - 1)
        anchor = "start" if number == 0 else "end" if share == 1 else "middle"
        x = _NAME_WIDTH + share * _WIDTH
        yield f'<text x="{x:g}" y="{height - 6}" text-anchor="{anchor}">{clock_time(share * total)}</text>'


def clock_time(seconds: float) -> str:
    """Return a time in a recording: `1:23`, or `2:03:04` from an hour on."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
