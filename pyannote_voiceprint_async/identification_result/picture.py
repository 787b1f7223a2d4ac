"""Draw the timelines of recordings: a panel for each, with a row for each speaker. It needs the extra `[plot]`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from pyannote_voiceprint_async.redaction import printable

from .decisions import Certainty, Decision
from .identification import Identification

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["TimelinePanel", "draw_timelines"]

_WIDTH_INCHES, _ROW_INCHES, _PANEL_INCHES = 12.0, 0.42, 1.15
_DPI = 120
_LONGEST_NAME, _LONGEST_TITLE = 32, 120
_MOST_ROWS = 50
_MINUTES_FROM, _HOURS_FROM = 180.0, 3 * 3600.0
# Distinct in print, and for people who cannot distinguish red and green.
_COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c6d31", "#5254a3")
_UNKNOWN_COLOR = "#a8a8a8"


class TimelinePanel(NamedTuple):
    """A recording to draw."""

    title: str
    identification: Identification


def draw_timelines(panels: Sequence[TimelinePanel], file: BinaryIO, *, software: str) -> None:
    """Draw recordings below each other into a PNG file. This call blocks.

    Args:
        panels: the recordings.
        file: where the picture is written.
        software: the name of the program, for the metadata of the picture.
    """
    # A figure with its own canvas: pyplot would keep global state and could open a window.
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - slow to import, and optional
    from matplotlib.figure import Figure  # noqa: PLC0415 - as above

    rows = [min(max(1, len(panel.identification.speakers)), _MOST_ROWS) for panel in panels]
    heights = [_PANEL_INCHES + _ROW_INCHES * count for count in rows]
    figure = Figure(figsize=(_WIDTH_INCHES, sum(heights) or _PANEL_INCHES), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    colors: dict[str, str] = {}
    if panels:
        all_axes = figure.subplots(len(panels), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
        for panel, axes in zip(panels, all_axes, strict=True):
            _draw(axes, panel, colors)
    with warnings.catch_warnings():
        # The fonts of matplotlib lack most Asian characters; a box is drawn instead.
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        figure.savefig(file, format="png", metadata={"Software": software})


def _draw(axes: Axes, panel: TimelinePanel, colors: dict[str, str]) -> None:
    decisions = panel.identification.decide()
    title = _shorten(panel.title, _LONGEST_TITLE)
    if len(decisions) > _MOST_ROWS:
        title += f" (the first {_MOST_ROWS} of {len(decisions)} speakers)"
        decisions = decisions[:_MOST_ROWS]
    unit, seconds_per_unit = _unit(panel.identification)
    spans_of: dict[str, list[tuple[float, float]]] = {decision.diarization_speaker: [] for decision in decisions}
    for turn in panel.identification.turns:
        if (drawn := spans_of.get(turn.diarization_speaker)) is not None:
            drawn.append((turn.start / seconds_per_unit, (turn.end - turn.start) / seconds_per_unit))
    for row, decision in enumerate(decisions):
        spans = spans_of[decision.diarization_speaker]
        # The thin edge keeps short turns of long recordings visible.
        color = _color(decision, colors)
        axes.broken_barh(spans, (row - 0.34, 0.68), facecolor=color, edgecolor=color, linewidth=0.6)
        if decision.certainty is not Certainty.CERTAIN:
            # Hatched: a person should decide who this is.
            axes.broken_barh(spans, (row - 0.34, 0.68), facecolor="none", edgecolor="white", hatch="////", linewidth=0)
    axes.set_yticks(range(len(decisions)), [_row_name(decision) for decision in decisions], parse_math=False)
    axes.set_ylim(max(len(decisions), 1) - 0.5, -0.5)
    axes.set_xlim(left=0)
    axes.set_xlabel(unit)
    axes.set_title(title, loc="left", fontsize=11, parse_math=False)
    axes.grid(axis="x", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _color(decision: Decision, colors: dict[str, str]) -> str:
    """Return the color of a person, which is the same in all panels; grey where no voiceprint fits."""
    if decision.label is None:
        return _UNKNOWN_COLOR
    return colors.setdefault(decision.label, _COLORS[len(colors) % len(_COLORS)])


def _row_name(decision: Decision) -> str:
    name = _shorten(decision.label or decision.diarization_speaker, _LONGEST_NAME)
    if decision.certainty is Certainty.CERTAIN:
        return f"{name}  {decision.seconds:.0f} s"
    return f"{name} ({decision.certainty})  {decision.seconds:.0f} s"


def _unit(identification: Identification) -> tuple[str, float]:
    end = max((turn.end for turn in identification.turns), default=0.0)
    if end >= _HOURS_FROM:
        return "hours", 3600.0
    return ("minutes", 60.0) if end >= _MINUTES_FROM else ("seconds", 1.0)


def _shorten(text: str, length: int) -> str:
    text = printable(text)  # no font can draw a lone surrogate, and line breaks would overlap other rows
    return text if len(text) <= length else f"{text[: length - 1]}…"
