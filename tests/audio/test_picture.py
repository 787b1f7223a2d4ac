"""The picture of recordings: what is drawn where, without global state of matplotlib."""

import io
import subprocess
import sys

import numpy as np
import pytest

from pyannote_voiceprint_async.audio import picture
from pyannote_voiceprint_async.audio.envelope import Envelope
from pyannote_voiceprint_async.audio.picture import Panel, check_plot_installed, draw
from pyannote_voiceprint_async.errors import ConfigurationError


def envelope(seconds=40.0, *, best=(5.0, 35.0), clipped=False):
    times = np.arange(0, seconds, 0.02)
    speech = ((times > 10) & (times < 20)).astype(float)
    return Envelope(
        seconds, times, -np.full(len(times), 0.5), np.full(len(times), 0.5), (times > 30) & clipped, speech, best
    )


def pixels(*panels):
    """Return the drawn picture as an array of colors."""
    from matplotlib.image import imread

    file = io.BytesIO()
    draw(panels, file, software="test")
    file.seek(0)
    return (imread(file)[:, :, :3] * 255).round().astype(int)


def share_of(colors, name):
    """Return the share of the picture, below the legend, that has a color."""
    color = [int(name[at : at + 2], 16) for at in (1, 3, 5)]
    drawn = colors[60:]
    return float((np.abs(drawn - color).max(axis=2) <= 2).mean())


def test_waveform_speech_clipping_and_segment_are_drawn():
    shown = pixels(Panel("a.wav: good", envelope(clipped=True)))
    for color in (picture._WAVE, picture._SPEECH, picture._TRIM, picture._CLIPPED):
        assert share_of(shown, color) > 0, color


def test_a_short_recording_without_clipping_has_neither_segment_nor_marks():
    shown = pixels(Panel("a.wav: good", envelope(12.0, best=None)))
    assert share_of(shown, picture._WAVE) > 0.1
    assert share_of(shown, picture._TRIM) == share_of(shown, picture._CLIPPED) == 0


def test_each_recording_has_a_panel():
    one, three = (pixels(*[Panel("a", envelope())] * count) for count in (1, 3))
    assert one.shape[1] == three.shape[1]
    assert three.shape[0] - one.shape[0] == 2 * round(picture._PANEL_INCHES * picture._DPI)


def test_names_that_fonts_and_formulas_do_not_know_are_drawn():
    """A warning would fail the test, and an unbalanced formula raise an error."""
    assert pixels(Panel("$\\frac{ 王芳.wav", envelope())).size


def test_a_missing_library_is_reported_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(picture, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'pyannote-voiceprint-async\[plot\]'"):
        check_plot_installed()


def test_nothing_is_imported_before_it_is_used_and_pyplot_never():
    script = (
        "import io, sys; from pyannote_voiceprint_async.cli import inspect; "
        "from pyannote_voiceprint_async.audio import picture, envelope; print('matplotlib' in sys.modules); "
        "import numpy as np; one = np.ones(2); "
        "e = envelope.Envelope(1.0, one, -one, one, one > 2, one, None); "
        "picture.draw([picture.Panel('a', e)], io.BytesIO(), software='x'); print('matplotlib.pyplot' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.split() == ["False", "False"]
