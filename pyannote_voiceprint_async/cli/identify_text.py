"""The text that `identify` prints: who speaks how long in a recording, a timeline, and a table of all recordings."""

from collections.abc import Iterable, Iterator, Sequence

from pyannote_voiceprint_async.identification import Certainty, Decision, Identification, IdentifiedTurn
from pyannote_voiceprint_async.identification_result.timeline import clock_time

from .formatting import format_count
from .text_layout import TextColumn, table_line, text_cells, wrap

__all__ = ["identification_lines", "speaker_name", "summary_lines"]

# Longer names are shortened in the timeline only, whose columns must not move.
_WIDEST_NAME = 24
# Cells of the timeline: speech for at least half of the time, less than that in its first or second half, and none.
_FULL, _FIRST_HALF, _SECOND_HALF, _SILENT = "█", "▌", "▐", "·"
_LEAST_BAR = 10
# The width of the table without the names, and the least width of the names.
_NUMBERS_WIDTH, _LEAST_NAME = 38, 12


def identification_lines(title: str, identification: Identification, width: int) -> Iterator[str]:
    """Yield the lines of one recording: its speakers, the reasons of uncertain decisions, and a timeline.

    Args:
        title: the name of the recording.
        identification: the result.
        width: the width of the terminal.
    """
    speakers = format_count(len(identification.speakers), "speaker")
    length = clock_time(max((turn.end for turn in identification.turns), default=0.0))
    yield from wrap(f"{title}: {speakers} until {length}, job {identification.job_id}", width)
    decisions = identification.decide()
    if not decisions:
        yield "  No speech was found."
        return
    yield from _speaker_table(decisions, width)
    yield from _reasons(decisions, width)
    yield from _timeline(identification, decisions, width)
    for warning in identification.warnings:
        yield from wrap(f"  {warning}", width)


def summary_lines(rows: Sequence[tuple[str, Identification | None]]) -> Iterator[str]:
    """Yield a table with one line for each recording; nothing if there is no recording.

    Args:
        rows: the name of each recording, with its result if there is one.
    """
    if not rows:
        return
    name_width = max(text_cells(name) for name, _ in (("recording", None), *rows))
    counts = (TextColumn(title, len(title), align_right=True) for title in ("certain", "review", "unknown"))
    columns = (TextColumn("recording", name_width), *counts, TextColumn("speech", 8, align_right=True))
    yield table_line(columns, (column.title for column in columns))
    for name, identification in rows:
        yield table_line(columns, (name, *_summary_cells(identification)))


def speaker_name(decision: Decision) -> str:
    """Return the label of a speaker, or the diarized speaker if no label fits."""
    return decision.label or decision.diarization_speaker


def _summary_cells(identification: Identification | None) -> tuple[str, ...]:
    if identification is None:
        return ("-", "-", "-", "-")
    decisions = identification.decide()
    counts = (sum(decision.certainty is certainty for decision in decisions) for certainty in Certainty)
    return (*map(str, counts), clock_time(sum(decision.seconds for decision in decisions)))


def _speaker_table(decisions: Sequence[Decision], width: int) -> Iterator[str]:
    # A longer name moves the rest of its own line only.
    name_width = min(
        max(text_cells(name) for name in ("speaker", *map(speaker_name, decisions))),
        max(_LEAST_NAME, width - _NUMBERS_WIDTH),
    )
    columns = (
        TextColumn("speaker", name_width),
        TextColumn("speech", 8, align_right=True),
        TextColumn("score", 5, align_right=True),
        TextColumn("margin", 6, align_right=True),
        TextColumn("decision", 8),
    )
    yield f"  {table_line(columns, (column.title for column in columns))}"
    for decision in decisions:
        score, margin = _number(decision.score), _number(decision.margin)
        cells = (speaker_name(decision), f"{decision.seconds:.1f} s", score, margin, str(decision.certainty))
        yield f"  {table_line(columns, cells)}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _reasons(decisions: Iterable[Decision], width: int) -> Iterator[str]:
    for decision in decisions:
        if decision.certainty is not Certainty.CERTAIN:
            yield from wrap(f"  {speaker_name(decision)}: {decision.certainty}, {decision.reason}.", width)


def _timeline(identification: Identification, decisions: Sequence[Decision], width: int) -> Iterator[str]:
    """Yield one line for each diarized speaker, with the time from left to right in the rest of the width."""
    end = max((turn.end for turn in identification.turns), default=0.0)
    names = [_shorten(speaker_name(decision)) for decision in decisions]
    name_width = max(map(text_cells, names))
    cells = width - name_width - 4
    if end <= 0 or cells < _LEAST_BAR:
        return
    for name, decision in zip(names, decisions, strict=True):
        turns = (turn for turn in identification.turns if turn.diarization_speaker == decision.diarization_speaker)
        yield f"  {name}{' ' * (name_width - text_cells(name))}  {_bar(turns, end, cells)}"
    yield f"{' ' * (name_width + 4)}0:00{clock_time(end):>{cells - 4}}"


def _shorten(name: str) -> str:
    if text_cells(name) <= _WIDEST_NAME:
        return name
    shown = ""
    for character in name:
        if text_cells(shown + character) >= _WIDEST_NAME:
            break
        shown += character
    return f"{shown}…"


def _bar(turns: Iterable[IdentifiedTurn], end: float, cells: int) -> str:
    """Return one character for each cell: how much of its time is speech, and in which half."""
    half = end / cells / 2
    speech = [0.0] * cells * 2
    for turn in turns:
        first = max(0, min(len(speech) - 1, int(turn.start / half)))
        for index in range(first, min(len(speech), int(turn.end / half) + 1)):
            speech[index] += max(0.0, min(turn.end, (index + 1) * half) - max(turn.start, index * half))
    return "".join(_cell(first, second, half) for first, second in zip(speech[::2], speech[1::2], strict=True))


def _cell(first: float, second: float, half: float) -> str:
    """Return the character of a cell, from the seconds of speech in its halves, which last `half` seconds each."""
    if first + second >= half:
        return _FULL
    if first + second == 0:
        return _SILENT
    return _FIRST_HALF if first >= second else _SECOND_HALF
