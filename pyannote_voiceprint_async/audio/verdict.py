"""What the facts of a recording mean for a voiceprint, as a table of rules."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import attrs

from pyannote_voiceprint_async.api.endpoints import MAX_VOICEPRINT_SECONDS

from .facts import AudioFacts
from .finding import Finding

__all__ = [
    "LONGEST_SECONDS",
    "REPAIRABLE",
    "SHORTEST_SECONDS",
    "assess",
    "fatal_message",
    "too_long",
]

LONGEST_SECONDS = MAX_VOICEPRINT_SECONDS
"""The longest audio that the API accepts for a voiceprint."""

REPAIRABLE = frozenset({"WAV", "WAVEX", "RF64"})
"""Formats whose stated length ffmpeg can ignore (`-ignore_length 1`)."""

# The API documents none of the following limits. Beyond them a voiceprint is hardly worth its price.
SHORTEST_SECONDS = 1.0
"""The shortest useful audio: less than a second holds hardly a word."""
# Well-recorded speech is between -30 and -15 dBFS. At -60 dBFS, about six of 16 bits are left.
_SILENT_DBFS, _NEARLY_SILENT_DBFS = -60.0, -45.0
# A loud recording touches full scale now and then; one sample in a thousand distorts the voice.
_CLIPPED_SHARE = 0.001
_LITTLE_SPEECH_SECONDS = 1.0
# A channel with a voice has at least this peak. Only then can channels that cancel each other out explain a silent mix.
_VOICE_PEAK = 0.05


class _Rule(NamedTuple):
    code: str
    is_fatal: bool
    applies: Callable[[AudioFacts], bool]
    message: str
    """A format string with the names of the facts."""


def _has_sound(facts: AudioFacts) -> bool:
    return facts.seconds > 0 and facts.loudness_dbfs >= _SILENT_DBFS


def _cancels_out(facts: AudioFacts) -> bool:
    return facts.channels > 1 and facts.peak >= _VOICE_PEAK


_RULES = (
    _Rule(
        "empty",
        True,
        lambda facts: not (facts.seconds or facts.is_unclosed or facts.is_truncated),
        "has no samples that can be read, only a header. Record or copy it again",
    ),
    _Rule(
        "joined",
        True,
        lambda facts: facts.is_joined,
        "has more audio after the {header_seconds:.1f} s of its first file: files were joined end to end, and the "
        "others were not checked. Send one of them alone, select a segment of the first one with start and end, or "
        "decode all of them into one file",
    ),
    _Rule(
        "unclosed",
        True,
        lambda facts: facts.is_unclosed and not facts.is_joined and facts.format in REPAIRABLE,
        "continues after the {header_seconds:.1f} s that its header states: its recording was interrupted. Select a "
        "segment before that with start and end, or repair the header: ffmpeg -ignore_length 1 -i FILE -c copy "
        "repaired.wav",
    ),
    _Rule(
        "unclosed",
        True,
        lambda facts: facts.is_unclosed and not facts.is_joined and facts.format not in REPAIRABLE,
        "continues after the {header_seconds:.1f} s that its header states, and the rest was not checked. Select a "
        "segment before that with start and end, or decode it into a new file: ffmpeg -i FILE whole.flac",
    ),
    _Rule(
        "truncated",
        True,
        lambda facts: facts.is_truncated,
        "ends or is damaged after {seconds:.1f} of the {header_seconds:.1f} s that its header states. Copy it again, "
        "or select a segment before that with start and end",
    ),
    _Rule(
        "too_short",
        True,
        lambda facts: 0 < facts.seconds < SHORTEST_SECONDS,
        "lasts {seconds:.2f} s. A voice needs at least 1 s, better 10 s: use a longer recording or segment",
    ),
    _Rule(
        "silent",
        True,
        lambda facts: facts.seconds > 0 and not _has_sound(facts) and not _cancels_out(facts),
        "is silent ({loudness_dbfs:.0f} dBFS). Check that the right microphone, channel and segment were recorded",
    ),
    _Rule(
        "silent",
        True,
        lambda facts: facts.seconds > 0 and not _has_sound(facts) and _cancels_out(facts),
        "is silent ({loudness_dbfs:.0f} dBFS) when its {channels} channels are mixed down to one, because they cancel "
        "each other out. Send one channel alone",
    ),
    _Rule(
        "nearly_silent",
        False,
        lambda facts: _has_sound(facts) and facts.loudness_dbfs < _NEARLY_SILENT_DBFS,
        "is nearly silent ({loudness_dbfs:.0f} dBFS). Check that it has speech",
    ),
    _Rule(
        "little_speech",
        False,
        lambda facts: (
            _has_sound(facts) and facts.seconds >= SHORTEST_SECONDS and facts.speech_seconds < _LITTLE_SPEECH_SECONDS
        ),
        "has only {speech_seconds:.1f} s that rise above the background as speech does. Check that it has speech",
    ),
    _Rule(
        "clipped",
        False,
        lambda facts: facts.clipped >= _CLIPPED_SHARE,
        "is clipped ({clipped:.1%} of its samples are at full scale), which distorts the voice. Record at a lower "
        "level",
    ),
    _Rule(
        "channels",
        False,
        lambda facts: facts.channels > 1,
        "has {channels} channels, which are mixed down to one. See that they have the same speaker",
    ),
)
_TOO_LONG_ADVICE = (
    "A voiceprint takes at most 30 s: select a segment with start and end in a list, or trim it (enroll --trim)"
)
_TOO_LONG = _Rule(
    "too_long",
    True,
    # Lossy encoding adds a few samples.
    lambda facts: round(facts.seconds, 2) > LONGEST_SECONDS,
    f"lasts {{seconds:.2f}} s. {_TOO_LONG_ADVICE}",
)
_TRIMMED = _TOO_LONG._replace(
    code="trimmed",
    is_fatal=False,
    message="lasts {seconds:.1f} s. Only the 30 s with most speech are used. Check that only one person speaks there",
)


def too_long(seconds: float | None) -> Finding:
    """Return the finding for audio that was not read to its end because it is too long.

    Args:
        seconds: its length; None where the header states none.
    """
    length = f"lasts more than {LONGEST_SECONDS:.0f} s" if seconds is None else f"lasts {seconds:.2f} s"
    return Finding(_TOO_LONG.code, f"{length}. {_TOO_LONG_ADVICE}", is_fatal=True)


def assess(facts: AudioFacts, *, will_trim: bool = False) -> tuple[Finding, ...]:
    """Return the findings that follow from the facts, fatal ones first.

    Args:
        facts: the measured properties of the recording.
        will_trim: whether audio that is too long will be trimmed to its best segment.
    """
    rules = (_TRIMMED if will_trim else _TOO_LONG, *_RULES)
    values = attrs.asdict(facts)
    findings = [
        Finding(rule.code, rule.message.format(**values), rule.is_fatal) for rule in rules if rule.applies(facts)
    ]
    return tuple(sorted(findings, key=lambda finding: not finding.is_fatal))


def fatal_message(findings: Iterable[Finding]) -> str | None:
    """Return the messages of all fatal findings, without the subject of the first one; None if none is fatal."""
    return ". It ".join(finding.message for finding in findings if finding.is_fatal) or None
