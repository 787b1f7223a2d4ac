"""What `identify` shows on a terminal, at several widths."""

import pytest

from pyannote_voiceprint_async.cli.identify_text import identification_lines, summary_lines
from pyannote_voiceprint_async.cli.text_layout import text_cells
from pyannote_voiceprint_async.identification import Identification, IdentifiedSpeaker, IdentifiedTurn

_ADA, _LONG = "Ada", "Wolfeschlegelsteinhausenbergerdorff"
MEETING = Identification(
    "job-1",
    "precision-2",
    turns=[
        IdentifiedTurn(_ADA, 0.0, 50.0, "SPEAKER_00", _ADA),
        IdentifiedTurn(_LONG, 50.0, 75.0, "SPEAKER_01", _LONG),
        IdentifiedTurn("SPEAKER_02", 99.9, 100.0, "SPEAKER_02", None),
    ],
    speakers=(
        IdentifiedSpeaker("SPEAKER_00", 50.0, _ADA, {_ADA: 90.0, _LONG: 10.0}),
        IdentifiedSpeaker("SPEAKER_01", 25.0, _LONG, {_LONG: 80.0, _ADA: 70.0}),
        IdentifiedSpeaker("SPEAKER_02", 0.1, None, {_ADA: 5.0}),
    ),
    warnings=("the recording is noisy",),
)


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_timeline_fills_the_terminal_and_no_line_is_wider(width):
    lines = list(identification_lines("meeting", MEETING, width))
    # Names are not cut in the table: a long one moves the rest of its line.
    assert max(text_cells(line) for line in lines if not line.endswith("review")) == width
    ada, long, nobody, axis = lines[-5:-1]
    bar = ada.split()[1]
    assert len(bar) == width - 28
    assert bar.count("█") + bar.count("▌") + bar.count("▐") == pytest.approx(len(bar) / 2, abs=1)
    assert long.startswith("  Wolfeschlegelsteinhause…  ·")
    assert nobody.endswith("·▐")
    assert axis.split() == ["0:00", "1:40"]


def test_each_speaker_has_its_numbers_and_uncertain_ones_their_reason():
    lines = list(identification_lines("meeting", MEETING, 200))
    assert lines[0] == "meeting: 3 speakers until 1:40, job job-1"
    assert [line.split() for line in lines[1:5]] == [
        ["speaker", "speech", "score", "margin", "decision"],
        [_ADA, "50.0", "s", "90", "80", "certain"],
        [_LONG, "25.0", "s", "80", "10", "review"],
        ["SPEAKER_02", "0.1", "s", "5", "5", "unknown"],
    ]
    assert lines[5] == f"  {_LONG}: review, the margin is 10, and must be at least 15 ('Ada' is second)."
    assert lines[6] == "  SPEAKER_02: unknown, the highest score is 5, and must be above 60."
    assert lines[-1] == "  the recording is noisy"


def test_a_recording_without_speech_has_no_table():
    empty = Identification("job-2", "precision-2")
    assert list(identification_lines("silence", empty, 80)) == [
        "silence: 0 speakers until 0:00, job job-2",
        "  No speech was found.",
    ]


def test_the_summary_counts_the_decisions_of_each_recording():
    assert [line.split() for line in summary_lines([("meeting", MEETING), ("gone", None)])] == [
        ["recording", "certain", "review", "unknown", "speech"],
        ["meeting", "1", "1", "1", "1:15"],
        ["gone", "-", "-", "-", "-"],
    ]


def test_an_interrupted_run_without_results_has_no_summary():
    assert list(summary_lines([])) == []
