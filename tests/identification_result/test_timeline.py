"""The picture of an identification."""

import re
from xml.etree import ElementTree as ET

from pyannote_voiceprint_async.identification_result.identification import Identification
from pyannote_voiceprint_async.identification_result.timeline import to_html
from pyannote_voiceprint_async.identification_result.turns import IdentifiedTurn


def turn(name: str, start: float, end: float) -> IdentifiedTurn:
    return IdentifiedTurn(name, start, end, "SPEAKER_00", name)


def spans(picture: str) -> list[tuple[int, int]]:
    return [(int(x) - 180, int(width)) for x, width in re.findall(r'<rect x="(\d+)" y="\d+" width="(\d+)"', picture)]


def test_a_turn_is_as_wide_as_its_time():
    assert spans(to_html([turn("Ann", 0, 25), turn("Bob", 50, 100)], "")) == [(0, 180), (360, 360)]


def test_texts_are_escaped():
    picture = to_html([turn("<script>alert(1)</script>&\"'", 0, 1)], "<b>")
    assert "<script>" not in picture
    assert "<b>" not in picture
    ET.fromstring(picture)  # noqa: S314 - our own text


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
