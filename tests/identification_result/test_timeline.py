"""The picture of an identification."""

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyannote_voiceprint_async.identification_result.identification import Identification
from pyannote_voiceprint_async.identification_result.timeline import clock_time, to_html
from pyannote_voiceprint_async.identification_result.turns import IdentifiedTurn


def turn(name: str, start: float, end: float) -> IdentifiedTurn:
    return IdentifiedTurn(name, start, end, "SPEAKER_00", name)


def spans(picture: str) -> list[tuple[int, int]]:
    return [(int(x) - 180, int(width)) for x, width in re.findall(r'<rect x="(\d+)" y="\d+" width="(\d+)"', picture)]


def test_a_turn_is_as_wide_as_its_time():
    assert spans(to_html([turn("Ann", 0, 25), turn("Bob", 50, 100)], "")) == [(0, 180), (360, 360)]


def texts(picture: str) -> list[str]:
    """Return the texts of a picture, which must be well-formed."""
    root = ET.fromstring(picture)  # noqa: S314 - our own text
    return ["".join(element.itertext()) for element in root.iter()]


def test_markup_is_escaped():
    name = "<script>alert(1)</script>&\"'"
    picture = to_html([turn(name, 0, 1)], "<b>")
    assert "<script>" not in picture
    assert "<b>" in texts(picture)
    assert name in texts(picture)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Ann\x00\x1b[31m", "Ann\\u0000\\u001b[31m"),
        ("Ann\r\nBob", "Ann\\r\\nBob"),
        ("\u202egnirts", "\\u202egnirts"),
        ("\ud800", "\\ud800"),
        ("\ufffe", "\\ufffe"),
    ],
)
def test_control_characters_are_visible(name, shown):
    """An XML document cannot hold most of them, and UTF-8 no lone surrogate."""
    picture = to_html([turn(name, 0, 1)], "")
    picture.encode()
    assert shown in texts(picture)


def test_the_picture_fits_a_narrow_page():
    """The scale of its coordinates follows the width of the page."""
    picture = to_html([turn("Ann", 0, 1)], "")
    assert 'width="900" height="44" viewBox="0 0 900 44" style="max-width:100%;height:auto"' in picture


@given(st.text(max_size=40), st.text(max_size=40))
def test_every_name_makes_a_well_formed_picture(name, summary):
    texts(to_html([turn(name, 0, 1)], summary))


def test_a_day_with_many_turns_makes_a_small_picture():
    turns = [turn(f"Person {number % 60}", number * 0.86, number * 0.86 + 0.5) for number in range(20_000)]
    picture = to_html(turns, "")
    assert len(picture) < 1_500_000
    assert picture.count("<text") == 40 + 5
    assert "and 20 more speakers" in picture


def test_the_shortest_turn_is_visible():
    assert spans(to_html([turn("Ann", 0, 0.001), turn("Ann", 1000, 2000)], "")) == [(0, 1), (360, 360)]


def test_without_turns_there_is_no_picture():
    assert Identification("job-1", "precision-2")._repr_html_() == (
        "<div><p>0 speakers, 0 with a name, 0 turns</p></div>"
    )


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (83.4, "1:23"), (3600, "1:00:00"), (86399, "23:59:59")])
def test_times_in_a_recording(seconds, text):
    assert clock_time(seconds) == text
