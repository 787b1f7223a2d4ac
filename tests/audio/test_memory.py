"""Memory and reads for a clip of 20 seconds from a recording of an hour."""

import io
import struct
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from audio_files import CountingFile, encoded, speechlike

from pyannote_voiceprint_async.audio import best_segment, cut, measure

SECONDS, RATE = 3600, 16000
SPEECH_AT = 2500


@pytest.fixture(scope="module")
def an_hour(tmp_path_factory):
    """A sparse file of 115 MB with 20 seconds of speech."""
    path = tmp_path_factory.mktemp("long") / "meeting.wav"
    length = SECONDS * RATE * 2
    with path.open("wb") as file:
        file.write(struct.pack("<4sI4s4sI", b"RIFF", 36 + length, b"WAVE", b"fmt ", 16))
        file.write(struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16) + struct.pack("<4sI", b"data", length))
        file.seek(44 + SPEECH_AT * RATE * 2)
        file.write(speechlike(20.0).tobytes())
        file.truncate(44 + length)
    return path


@pytest.fixture
def peak():
    """A function that returns the peak memory of Python and numpy since the test began, in megabytes."""
    measure({"waveform": np.zeros(100), "sample_rate": 100})  # the memory of imported modules is not counted
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()


def test_a_clip_reads_only_what_it_needs(an_hour, peak):
    with an_hour.open("rb") as file:
        counting = CountingFile(file)
        clip = cut(counting, SPEECH_AT, SPEECH_AT + 20)
        assert counting.bytes_read < 20 * RATE * 2 + 20_000
    assert clip.seconds == 20.0
    assert clip.digest == cut({"waveform": speechlike(20.0), "sample_rate": RATE}).digest
    assert peak() < 20


def test_a_clip_of_flac_reads_only_around_it():
    data = encoded(np.tile(speechlike(20.0), 30))
    with CountingFile(io.BytesIO(data)) as counting:
        assert cut(counting, 400, 420).seconds == 20.0
        assert counting.bytes_read < len(data) / 30 + 300_000


@pytest.mark.slow
def test_measuring_a_long_recording_needs_little_memory(an_hour, peak):
    facts = measure(an_hour)
    assert (facts.seconds, facts.speech_seconds) == (3600.0, pytest.approx(11.0, abs=1.0))
    assert best_segment(an_hour, 20.0) == pytest.approx((SPEECH_AT, SPEECH_AT + 20), abs=0.3)
    assert peak() < 20


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc; a child's ru_maxrss begins with its parent's")
def test_the_whole_process_stays_below_100_megabytes(an_hour):
    """Including the memory of Python, numpy and libsndfile."""
    program = (
        "import re, sys, pathlib\n"
        "from pyannote_voiceprint_async.audio import cut\n"
        "assert cut(pathlib.Path(sys.argv[1]), 2500, 2520).seconds == 20.0\n"
        "print(re.search(r'VmHWM:\\s+(\\d+) kB', pathlib.Path('/proc/self/status').read_text())[1])\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(an_hour)], capture_output=True, check=True, text=True)
    assert int(done.stdout) * 1024 < 100e6
