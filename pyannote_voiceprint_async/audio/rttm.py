"""RTTM: who speaks when, as diarization writes it (NIST Rich Transcription, one turn a line)."""

import io
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from pyannote_voiceprint_async.errors import MediaError
from pyannote_voiceprint_async.text_encoding import detect_encoding

__all__ = ["Turn", "turns_of"]

# The other kinds of lines that NIST knows.
_OTHER_KINDS = frozenset({
    "A/P", "CB", "EDIT", "FILLER", "IP", "LEXEME", "NO_RT_METADATA", "NON-LEX", "NON-SPEECH", "NOSCORE", "SEGMENT",
    "SPKR-INFO", "SU",
})  # fmt: skip
_COMMENTS = (";", "#")
_FEWEST_FIELDS, _MOST_FIELDS = 8, 10
_NUMBER = re.compile(r"\+?(?:\d{1,9}(?:\.\d*)?|\.\d+)(?:e[+-]?\d{1,2})?", re.IGNORECASE | re.ASCII)
# Eleven days: beyond it, something else is written there.
_LATEST = 1_000_000.0
_NOTHING = "<NA>"
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\u2028\u2029]")
_LONGEST_LINE = 10_000
_NO_SPACES = "a name cannot have spaces"


class Turn(NamedTuple):
    """Somebody speaks. Times are whole microseconds, so that cutting and adding them is exact."""

    file_id: str
    """Which recording, by its name without suffix."""
    speaker: str
    """Who, in Unicode's NFC."""
    start: int
    """Microseconds from the recording's beginning."""
    end: int
    """Microseconds from the recording's beginning."""
    channel: str = "1"
    """On which channel of the recording."""


def turns_of(rttm: os.PathLike[str] | str | Iterable[str]) -> list[Turn]:
    """Read the turns of an RTTM file, of its text, or of its lines. Comments and other kinds of lines are skipped.

    Raises:
        MediaError: it cannot be read, a line is none of RTTM's (said with its number), or there is no turn in it.
    """
    # Turns that last no time stay: who has no other ones must not vanish without a word.
    turns = [turn for number, line in enumerate(_lines(rttm), start=1) if (turn := _turn(line, number))]
    if not any(turn.end > turn.start for turn in turns):
        raise MediaError("The RTTM has no turns: there is not one SPEAKER line with a duration in it.")
    return turns


def _lines(rttm: os.PathLike[str] | str | Iterable[str]) -> Iterator[str]:
    if isinstance(rttm, str):
        yield from io.StringIO(rttm)
    elif isinstance(rttm, os.PathLike):
        try:
            with Path(rttm).open("rb") as file:
                text = io.TextIOWrapper(file, encoding=detect_encoding(file.peek(4)))
                # One endless line of something else must not fill the memory.
                while line := text.readline(_LONGEST_LINE):
                    yield line
        except OSError as exc:
            raise MediaError(f"The RTTM file cannot be read ({exc.strerror or exc}): {os.fspath(rttm)}") from None
        except UnicodeError:
            raise MediaError(
                f"The RTTM file is neither UTF-8 nor UTF-16, so it is probably no RTTM: {os.fspath(rttm)}"
            ) from None
    else:
        yield from rttm


def _turn(line: object, number: int) -> Turn | None:
    if not isinstance(line, str):
        raise _garbage(number, f"is {type(line).__name__}, not text")
    fields = line.removeprefix("\ufeff").split()
    if not fields or fields[0].startswith(_COMMENTS) or fields[0] in _OTHER_KINDS:
        return None
    if fields[0] != "SPEAKER":
        raise _garbage(number, f"begins with {fields[0][:20]!r}, not with SPEAKER")
    if not _FEWEST_FIELDS <= len(fields) <= _MOST_FIELDS:
        raise _garbage(number, f"has {len(fields)} fields, not 8 to 10 ({_NO_SPACES})")
    # Confidence and lookahead. What else stands there is the rest of a name, whose beginning several people may share.
    if strange := [field for field in fields[8:] if field != _NOTHING and not _NUMBER.fullmatch(field)]:
        raise _garbage(number, f"has {strange[0][:20]!r} behind the name ({_NO_SPACES})")
    if _CONTROL.search(line):
        raise _garbage(number, "has control characters")
    start, duration = (
        _microseconds(field, name, number) for field, name in ((fields[3], "start"), (fields[4], "duration"))
    )
    if fields[7] == _NOTHING:
        raise _garbage(number, "has no speaker")
    file_id, speaker = (unicodedata.normalize("NFC", field) for field in (fields[1], fields[7]))
    return Turn(file_id, speaker, start, start + duration, fields[2])


def _microseconds(text: str, name: str, number: int) -> int:
    if not _NUMBER.fullmatch(text) or (seconds := float(text)) > _LATEST:
        raise _garbage(number, f"has {text[:20]!r} for a {name}, where seconds must be, from 0 on")
    return round(seconds * 1_000_000)


def _garbage(number: int, what: str) -> MediaError:
    return MediaError(
        f"Line {number} of the RTTM {what}. A turn is: SPEAKER file 1 START DURATION <NA> <NA> NAME <NA> <NA>"
    )
