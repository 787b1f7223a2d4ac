"""What the facts of a recording mean for a voiceprint: a table, and nothing else."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import attrs

from pyannote_voiceprint_async.api.endpoints import MAX_VOICEPRINT_SECONDS

from .facts import AudioFacts

__all__ = ["JOINED", "LONGEST_SECONDS", "REPAIRABLE", "SHORTEST_SECONDS", "Finding", "judge", "refusal", "too_long"]

LONGEST_SECONDS = MAX_VOICEPRINT_SECONDS
"""What the API takes for a voiceprint."""

REPAIRABLE = frozenset({"WAV", "WAVEX", "RF64"})
"""Formats whose header can be told to be ignored."""

# From here on the numbers are our own: where a voiceprint is hardly worth its price. The API documents no such limits.
SHORTEST_SECONDS = 1.0
"""There is hardly a word in less."""
_SILENT_DBFS, _NEARLY_SILENT_DBFS = -60.0, -45.0
# Speech lies between -30 and -15 dBFS where somebody looked at a meter. At -60 dBFS, 16 bits have about six left.
_CLIPPED_SHARE = 0.001
# A recording at its loudest touches full scale now and then; one sample in a thousand is a flattened voice.
_LITTLE_SPEECH = 1.0
# Of a voice. What hums in one channel alone is no voice that the other one takes away.
_LOUD_PEAK = 0.05


@attrs.frozen
class Finding:
    """One thing to tell about a recording."""

    code: str
    """What it is, for programs: "too_long", "silent", …"""
    message: str
    """What it is and what to do, for people. It begins in lower case, as `Problem.message` does."""
    is_fatal: bool
    """Whether the recording should not be enrolled."""


class _Rule(NamedTuple):
    code: str
    is_fatal: bool
    applies: Callable[[AudioFacts], bool]
    message: str
    """Filled in with the facts."""


def _has_sound(facts: AudioFacts) -> bool:
    return facts.seconds > 0 and facts.loudness_dbfs >= _SILENT_DBFS


def _cancels_out(facts: AudioFacts) -> bool:
    return facts.channels > 1 and facts.peak >= _LOUD_PEAK


_RULES = (
    _Rule(
        "empty",
        True,
        lambda facts: not (facts.seconds or facts.is_unclosed or facts.is_truncated),
        "has no samples that can be read, only a header; record or copy it anew",
    ),
    _Rule(
        "joined",
        True,
        lambda facts: facts.is_joined,
        "has more audio after the {told_seconds:.1f} s of its first part: files were joined end to end, and who "
        "speaks in the others cannot be known; send one of them alone, cut out a part of the first one with start and "
        "end, or decode all parts into one file",
    ),
    _Rule(
        "unclosed",
        True,
        lambda facts: facts.is_unclosed and not facts.is_joined and facts.format in REPAIRABLE,
        "goes on after the {told_seconds:.1f} s that its header tells: its recording broke off; cut out a part "
        "before that with start and end, or repair the header: ffmpeg -ignore_length 1 -i FILE -c copy repaired.wav",
    ),
    _Rule(
        "unclosed",
        True,
        lambda facts: facts.is_unclosed and not facts.is_joined and facts.format not in REPAIRABLE,
        "goes on after the {told_seconds:.1f} s that its header tells, and who is heard there cannot be known; cut "
        "out a part before that with start and end, or make it anew: ffmpeg -i FILE whole.flac",
    ),
    _Rule(
        "truncated",
        True,
        lambda facts: facts.is_truncated,
        "ends or is damaged after {seconds:.1f} of the {told_seconds:.1f} s that its header tells; copy it anew, or "
        "cut out a part that is there with start and end",
    ),
    _Rule(
        "too_short",
        True,
        lambda facts: 0 < facts.seconds < SHORTEST_SECONDS,
        "lasts {seconds:.2f} s; a voice needs at least 1 s, better 10: give more of it",
    ),
    _Rule(
        "silent",
        True,
        lambda facts: facts.seconds > 0 and not _has_sound(facts) and not _cancels_out(facts),
        "is silent ({loudness_dbfs:.0f} dBFS); see whether the right microphone, channel or part was recorded",
    ),
    _Rule(
        "silent",
        True,
        lambda facts: facts.seconds > 0 and not _has_sound(facts) and _cancels_out(facts),
        "is silent ({loudness_dbfs:.0f} dBFS) when its {channels} channels are mixed down to one, because they cancel "
        "each other out; give one of them alone",
    ),
    _Rule(
        "nearly_silent",
        False,
        lambda facts: _has_sound(facts) and facts.loudness_dbfs < _NEARLY_SILENT_DBFS,
        "is nearly silent ({loudness_dbfs:.0f} dBFS); see whether somebody speaks in it",
    ),
    _Rule(
        "little_speech",
        False,
        lambda facts: _has_sound(facts) and facts.seconds >= SHORTEST_SECONDS and facts.speech_seconds < _LITTLE_SPEECH,
        "has {speech_seconds:.1f} s that rise above their background as speech does; see whether somebody speaks in it",
    ),
    _Rule(
        "clipped",
        False,
        lambda facts: facts.clipped >= _CLIPPED_SHARE,
        "is clipped ({clipped:.1%} of its samples are at full scale), which distorts the voice; record it less loudly",
    ),
    _Rule(
        "channels",
        False,
        lambda facts: facts.channels > 1,
        "has {channels} channels, which are mixed down to one; see that they have the same speaker",
    ),
)
_INSTEAD = "a voiceprint takes at most 30 s: cut it with start and end in a list, or have it trimmed (enroll --trim)"
_TOO_LONG = _Rule(
    "too_long",
    True,
    # A lossy file has a few samples more than was put in.
    lambda facts: round(facts.seconds, 2) > LONGEST_SECONDS,
    f"lasts {{seconds:.2f}} s; {_INSTEAD}",
)
JOINED = Finding(
    "joined",
    "is several files that were joined end to end, and who speaks in each cannot be known; send one of them alone, or "
    "decode all of them into one file",
    is_fatal=True,
)
"""A format that cannot be read here, with a second file behind the first one."""
_TRIMMED = _TOO_LONG._replace(
    code="trimmed",
    is_fatal=False,
    message="lasts {seconds:.1f} s; only the 30 s with most speech are used; see that only one person speaks there",
)


def too_long(seconds: float | None) -> Finding:
    """Return the finding for audio that is too long and was not read to its end; None is an unknown length."""
    lasts = f"lasts more than {LONGEST_SECONDS:.0f} s" if seconds is None else f"lasts {seconds:.2f} s"
    return Finding(_TOO_LONG.code, f"{lasts}; {_INSTEAD}", is_fatal=True)


def judge(facts: AudioFacts, *, trims: bool = False) -> tuple[Finding, ...]:
    """Say what there is to say, what is fatal first.

    Args:
        facts: of the recording.
        trims: whether its best part is taken where it is too long.
    """
    rules = (_TRIMMED if trims else _TOO_LONG, *_RULES)
    said = attrs.asdict(facts)
    findings = [Finding(rule.code, rule.message.format(**said), rule.is_fatal) for rule in rules if rule.applies(facts)]
    return tuple(sorted(findings, key=lambda finding: not finding.is_fatal))


def refusal(findings: Iterable[Finding]) -> str | None:
    """Say all that is fatal, in one sentence as a finding has it; None where nothing is."""
    return "; ".join(finding.message for finding in findings if finding.is_fatal) or None
