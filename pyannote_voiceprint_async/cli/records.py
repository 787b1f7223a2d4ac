"""Format the results of commands: text on a terminal, a line of JSON anywhere else."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from pyannote_voiceprint_async.redaction import printable

__all__ = ["HIDDEN_VOICEPRINT", "RecordText", "format_record", "json_line"]

RecordText: TypeAlias = Callable[[int], Iterable[str]]
"""Returns the lines of a record for a terminal of a width."""

HIDDEN_VOICEPRINT = "not shown on a terminal: use --out FILE.jsonl or a pipe"
"""What stands for the value of a voiceprint, which is biometric data, on a terminal."""


def format_record(
    record: Mapping[str, Any], text: RecordText, *, terminal_width: int | None, as_json: bool = False
) -> list[str]:
    """Return the lines in which a command prints a record.

    Args:
        record: plain JSON types. The value of a voiceprint is in `voiceprint`.
        text: returns the lines for people, which must not contain the value of a voiceprint.
        terminal_width: the width of the terminal; None for a file or a pipe.
        as_json: print JSON on a terminal too. The value of a voiceprint is replaced there.
    """
    if terminal_width is None:
        return [json_line(record)]
    if not as_json:
        return [printable(line) for line in text(terminal_width)]
    return [json_line({**record, "voiceprint": HIDDEN_VOICEPRINT} if record.get("voiceprint") else record)]


def json_line(record: Mapping[str, Any]) -> str:
    """Return a record as one line of JSON, in which only control characters are escaped."""
    import json  # noqa: PLC0415 - the import would slow down `--help`

    return printable(json.dumps(record, ensure_ascii=False))
