"""The picture of identifications: its size, and the names in it."""

import io
import struct

import pytest

from pyannote_voiceprint_async.identification_result.identification import Identification
from pyannote_voiceprint_async.identification_result.output import IdentificationOutput
from pyannote_voiceprint_async.identification_result.picture import TimelinePanel, draw_timelines
from pyannote_voiceprint_async.identification_result.turns import IdentifiedTurn, SpeakerScores


def identified(*names: str, seconds: float = 20.0) -> Identification:
    output = IdentificationOutput(
        identification=tuple(IdentifiedTurn(name, 0, seconds, name, name) for name in names),
        voiceprints=tuple(SpeakerScores(name, name, {name: 90}) for name in names),
    )
    return Identification.from_output(output, job_id="job-1", model="precision-2")


def size_of(*panels: TimelinePanel) -> tuple[int, int]:
    """Return the width and the height of the picture, in pixels."""
    file = io.BytesIO()
    draw_timelines(panels, file, software="test")
    assert file.getvalue().startswith(b"\x89PNG")
    return struct.unpack(">II", file.getvalue()[16:24])


def test_each_recording_has_a_panel_and_each_speaker_a_row():
    width, one = size_of(TimelinePanel("a", identified("Ann")))
    assert size_of(TimelinePanel("a", identified("Ann", "Bob"))) == (width, one + 50)
    assert size_of(*[TimelinePanel("a", identified("Ann"))] * 2) == (width, 2 * one)


@pytest.mark.parametrize(
    "name", ["A\x00\x1b[31m", "Ann\n\nBob", "\ud800", "\u202eabc", "$x^2", "\u65e5\u672c", "x" * 1000]
)
def test_every_name_is_drawn(name):
    """A warning would fail the test. No line break adds to the height."""
    assert size_of(TimelinePanel(name, identified(name))) == size_of(TimelinePanel("a", identified("Ann")))


@pytest.mark.parametrize("panels", [[], [TimelinePanel("silence", Identification("job-1", "precision-2"))]])
def test_nothing_to_draw_is_a_picture_too(panels):
    assert size_of(*panels)[0] == 1440


@pytest.mark.parametrize("seconds", [0.0, 0.001, 179.0, 3600.0, 24 * 3600.0, 1e9])
def test_recordings_of_any_length_are_drawn(seconds):
    assert size_of(TimelinePanel("a", identified("Ann", seconds=seconds)))[0] == 1440


def test_a_recording_of_very_many_speakers_has_50_rows():
    """A picture of 65,536 pixels cannot be drawn."""
    names = [f"SPEAKER_{number}" for number in range(51)]
    assert size_of(TimelinePanel("a", identified(*names))) == size_of(TimelinePanel("a", identified(*names[:50])))
