"""The warnings about rows of one list, without repetitions."""

from collections import Counter
from collections.abc import Iterator

from pyannote_voiceprint_async.enrollment.manifest.preflight import PREFLIGHT_UNAVAILABLE
from pyannote_voiceprint_async.enrollment.manifest.row_checks import CheckedRow
from pyannote_voiceprint_async.enrollment.plan import RowWarning, join_warnings

__all__ = ["RowWarnings"]

_MAX_WARNINGS = 1000


class RowWarnings:
    """Collect the first thousand warnings of a list. A warning about several segments of a file is kept once."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, str, list[str]]] = []
        self._repetitions: Counter[tuple[str, str]] = Counter()

    def __iter__(self) -> Iterator[RowWarning]:
        for label, source, warnings in self._rows:
            texts = [warning + _repeated(self._repetitions[source, warning]) for warning in warnings]
            yield RowWarning(label, join_warnings(texts))

    def add(self, checked: CheckedRow, *, is_unavailable: bool) -> None:
        """Add the warnings of a row.

        Args:
            checked: the row.
            is_unavailable: whether its file could not be checked because the extra `[audio]` is missing.
        """
        source = str(checked.row.source)
        is_unchecked = is_unavailable and checked.is_file and checked.audio.warnings is not None
        unavailable = [PREFLIGHT_UNAVAILABLE] if is_unchecked else []
        new = [
            warning
            for warning in (*checked.row.warnings, *(checked.audio.warnings or ()), *unavailable)
            if self._is_new(source, warning)
        ]
        if new:
            self._rows.append((checked.row.label, source, new))

    def add_note(self, label: str, message: str) -> None:
        """Add a warning about the label of a row."""
        if len(self._rows) < _MAX_WARNINGS:
            self._rows.append((label, "", [message]))

    def _is_new(self, source: str, warning: str) -> bool:
        # The missing extra concerns all files, so this warning is kept for one file only.
        is_general = warning is PREFLIGHT_UNAVAILABLE
        key = ("" if is_general else source, warning)
        if key in self._repetitions:
            self._repetitions[key] += not is_general
            return False
        if len(self._repetitions) >= _MAX_WARNINGS:
            return False
        self._repetitions[key] = 0
        return True


def _repeated(times: int) -> str:
    return f" ({times} more of this file, too)" if times else ""
