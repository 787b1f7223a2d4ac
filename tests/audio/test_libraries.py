"""The libraries of the extra `[audio]` are imported at the first use, and an error names the missing extra."""

import subprocess
import sys

import pytest

CALLS = (
    "measure(b'RIFF')",
    "cut(b'RIFF', 0, 1)",
    "best_segment(b'RIFF')",
    "as_clip([0.0], 8000)",
    "clips_from_rttm(['SPEAKER a 1 0 5 <NA> <NA> anna'], pathlib.Path('a.wav'))",
)

SENTENCE = (
    "Reading audio needs numpy and soundfile, which are not installed. "
    "Install the extra: pip install 'pyannote-voiceprint-async[audio]' (in a clone: pip install '.[audio]')"
)


def run(program):
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    return done.stdout.split("\n")[:-1]


def test_importing_loads_neither_soundfile_nor_numpy():
    """Reading an RTTM and choosing clips from it need neither."""
    program = (
        "import sys, pyannote_voiceprint_async\n"
        "from pyannote_voiceprint_async.audio import clips_from_turns, read_turns\n"
        "clips_from_turns(read_turns(['SPEAKER a 1 0 5 <NA> <NA> anna']))\n"
        "print(sorted({'soundfile', 'numpy'} & set(sys.modules)))\n"
    )
    assert run(program) == ["[]"]


@pytest.mark.parametrize("missing", ["numpy", "soundfile"])
def test_without_the_extra_every_call_names_what_to_install(missing):
    program = f"import pathlib, sys\nsys.modules[{missing!r}] = None\nfrom pyannote_voiceprint_async.audio import *\n"
    program += "from pyannote_voiceprint_async import ConfigurationError\n"
    for call in CALLS:
        program += f"try:\n    {call}\nexcept ConfigurationError as error:\n    print(error)\n"
    assert run(program) == [SENTENCE] * len(CALLS)
