"""Speakers of real speech, and of spectra that a test made: bands with a peak for each speaker."""

import numpy as np
import pytest

from pyannote_voiceprint_async.sandbox.spectra import Spectra
from pyannote_voiceprint_async.sandbox.voices import VoiceSums, find_voices

HOP = 0.0125


def spectra(*stretches: tuple[float, int | None]) -> Spectra:
    """Return spectra of stretches (seconds, speaker), in which the speaker `None` is silence."""
    random = np.random.default_rng(0)
    shapes, is_speech = [], []
    for seconds, speaker in stretches:
        frames = round(seconds / HOP)
        shape = random.normal(0.0, 0.5, (frames, 24))
        if speaker is not None:
            shape[:, speaker * 6 : speaker * 6 + 6] += 8.0
        shapes.append(shape - shape.mean(axis=1, keepdims=True))
        is_speech += [speaker is not None] * frames
    return Spectra(len(is_speech) * HOP, HOP, np.array(is_speech), np.concatenate(shapes))


def turns(*stretches) -> list[tuple[float, float, int]]:
    """Return the turns (start, end, speaker) that are found."""
    _, recording = find_voices(spectra(*stretches))
    return [(round(turn.start, 1), round(turn.end, 1), turn.speaker) for turn in recording.turns]


@pytest.mark.parametrize(
    ("stretches", "expected"),
    [
        ([(5.0, 0)], [(0.0, 5.0, 0)]),
        ([(1.0, None), (0.5, 0), (1.0, None)], [(1.0, 1.5, 0)]),
        ([(0.1, 0), (1.0, None)], [(0.0, 0.1, 0)]),
        ([(3.0, 0), (1.0, None), (3.0, 1)], [(0.0, 3.0, 0), (4.0, 7.0, 1)]),
        ([(3.0, 0), (1.0, None), (3.0, 1), (1.0, None), (3.0, 0)], [(0.0, 3.0, 0), (4.0, 7.0, 1), (8.0, 11.0, 0)]),
        # A pause within the speech of one speaker belongs to the turn if it is short.
        ([(3.0, 0), (0.5, None), (3.0, 0)], [(0.0, 6.5, 0)]),
        ([(3.0, 0), (0.8, None), (3.0, 0)], [(0.0, 3.0, 0), (3.8, 6.8, 0)]),
        # A click is not speech.
        ([(3.0, 0), (1.0, None), (0.1, 1), (1.0, None), (3.0, 0)], [(0.0, 3.0, 0), (5.1, 8.1, 0)]),
        # A short segment belongs to the neighbor behind the shorter pause.
        ([(3.0, 0), (0.5, None), (1.0, 1), (0.4, None), (3.0, 1)], [(0.0, 3.0, 0), (3.5, 7.9, 1)]),
        ([(3.0, 0), (0.4, None), (1.0, 0), (0.5, None), (3.0, 1)], [(0.0, 4.4, 0), (4.9, 7.9, 1)]),
    ],
)
def test_who_speaks_when(stretches, expected):
    assert turns(*stretches) == expected


def test_the_number_of_compared_segments_is_bounded():
    """Two thousand segments with a second of silence between them are one turn of one speaker."""
    assert len(turns(*[(0.5, 0), (0.6, None)] * 600)) < 500


def test_sums_of_parts_are_the_sums_of_the_whole():
    shapes = spectra((4.0, 1)).shapes
    whole, parts = VoiceSums.of(shapes), VoiceSums.of(shapes[:100]) + VoiceSums.of(shapes[100:])
    assert parts.vector() == pytest.approx(whole.vector())
    assert np.linalg.norm(whole.vector()) == pytest.approx(1.0)
