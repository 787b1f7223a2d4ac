"""Text at the width of a terminal: nothing is cut, and what people copy stays on one line."""

import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyannote_voiceprint_async.cli.text_layout import (
    TextColumn,
    field_lines,
    table_line,
    terminal_width,
    text_cells,
    wrap,
)


class Terminal(io.StringIO):
    """A terminal without a descriptor."""

    def isatty(self) -> bool:
        return True


def test_a_file_has_no_width():
    assert terminal_width(io.StringIO()) is None


@pytest.mark.parametrize(
    ("columns", "expected"), [("60", 60), ("200", 200), ("3", 20), ("", 80), ("0", 80), ("wide", 80), ("-5", 80)]
)
def test_the_width_of_a_terminal_can_be_set(monkeypatch, columns, expected):
    monkeypatch.setenv("COLUMNS", columns)
    assert terminal_width(Terminal()) == expected


def test_the_width_is_that_of_the_terminal(monkeypatch):
    import fcntl
    import struct
    import termios

    monkeypatch.delenv("COLUMNS", raising=False)
    ours, theirs = os.openpty()
    with os.fdopen(ours), os.fdopen(theirs, "w") as terminal:
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 61, 0, 0))
        assert terminal_width(terminal) == 61


@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize(
    "text",
    [
        "They cannot be written (no space left). Free some space, and fetch them with `pyannote-voiceprint job ID`.",
        "Interrupted: 2 jobs remain; fetch each with `pyannote-voiceprint job ID --wait`, the ids are printed above.",
        "    300 x the audio lasts 75.62 s; a voiceprint takes at most 30 s: select a segment, or trim it",
    ],
)
def test_a_long_message_is_broken_between_words(text, width):
    lines = wrap(text, width)
    assert all(text_cells(line) <= width for line in lines)
    assert " ".join(" ".join(lines).split()) == " ".join(text.split())
    assert all(line.count("`") % 2 == 0 for line in lines)


def test_a_command_at_the_end_of_a_message_stays_on_one_line():
    command = "pyannote-voiceprint enroll speakers.csv --ledger speakers.ledger --on-unknown resubmit"
    assert wrap(f"To resubmit these rows (3 jobs): {command}", 60) == ["To resubmit these rows (3 jobs):", command]


def test_a_number_stays_with_its_unit():
    lines = wrap("alive, started 5 s ago, and 2 h 5 min left", 16)
    assert lines == ["alive, started", "5 s ago, and 2 h", "5 min left"]


def test_a_job_stays_with_its_id():
    job = "job 4166082d-5267-4f91-9a4a-285b9cbb90da"
    assert wrap(f"Ada: voiceprint by precision-2, {job}", 60) == ["Ada: voiceprint by precision-2,", job]


def test_lines_that_continue_an_indented_line_are_indented_further():
    assert wrap("  one: the audio is too long", 20) == ["  one: the audio is", "    too long"]


def test_a_line_break_of_a_text_from_outside_cannot_forge_a_line():
    assert wrap("failed: a\nError: forged", 80) == ["failed: a\\nError: forged"]


def test_wide_characters_count_twice():
    assert wrap("王芳 王芳 王芳", 10) == ["王芳 王芳", "王芳"]


@given(st.text(), st.integers(20, 200))
def test_no_visible_character_is_lost(text, width):
    """Control characters are escaped: they cannot steer the terminal."""
    lines = wrap(text, width)
    assert all(line.isprintable() for line in lines)
    escaped = "".join(wrap(text, 10**9))
    assert "".join("".join(lines).split()) == "".join(escaped.split())
    assert all(text_cells(line) <= width or len(line.split()) == 1 or "`" in line for line in lines), lines


def test_values_are_aligned_and_empty_fields_left_out():
    fields = [("Job", "j-1"), ("Warning", ""), ("Voiceprint", "not shown on a terminal")]
    assert list(field_lines(fields, 26)) == ["Job         j-1", "Voiceprint  not shown on a", "            terminal"]


def test_a_command_that_is_too_long_beside_its_name_starts_at_the_edge():
    command = "pyannote-voiceprint job 12345678 --out FILE.jsonl"
    assert list(field_lines([("Voiceprint", f"not shown. To save it: {command}")], 50)) == [
        "Voiceprint  not shown. To save it:",
        command,
    ]


def test_text_that_is_longer_than_its_column_is_not_cut():
    columns = [TextColumn("NAME", 4), TextColumn("SIZE", 5, align_right=True), TextColumn("KIND", 4)]
    assert table_line(columns, ["a", "1 s", "x"]) == "a       1 s  x"
    assert table_line(columns, ["abcdef", "1 s", "\x1b[2J"]) == "abcdef    1 s  \\u001b[2J"
