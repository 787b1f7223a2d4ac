"""The columns of the progress display: which of them fit into a terminal, and in which form."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import attrs

from .text_layout import text_cells

__all__ = ["GAP", "ProgressColumn", "ProgressView", "fit", "text_view"]

GAP = 2
"""The cells between two columns."""


class ProgressColumn(NamedTuple):
    """One column."""

    text: str
    short: str = ""
    """A shorter form, if there is one."""
    priority: int = 0
    """The column with the lowest priority is shortened first and dropped first."""
    style: str = ""
    """The style of rich. Only the standard colors without white: the terminal may be light or dark."""


@attrs.frozen
class ProgressView:
    """What a display shows at one moment."""

    done: int
    total: int
    columns: Sequence[ProgressColumn]
    note: str | None = None
    """A sentence that has lines of its own, such as the reason of a pause."""
    fields: Mapping[str, Any] = attrs.field(factory=dict)
    """The same as plain JSON types, for `--log-format json`."""

    @property
    def text(self) -> str:
        """Everything in one line."""
        return ", ".join([*(column.text for column in self.columns), *([self.note] if self.note else [])])


def text_view(done: int, total: int, text: str) -> ProgressView:
    """Return a view with one column."""
    return ProgressView(done, total, [ProgressColumn(text)], fields={"done": done, "total": total})


def fit(columns: Sequence[ProgressColumn], width: int) -> list[ProgressColumn]:
    """Return the columns that fit into a width, in their order, each in the longest form that fits.

    The least important columns are shortened first. If all are short and still too wide, the least important ones are
    dropped. The most important column always stays.
    """
    for candidate in _candidates(columns):
        if sum(text_cells(column.text) + GAP for column in candidate) <= width:
            return candidate
    return candidate


def _candidates(columns: Sequence[ProgressColumn]) -> Iterator[list[ProgressColumn]]:
    by_priority = sorted(range(len(columns)), key=lambda index: columns[index].priority)
    for count in range(len(columns) + 1):
        yield [_short(column) if index in by_priority[:count] else column for index, column in enumerate(columns)]
    for count in range(1, len(columns)):
        yield [_short(column) for index, column in enumerate(columns) if index not in by_priority[:count]]


def _short(column: ProgressColumn) -> ProgressColumn:
    return column._replace(text=column.short or column.text)
