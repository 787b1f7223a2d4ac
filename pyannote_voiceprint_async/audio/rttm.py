"""RTTM, the format in which diarization reports who speaks when (NIST Rich Transcription, one turn per line)."""

import io
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeAlias

from pyannote_voiceprint_async.errors import MediaError
from pyannote_voiceprint_async.text_encoding import detect_encoding

from .source import reject_str

__all__ = ["RttmSource", "SpeakerTurn", "read_turns"]

RttmSource: TypeAlias = "os.PathLike[str] | bytes | IO[bytes] | Iterable[str]"
"""A path, the bytes of a file, an open binary file that can be rewound, or lines of text."""

# Line types of NIST that are skipped.
_OTHER_TYPES = frozenset({
    "A/P", "CB", "EDIT", "FILLER", "IP", "LEXEME", "NO_RT_METADATA", "NON-LEX", "NON-SPEECH", "NOSCORE", "SEGMENT",
    "SPKR-INFO", "SU",
})  # fmt: skip
_COMMENTS = (";", "#")
_FEWEST_FIELDS, _MOST_FIELDS = 8, 10
_NUMBER = re.compile(r"\+?(?:\d{1,9}(?:\.\d*)?|\.\d+)(?:e[+-]?\d{1,2})?", re.IGNORECASE | re.ASCII)
# A number above eleven days is not a time in seconds.
_LATEST_SECONDS = 1_000_000.0
_NO_VALUE = "<NA>"
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\u2028\u2029]")
_LONGEST_LINE = 10_000
_NO_SPACES = "names must not have spaces"


class SpeakerTurn(NamedTuple):
    """A span in which one speaker speaks. Times are whole microseconds, so that sums and differences are exact."""

    file_id: str
    """The recording's name, usually that of its file without suffix, in Unicode's NFC."""
    speaker: str
    """The speaker's name, in Unicode's NFC."""
    start: int
    """Microseconds from the beginning of the recording."""
    end: int
    """Microseconds from the beginning of the recording."""
    channel: str = "1"
    """The channel of the recording."""


def read_turns(rttm: RttmSource) -> list[SpeakerTurn]:
    """Read the turns of an RTTM. Comments and other types of lines are skipped.

    Args:
        rttm: a path, the bytes of a file, an open binary file, which stays open and is rewound to where it was, or
            lines of text. Files are UTF-8 or UTF-16. For an RTTM in a str, pass `text.splitlines()`.

    Raises:
        TypeError: `rttm` is a str, which could be meant as a path or as text.
        MediaError: the file cannot be read, a line is invalid (the message has its number), or there are no turns.
    """
    # Keep turns without a duration: a speaker who has no other turns must be reported as one who cannot be enrolled.
    turns = [turn for number, line in enumerate(_lines(rttm), start=1) if (turn := _parse_line(line, number))]
    if not any(turn.end > turn.start for turn in turns):
        raise MediaError("The RTTM has no turns: no SPEAKER line has a duration above zero.")
    return turns


def _lines(rttm: RttmSource) -> Iterator[object]:
    """Yield the lines of an RTTM, decoded.

    Raises:
        TypeError: `rttm` is a str.
        MediaError: the file cannot be read or decoded.
    """
    reject_str(rttm, "The RTTM", "Pass a file as pathlib.Path(...), and text as text.splitlines().")
    path = f": {os.fspath(rttm)}" if isinstance(rttm, os.PathLike) else ""
    try:
        yield from _read_lines(rttm)
    except OSError as exc:
        raise MediaError(f"The RTTM file cannot be read ({exc.strerror or exc}){path}") from None
    except UnicodeError:
        raise MediaError(f"The RTTM file is neither UTF-8 nor UTF-16, so it is probably no RTTM{path}") from None


def _read_lines(rttm: RttmSource) -> Iterator[object]:
    if isinstance(rttm, os.PathLike):
        with Path(rttm).open("rb") as file:
            yield from _decoded_lines(file)
    elif isinstance(rttm, bytes):
        yield from _decoded_lines(io.BytesIO(rttm))
    elif hasattr(rttm, "read") and not isinstance(rttm, io.TextIOBase):
        yield from _decoded_lines(rttm)
    else:
        yield from rttm


def _decoded_lines(file: Any) -> Iterator[str]:
    start = file.tell()
    head = file.read(4)
    file.seek(start)
    text = io.TextIOWrapper(file, encoding=detect_encoding(head))
    try:
        # The limit keeps a file of another kind, without line breaks, from filling the memory.
        while line := text.readline(_LONGEST_LINE):
            yield line
    finally:
        # Without `detach`, the wrapper would close the caller's file.
        text.detach()
        file.seek(start)


def _parse_line(line: object, number: int) -> SpeakerTurn | None:
    if not isinstance(line, str):
        raise _invalid_line(number, f"is {type(line).__name__}, not text")
    fields = line.removeprefix("\ufeff").split()
    if not fields or fields[0].startswith(_COMMENTS) or fields[0] in _OTHER_TYPES:
        return None
    if fields[0] != "SPEAKER":
        raise _invalid_line(number, f"begins with {fields[0][:20]!r}, not with SPEAKER")
    if not _FEWEST_FIELDS <= len(fields) <= _MOST_FIELDS:
        raise _invalid_line(number, f"has {len(fields)} fields, not 8 to 10 ({_NO_SPACES})")
    # Only confidence and lookahead may follow the name. Other text is the rest of a name with spaces, and speakers
    # whose names begin alike would be merged.
    if extra := [field for field in fields[8:] if field != _NO_VALUE and not _NUMBER.fullmatch(field)]:
        raise _invalid_line(number, f"has {extra[0][:20]!r} after the name ({_NO_SPACES})")
    if _CONTROL.search(line):
        raise _invalid_line(number, "has control characters")
    start, duration = (
        _parse_seconds(field, name, number) for field, name in ((fields[3], "start"), (fields[4], "duration"))
    )
    if fields[7] == _NO_VALUE:
        raise _invalid_line(number, "has no speaker")
    file_id, speaker = (unicodedata.normalize("NFC", field) for field in (fields[1], fields[7]))
    return SpeakerTurn(file_id, speaker, start, start + duration, fields[2])


def _parse_seconds(text: str, name: str, number: int) -> int:
    """Return a time in microseconds."""
    if not _NUMBER.fullmatch(text) or (seconds := float(text)) > _LATEST_SECONDS:
        raise _invalid_line(number, f"has {text[:20]!r} as {name}, which must be seconds, 0 or more")
    return round(seconds * 1_000_000)


def _invalid_line(number: int, problem: str) -> MediaError:
    return MediaError(
        f"Line {number} of the RTTM {problem}. A turn is: SPEAKER file 1 START DURATION <NA> <NA> NAME <NA> <NA>"
    )
