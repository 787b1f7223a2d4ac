"""The table of faults as text. A row is `Counts.to_dict()`, with the family and the name of the fault."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

COLUMNS = ("calls", "requests", "duplicates", "losses", "leaks")
Row = Mapping[str, Any]


def sums(rows: Sequence[Row]) -> dict[str, int]:
    """Return the sum of each column."""
    return {column: sum(row[column] for row in rows) for column in COLUMNS}


def lines(rows: Sequence[Row], *, with_faults: bool) -> Iterator[str]:
    """Yield a line per family and a line for the sum, optionally with a line per fault."""
    yield f"{'':54}" + "".join(f"{column:>11}" for column in COLUMNS)
    for family in dict.fromkeys(row["family"] for row in rows):
        of_family = [row for row in rows if row["family"] == family]
        yield _line(f"{family} ({len(of_family)})", sums(of_family))
        for row in of_family if with_faults else ():
            ends = "; ".join(f"{end} ({times:,})" for end, times in row["happened"].items())
            yield f"{_line('  ' + row['fault'], row)}   {ends}"
    yield _line(f"all ({len(rows)})", sums(rows))


def _line(name: str, row: Row) -> str:
    return f"{name:54}" + "".join(f"{row[column]:>11,}" for column in COLUMNS)
