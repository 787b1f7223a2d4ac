"""Draw recordings: envelope, speech, clipping, and the segment that `--trim` selects. It needs the extra `[plot]`."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from pyannote_voiceprint_async.errors import ConfigurationError
from pyannote_voiceprint_async.extras import install_command

from .envelope import Envelope

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Panel", "check_plot_installed", "draw"]

_WIDTH_INCHES, _PANEL_INCHES, _MARGIN_INCHES = 12.0, 2.4, 0.9
_DPI = 120
_TITLE_CHARACTERS = 150
# Distinct for people who see no difference between red and green, and in print.
_WAVE, _SPEECH, _TRIM, _CLIPPED = "#3b4a63", "#56b4e9", "#e69f00", "#d55e00"
_MINUTES_FROM = 180.0


class Panel(NamedTuple):
    """A recording to draw."""

    title: str
    """Its name and what was found."""
    envelope: Envelope


def check_plot_installed() -> None:
    """Check that matplotlib is installed, without importing it.

    Raises:
        ConfigurationError: it is not.
    """
    if find_spec("matplotlib") is None:
        raise ConfigurationError(
            "A picture needs matplotlib, which is not installed. Install the extra: " + install_command("plot")
        )


def draw(panels: Sequence[Panel], file: BinaryIO, *, software: str) -> None:
    """Draw recordings below each other into a PNG file. This call blocks.

    Args:
        panels: the recordings.
        file: where the picture is written.
        software: the name of the program, for the metadata of the picture.
    """
    # A figure with its own canvas: pyplot would keep global state and could open a window.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height = _PANEL_INCHES * len(panels) + _MARGIN_INCHES
    figure = Figure(figsize=(_WIDTH_INCHES, height), dpi=_DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    rows = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
    for axes, panel in zip(rows, panels, strict=True):
        _draw_panel(axes, panel)
    _add_legend(rows[0])
    with warnings.catch_warnings():
        # The fonts of matplotlib lack most Asian characters; a box is drawn instead.
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        figure.savefig(file, format="png", metadata={"Software": software})


def _draw_panel(axes: Axes, panel: Panel) -> None:
    envelope = panel.envelope
    in_minutes = envelope.seconds > _MINUTES_FROM
    scale = 60.0 if in_minutes else 1.0
    times = envelope.times / scale
    if envelope.best is not None:
        start, end = (time / scale for time in envelope.best)
        axes.axvspan(start, end, facecolor=_TRIM, alpha=0.25, linewidth=0)
        for edge in (start, end):
            axes.axvline(edge, color=_TRIM, linewidth=1.5)
    axes.fill_between(times, envelope.low, envelope.high, step="post", color=_WAVE, linewidth=0.3)
    # Speech is a band below the waveform: it stays visible where the waveform is loud.
    axes.fill_between(times, -1.3, -1.3 + 0.2 * envelope.speech, step="post", color=_SPEECH, linewidth=0)
    clipped = times[envelope.clipped]
    axes.plot(clipped, [1.15] * len(clipped), linestyle="none", marker="v", markersize=5, color=_CLIPPED)
    axes.set_title(_shortened(panel.title), loc="left", fontsize=10, parse_math=False)
    axes.set_xlim(0, max(envelope.seconds / scale, 0.001))
    axes.set_ylim(-1.35, 1.3)
    axes.set_yticks([-1, 0, 1])
    axes.set_xlabel("minutes" if in_minutes else "seconds", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)


def _add_legend(axes: Axes) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles = [
        Patch(color=_WAVE, label="waveform"),
        Patch(color=_SPEECH, label="speech that was found"),
        Line2D([], [], linestyle="none", marker="v", color=_CLIPPED, label="clipped"),
        Patch(facecolor=_TRIM, alpha=0.4, label="segment that --trim selects (files over 30 s)"),
    ]
    axes.figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False, fontsize=9)


def _shortened(title: str) -> str:
    return textwrap.shorten(title, _TITLE_CHARACTERS, placeholder=" …")
