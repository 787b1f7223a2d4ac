"""The column names of a manifest: which are read, and hints for names that were probably meant."""

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from enum import StrEnum
from shlex import quote

import attrs

from pyannote_voiceprint_async.redaction import redact_text

from .names import normalize_name

__all__ = ["OPTIONAL_COLUMNS", "Column", "ColumnNames", "find_column", "number_repeated_names", "segment_warnings"]


class Column(StrEnum):
    """A column that is read."""

    LABEL = "label"
    SOURCE = "source"
    MODEL = "model"
    START = "start"
    END = "end"


OPTIONAL_COLUMNS = (Column.MODEL, Column.START, Column.END)

_OPTIONS = {Column.LABEL: "--label-column", Column.SOURCE: "--source-column"}
# Names that other programs use for these columns.
_SYNONYMS = {
    Column.LABEL: (
        "speaker", "speaker_name", "speaker_label", "speaker_id", "name", "full_name", "display_name",
        "person", "user", "user_name", "username", "user_id", "id",
    ),
    Column.SOURCE: (
        "url", "uri", "link", "href", "src", "audio", "audio_url", "audio_path", "audio_file", "audio_filepath",
        "wav", "path", "file", "filename", "file_name", "filepath", "file_path", "recording", "sample", "media",
    ),
}  # fmt: skip
# Names that other programs use for the place of a segment. They are not read, and must not be ignored silently: the
# whole file would be enrolled.
_PLACE = r"(?:audio|clip|segment|seg|speech|turn)?({})(?:time|at)?(?:s|in)?(?:ms|secs?|seconds?)?"
_SEGMENT_LIKE = {
    Column.START: re.compile(_PLACE.format("start|begin|onset|offset|from")),
    Column.END: re.compile(_PLACE.format("end|stop|offset|to|duration|dur|length")),
}
_SIMILARITY = 0.75
_MAX_NAMES_SHOWN, _MAX_NAME_LENGTH = 12, 40


@attrs.frozen
class ColumnNames:
    """The names of the two columns that every manifest needs."""

    label: str = Column.LABEL.value
    source: str = Column.SOURCE.value

    @property
    def required(self) -> Mapping[Column, str]:
        """The required columns with their names."""
        return {Column.LABEL: self.label, Column.SOURCE: self.source}

    def count_found(self, names: Sequence[str]) -> int:
        """Return how many of the required columns are among `names`."""
        return sum(find_column(names, name) is not None for name in self.required.values())

    def suggest(self, column: Column, names: Sequence[str]) -> str | None:
        """Return the name among `names` that was probably meant for a required column."""
        wanted = self.required[column]
        by_plain_name = {re.sub(r"[\s-]+", "_", name.strip().lower()): name for name in reversed(names)}
        synonyms = _SYNONYMS[column] if wanted == column else ()
        similar = get_close_matches(wanted.lower(), by_plain_name, n=1, cutoff=_SIMILARITY)
        return next((by_plain_name[name] for name in (*similar, *synonyms) if name in by_plain_name), None)

    def missing_message(self, column: Column, names: Sequence[str]) -> str:
        """Return the message for a required column that is not among `names`."""
        option, suggestion = _OPTIONS[column], self.suggest(column, names)
        hint = (
            f"did you mean {suggestion!r}? Rename it, or pass {option} {quote(suggestion)}"
            if suggestion
            else f"add it, or pass its name with {option}"
        )
        found = _shorten([_printable(name) for name in names if name]) or "nothing"
        return f"has no column {self.required[column]!r} (only: {found}); {hint}"


def find_column(names: Sequence[str], wanted: str) -> int | None:
    """Return the index of a column. Case, surrounding white space and the Unicode form do not matter."""
    if wanted in names:
        return names.index(wanted)
    plain = _plain(wanted)
    return next((index for index, name in enumerate(names) if _plain(name) == plain), None)


def segment_warnings(names: Sequence[str]) -> Iterator[str]:
    """Yield warnings of columns that seem to select a segment, but are not read."""
    missing = [column for column in _SEGMENT_LIKE if find_column(names, column) is None]
    unread = [
        _printable(name)
        for name in names
        if any(_SEGMENT_LIKE[column].fullmatch(re.sub(r"[\W_]+", "", name.lower())) for column in missing)
    ]
    if unread:
        listed = ", ".join(map(repr, unread[:_MAX_NAMES_SHOWN]))
        yield f"the list has columns that are not read ({listed}); 'start' and 'end' select a segment, in seconds"
    if missing == [Column.END]:
        yield "the list has 'start' but no 'end': each segment extends to the end of its file"


def number_repeated_names(names: Sequence[str], used: set[int]) -> Iterator[tuple[int, str]]:
    """Yield index and name of the columns that are not in `used`. A repeated name gets a number: no cell is lost."""
    taken: set[str] = set()
    for index, name in enumerate(names):
        if index in used:
            continue
        unique, number = name, 1
        while unique and unique in taken:
            number += 1
            unique = f"{name} ({number})"
        taken.add(unique)
        yield index, unique


def _plain(name: str) -> str:
    return normalize_name(name).strip().lower()


def _printable(name: str) -> str:
    # The first line may be data: a presigned URL must not be shown.
    return redact_text(name)[:_MAX_NAME_LENGTH]


def _shorten(names: Sequence[str]) -> str:
    return ", ".join(names[:_MAX_NAMES_SHOWN]) + (", …" if len(names) > _MAX_NAMES_SHOWN else "")
