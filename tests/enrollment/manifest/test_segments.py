"""Segments in lists, rows and the ledger."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyannote_voiceprint_async.enrollment import Manifest, Problem
from pyannote_voiceprint_async.enrollment.manifest.segments import (
    format_segments,
    parse_segments,
    segments_from_json,
    segments_problem,
    segments_to_json,
)

MUST_BE_SECONDS = "must be seconds such as 12.5 (for several segments, numbers separated by spaces)"


@pytest.mark.parametrize(
    ("start", "end", "segments"),
    [
        (None, None, ()),
        ("", " ", ()),
        ([], [], ()),
        ("1", "2.5", ((1.0, 2.5),)),
        (" 1. ", " +.5", ((1.0, 0.5),)),
        ("1", "", ((1.0, None),)),
        ("", "2", ((0.0, 2.0),)),
        ("1 3", "2 4.25", ((1.0, 2.0), (3.0, 4.25))),
        (1, 2.5, ((1.0, 2.5),)),
        (1, None, ((1.0, None),)),
        ([1, 3.5], [2, 4], ((1.0, 2.0), (3.5, 4.0))),
        (["1"], 2, ((1.0, 2.0),)),
        ("-1", "2", ((-1.0, 2.0),)),
    ],
)
def test_parse_segments(start, end, segments):
    assert parse_segments(start, end) == segments


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (
            "1:30",
            "2",
            "start must be seconds such as 12.5 (for several segments, numbers separated by spaces), not '1:30'",
        ),
        ("1", "2,5", "end must be seconds such as 12.5 (for several segments, numbers separated by spaces), not '2,5'"),
        ("nan", "inf", "start must be seconds"),
        ("1_0", "", "start must be seconds"),
        ("\u0661", "", "start must be seconds"),
        (
            True,
            None,
            "start must be seconds such as 12.5 (for several segments, numbers separated by spaces), not True",
        ),
        ([None], [2], "start must be seconds"),
        ({"a": 1}, None, "start must be seconds"),
        (10**400, None, "start must be seconds"),
        ("1 2", "3", "start has 2 numbers and end has 1 number. Each start needs its end"),
        ("1 2", "", "start has 2 numbers and end has 0 numbers"),
        ("", "1 2", "start has 0 numbers and end has 2 numbers"),
    ],
)
def test_cells_that_are_not_segments(start, end, message):
    assert parse_segments(start, end).startswith(message)


def test_the_problems_of_both_cells_are_separate_sentences():
    start, end = (parse_segments(*cells) for cells in (("x", ""), ("", "y")))
    assert parse_segments("x", "y") == f"{start}. Also: {end}"


TIMES = st.integers(0, 29_000_000).map(lambda micro: micro / 1_000_000)
SPANS = st.tuples(TIMES, TIMES).filter(lambda span: span[0] < span[1])


@given(st.lists(SPANS, max_size=5).map(tuple) | TIMES.map(lambda start: ((start, None),)))
def test_segments_survive_writing_and_reading(segments):
    assert parse_segments(*format_segments(segments)) == segments
    assert segments_from_json(segments_to_json(segments)) == segments


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=6))
def test_any_object_is_segments_or_a_problem(anything):
    if segments_problem(anything) is None:
        assert segments_from_json(segments_to_json(anything)) == tuple(
            (float(a), None if b is None else float(b)) for a, b in anything
        )


@pytest.mark.parametrize("kind", [float, Fraction, np.float32, np.int64])
def test_seconds_may_be_numbers_of_any_kind(kind):
    assert segments_to_json(((kind(1), kind(2)),)) == "[[1.0, 2.0]]"
    assert segments_problem(((kind(1), kind(2)),)) is None
    assert segments_problem(((kind(2), kind(1)),)) == "start (2 s) is not before end (1 s)"
    assert segments_problem(((kind(-1), kind(1)),)) == "start (-1 s) is before the beginning of the recording"
    assert (
        segments_problem(((kind(0), kind(40)),))
        == "the segment has 40.00 s. A voiceprint takes at most 30 s: select less"
    )


LISTED = [
    ("s.csv", "label,source,start,end\nA,a.wav,1,2\nB,b.wav,,\nC,c.wav,1 3,2 4\n"),
    ("s.tsv", "End\tlabel\tSTART\tsource\n2\tA\t1\ta.wav\n\tB\t\tb.wav\n2 4\tC\t1 3\tc.wav\n"),
    (
        "s.jsonl",
        (
            '{"label": "A", "source": "a.wav", "start": 1, "end": 2}\n{"label": "B", "source": "b.wav"}\n'
            '{"label": "C", "source": "c.wav", "start": [1, 3], "end": [2.0, 4]}\n'
        ),
    ),
]


@pytest.mark.parametrize(("name", "content"), LISTED)
def test_lists_have_columns_of_segments(tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content)
    rows = list(Manifest(path))
    assert [row.segments for row in rows] == [((1.0, 2.0),), (), ((1.0, 2.0), (3.0, 4.0))]
    assert [(row.label, Path(row.source).name, row.extra) for row in rows] == [
        (label, f"{label.lower()}.wav", {}) for label in "ABC"
    ]


def test_wrong_segments_are_a_problem_of_their_row_only(tmp_path):
    path = tmp_path / "s.csv"
    path.write_text("label,source,start,end\nA,a.wav,1:30,2\nB,b.wav,1,2\n")
    wrong, right = Manifest(path)
    assert isinstance(wrong, Problem)
    assert str(wrong).startswith("line 2 (A): start must be seconds")
    assert right.segments == ((1.0, 2.0),)


def test_the_label_column_may_be_named_start(tmp_path):
    path = tmp_path / "s.csv"
    path.write_text("start,source,end\nAnna,a.wav,\n")
    (row,) = Manifest(path, label_column="start")
    assert (row.label, row.segments) == ("Anna", ())
