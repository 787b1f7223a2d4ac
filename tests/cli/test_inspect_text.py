"""What `inspect` shows on a terminal: a table that fits, with every finding below its file."""

import pytest

from pyannote_voiceprint_async.cli.inspect_text import InspectTable, summary_line

_FACTS = {"seconds": 13.16, "speech_seconds": 10.76, "loudness_dbfs": -21.3, "format": "WAV", "sample_rate": 8000}
_GOOD = {"file": "voices/june.wav", **_FACTS, "findings": []}
_LONG = {
    "file": "talk.flac",
    **_FACTS,
    "findings": [{"code": "too_long", "message": "lasts 75.62 s; a voiceprint takes at most 30 s", "is_fatal": True}],
}
_NONE = {
    "file": "none.wav",
    "findings": [{"code": "unreadable", "message": "The audio is empty: it has no bytes.: none.wav", "is_fatal": True}],
}


@pytest.mark.parametrize(
    ("width", "header", "line"),
    [
        (60, "RESULT     LENGTH    SPEECH  FILE", "good       13.2 s    10.8 s  voices/june.wav"),
        (
            80,
            "RESULT     LENGTH    SPEECH     LEVEL  FILE",
            "good       13.2 s    10.8 s  -21 dBFS  voices/june.wav",
        ),
        (
            200,
            "RESULT     LENGTH    SPEECH     LEVEL  FORMAT          FILE",
            "good       13.2 s    10.8 s  -21 dBFS  WAV 8 kHz       voices/june.wav",
        ),
    ],
)
def test_the_columns_fit_the_terminal(width, header, line):
    table = InspectTable()
    assert list(table.lines(_GOOD, width)) == [header, line]
    assert list(table.lines(_GOOD, width)) == [line]


def test_findings_and_the_total_are_below():
    table = InspectTable()
    lines = [line for record in (_GOOD, _LONG, _NONE) for line in table.lines(record, 60)]
    assert lines[2:] == [
        "refused    13.2 s    10.8 s  talk.flac",
        "         lasts 75.62 s; a voiceprint takes at most 30 s",
        "refused                      none.wav",
        "         The audio is empty: it has no bytes.",
    ]
    assert table.total_line == "3 files: 1 good, 2 refused."


def test_a_name_that_does_not_fit_has_lines_of_its_own():
    name = "voices/" + "a long name " * 6 + "王芳.wav"
    lines = list(InspectTable().lines(_GOOD | {"file": name}, 60))[1:]
    assert lines[0] == "good       13.2 s    10.8 s"
    assert " ".join(" ".join(lines[1:]).split()) == name


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (_GOOD, "voices/june.wav: good, 13.2 s with 10.8 s of speech."),
        (_LONG, "talk.flac: would be refused: lasts 75.62 s; a voiceprint takes at most 30 s."),
    ],
)
def test_the_summary_beside_json_is_one_line(record, expected):
    assert summary_line(record) == expected
