import attrs
import pytest

from pyannote_voiceprint_async.audio import AudioFacts, assess

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
FATAL, TOLD = True, False


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
        ({"loudness_dbfs": -120.0, "channels": 2, "peak": 0.04}, [("silent", FATAL), ("channels", TOLD)]),
        ({"loudness_dbfs": -60.1}, [("silent", FATAL)]),
        ({"loudness_dbfs": -60.0}, [("nearly_silent", TOLD)]),
        ({"loudness_dbfs": -45.1}, [("nearly_silent", TOLD)]),
        ({"loudness_dbfs": -45.0}, []),
        ({"speech_seconds": 0.9}, [("little_speech", TOLD)]),
        ({"clipped": 0.001}, [("clipped", TOLD)]),
        ({"clipped": 0.0009}, []),
        ({"channels": 2}, [("channels", TOLD)]),
        ({"header_seconds": 20.0, "is_truncated": True}, [("truncated", FATAL)]),
        ({"seconds": 0.0, "loudness_dbfs": -120.0, "is_truncated": True}, [("truncated", FATAL)]),
        ({"is_unclosed": True}, [("unclosed", FATAL)]),
        ({"is_unclosed": True, "format": "OGG"}, [("unclosed", FATAL)]),
        ({"seconds": 0.0, "loudness_dbfs": -120.0, "is_unclosed": True}, [("unclosed", FATAL)]),
        (
            {"seconds": 60.0, "channels": 2, "clipped": 0.2, "is_truncated": True},
            [("too_long", FATAL), ("truncated", FATAL), ("clipped", TOLD), ("channels", TOLD)],
        ),
    ],
)
def test_the_table(changes, expected):
    findings = assess(attrs.evolve(GOOD, **changes))
    assert [(finding.code, finding.is_fatal) for finding in findings] == expected


def test_what_is_trimmed_is_told_and_not_fatal():
    facts = attrs.evolve(GOOD, seconds=75.6)
    (finding,) = assess(facts, will_trim=True)
    assert (finding.code, finding.is_fatal) == ("trimmed", TOLD)
    assert (
        finding.message
        == "lasts 75.6 s; only the 30 s with most speech are used; see that only one person speaks there"
    )
    assert assess(GOOD, will_trim=True) == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"seconds": 75.6},
            (
                "lasts 75.60 s; a voiceprint takes at most 30 s: cut it with start and end in a list, or have it "
                "trimmed (enroll --trim)"
            ),
        ),
        (
            {"is_unclosed": True},
            (
                "goes on after the 12.0 s that its header tells: its recording broke off; cut out a part before that "
                "with start and end, or repair the header: ffmpeg -ignore_length 1 -i FILE -c copy repaired.wav"
            ),
        ),
        (
            {"is_unclosed": True, "format": "OGG"},
            (
                "goes on after the 12.0 s that its header tells, and who is heard there cannot be known; cut out a "
                "part before that with start and end, or make it anew: ffmpeg -i FILE whole.flac"
            ),
        ),
        (
            {"channels": 2, "loudness_dbfs": -120.0},
            (
                "is silent (-120 dBFS) when its 2 channels are mixed down to one, because they cancel each other out; "
                "give one of them alone"
            ),
        ),
        ({"seconds": 0.25}, "lasts 0.25 s; a voice needs at least 1 s, better 10: give more of it"),
        (
            {"clipped": 0.034},
            "is clipped (3.4% of its samples are at full scale), which distorts the voice; record it less loudly",
        ),
        ({"channels": 2}, "has 2 channels, which are mixed down to one; see that they have the same speaker"),
    ],
)
def test_messages_have_the_numbers(changes, message):
    assert assess(attrs.evolve(GOOD, **changes))[0].message == message
