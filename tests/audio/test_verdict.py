"""The findings that follow from the facts of a recording."""

import attrs
import pytest

from pyannote_voiceprint_async.audio import AudioFacts, Finding, assess, fatal_message

GOOD = AudioFacts(
    seconds=12.0,
    sample_rate=16000,
    channels=1,
    format="WAV",
    subtype="PCM_16",
    peak=0.5,
    loudness_dbfs=-20.0,
    clipped=0.0,
    speech_seconds=10.0,
    header_seconds=12.0,
)
FATAL, WARNING = True, False


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"seconds": 30.0}, []),
        ({"seconds": 30.004}, []),
        ({"seconds": 30.01}, [("too_long", FATAL)]),
        ({"seconds": 7200.0}, [("too_long", FATAL)]),
        ({"seconds": 1.0}, []),
        ({"seconds": 0.999}, [("too_short", FATAL)]),
        ({"seconds": 0.5, "speech_seconds": 0.1}, [("too_short", FATAL)]),
        ({"seconds": 0.0, "loudness_dbfs": -120.0, "speech_seconds": 0.0}, [("empty", FATAL)]),
        ({"loudness_dbfs": -120.0, "speech_seconds": 0.0}, [("silent", FATAL)]),
        ({"loudness_dbfs": -120.0, "channels": 2, "peak": 0.04}, [("silent", FATAL), ("channels", WARNING)]),
        ({"loudness_dbfs": -60.1}, [("silent", FATAL)]),
        ({"loudness_dbfs": -60.0}, [("nearly_silent", WARNING)]),
        ({"loudness_dbfs": -45.1}, [("nearly_silent", WARNING)]),
        ({"loudness_dbfs": -45.0}, []),
        ({"speech_seconds": 0.9}, [("little_speech", WARNING)]),
        ({"clipped": 0.001}, [("clipped", WARNING)]),
        ({"clipped": 0.0009}, []),
        ({"channels": 2}, [("channels", WARNING)]),
        ({"header_seconds": 20.0, "is_truncated": True}, [("truncated", FATAL)]),
        ({"seconds": 0.0, "loudness_dbfs": -120.0, "is_truncated": True}, [("truncated", FATAL)]),
        ({"is_unclosed": True}, [("unclosed", FATAL)]),
        ({"is_unclosed": True, "format": "OGG"}, [("unclosed", FATAL)]),
        ({"seconds": 0.0, "loudness_dbfs": -120.0, "is_unclosed": True}, [("unclosed", FATAL)]),
        (
            {"seconds": 60.0, "channels": 2, "clipped": 0.2, "is_truncated": True},
            [("too_long", FATAL), ("truncated", FATAL), ("clipped", WARNING), ("channels", WARNING)],
        ),
    ],
)
def test_each_property_has_its_findings(changes, expected):
    findings = assess(attrs.evolve(GOOD, **changes))
    assert [(finding.code, finding.is_fatal) for finding in findings] == expected


def test_audio_that_will_be_trimmed_has_a_warning():
    facts = attrs.evolve(GOOD, seconds=75.6)
    (finding,) = assess(facts, will_trim=True)
    assert (finding.code, finding.is_fatal) == ("trimmed", WARNING)
    assert (
        finding.message
        == "lasts 75.6 s. Only the 30 s with most speech are used. Check that only one person speaks there"
    )
    assert assess(GOOD, will_trim=True) == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"seconds": 75.6},
            (
                "lasts 75.60 s. A voiceprint takes at most 30 s: select a segment with start and end in a list, or "
                "trim it (enroll --trim)"
            ),
        ),
        (
            {"is_unclosed": True},
            (
                "continues after the 12.0 s that its header states: its recording was interrupted. Select a segment "
                "before that with start and end, or repair the header: ffmpeg -ignore_length 1 -i FILE -c copy "
                "repaired.wav"
            ),
        ),
        (
            {"is_unclosed": True, "format": "OGG"},
            (
                "continues after the 12.0 s that its header states, and the rest was not checked. Select a segment "
                "before that with start and end, or decode it into a new file: ffmpeg -i FILE whole.flac"
            ),
        ),
        (
            {"channels": 2, "loudness_dbfs": -120.0},
            (
                "is silent (-120 dBFS) when its 2 channels are mixed down to one, because they cancel each other out. "
                "Send one channel alone"
            ),
        ),
        ({"seconds": 0.25}, "lasts 0.25 s. A voice needs at least 1 s, better 10 s: use a longer recording or segment"),
        (
            {"clipped": 0.034},
            "is clipped (3.4% of its samples are at full scale), which distorts the voice. Record at a lower level",
        ),
        ({"channels": 2}, "has 2 channels, which are mixed down to one. See that they have the same speaker"),
    ],
)
def test_messages_have_the_measured_values_and_what_to_do(changes, message):
    assert assess(attrs.evolve(GOOD, **changes))[0].message == message


def test_fatal_findings_are_separate_sentences_with_one_subject():
    """The caller writes the first subject: "The audio is silent. … It lasts …"."""
    first, second = (Finding("code", message, is_fatal=True) for message in ("is silent", "lasts 31 s. Select less"))
    harmless = Finding("code", "is clipped", is_fatal=False)
    assert fatal_message([first, harmless, second]) == "is silent. It lasts 31 s. Select less"
    assert fatal_message([harmless]) is None
