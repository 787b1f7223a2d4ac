"""An identification as RTTM, one turn per line."""

import re
import unicodedata
from collections.abc import Iterable, Iterator

from .turns import IdentifiedTurn

__all__ = ["to_rttm"]

# RTTM separates its fields by white space, and has no escapes.
_NOT_IN_A_FIELD = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff]")
_NO_VALUE = "<NA>"


def to_rttm(turns: Iterable[IdentifiedTurn], file_id: str) -> str:
    """Return the turns as RTTM, with times in whole milliseconds.

    Args:
        turns: the turns.
        file_id: the name of the recording.
    """
    names = _FieldNames()
    return "".join(_lines(turns, _field(file_id), names))


def _lines(turns: Iterable[IdentifiedTurn], file_id: str, names: "_FieldNames") -> Iterator[str]:
    for turn in turns:
        start, end = round(turn.start * 1000), round(turn.end * 1000)
        name = names.name_of(turn.speaker)
        yield (
            f"SPEAKER {file_id} 1 {start / 1000:.3f} {(end - start) / 1000:.3f} {_NO_VALUE} {_NO_VALUE} "
            f"{name} {_NO_VALUE} {_NO_VALUE}\n"
        )


def _field(text: str) -> str:
    """Return a text as one field: white space and control characters become underscores."""
    field = _NOT_IN_A_FIELD.sub("_", unicodedata.normalize("NFC", text)) or "_"
    return field.replace("<", "_").replace(">", "_") if field == _NO_VALUE else field


class _FieldNames:
    """The names of speakers as fields. Speakers with different labels never share a field."""

    def __init__(self) -> None:
        self._fields: dict[str, str] = {}
        self._used: set[str] = set()

    def name_of(self, speaker: str) -> str:
        """Return the field of a speaker."""
        if (known := self._fields.get(speaker)) is not None:
            return known
        field, number = _field(speaker), 1
        unique = field
        while unique in self._used:
            number += 1
            unique = f"{field}_{number}"
        self._used.add(unique)
        self._fields[speaker] = unique
        return unique
