"""The table as lines of text. A row is what `Counts.to_dict` gives, with its family and the fault's name."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

COLUMNS = ("calls", "requests", "duplicates", "losses", "leaks")
Row = Mapping[str, Any]


def sums(rows: Sequence[Row]) -> dict[str, int]:
    """Add up some rows."""
    return {column: sum(row[column] for row in rows) for column in COLUMNS}


def lines(rows: Sequence[Row], *, with_faults: bool) -> Iterator[str]:
    """Give a line for each family and one for all, each family's faults below it."""
    yield f"{'':54}" + "".join(f"{column:>11}" for column in COLUMNS)
    for family in dict.fromkeys(row["family"] for row in rows):
        mine = [row for row in rows if row["family"] == family]
        yield _line(f"{family} ({len(mine)})", sums(mine))
        for row in mine if with_faults else ():
            ends = "; ".join(f"{end} ({times:,})" for end, times in row["happened"].items())
            yield f"{_line('  ' + row['fault'], row)}   {ends}"
    yield _line(f"all ({len(rows)})", sums(rows))


def _line(name: str, row: Row) -> str:
    return f"{name:54}" + "".join(f"{row[column]:>11,}" for column in COLUMNS)
