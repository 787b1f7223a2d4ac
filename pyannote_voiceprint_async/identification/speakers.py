"""The voiceprints of many speakers, read from a file or a ledger."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from pyannote_voiceprint_async.api.identification_checks import label_problem, value_problem
from pyannote_voiceprint_async.errors import ManifestError, Problem
from pyannote_voiceprint_async.models import Voiceprint
from pyannote_voiceprint_async.redaction import printable
from pyannote_voiceprint_async.reprs import safe_repr

from .speaker_files import SpeakerRow, read_rows

__all__ = ["Speakers"]

# The most problems in an error, and the most characters of a label there.
_MAX_SHOWN, _MAX_LABEL = 10, 100


@safe_repr
class Speakers(Mapping[str, "Voiceprint | str"]):
    """Voiceprints by label, as `identify` accepts them. `repr()` shows neither labels nor values.

    Args:
        voiceprints: the voiceprints, or their values, by label.
    """

    def __init__(self, voiceprints: Mapping[str, Voiceprint | str]) -> None:
        self._voiceprints = dict(voiceprints)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, model: str | None = None) -> Self:
        """Read the voiceprints of a file. This call blocks: for thousands of voiceprints, run it in a thread.

        The file is what `export` writes (`.json`, `.jsonl`, `.csv`), what `voiceprint --out` writes, a ledger, or a
        JSON object `{label: value}`. The content decides, not the name. Rows without a voiceprint are skipped.

        Args:
            path: the file.
            model: read only voiceprints of this model.

        Raises:
            ManifestError: the file holds no voiceprints, those of several models, or a label or value that the API
                would refuse. `problems` lists them.
            LedgerError: the ledger is damaged, or cannot be read.
            OSError: the file cannot be read.
        """
        rows, problem = read_rows(Path(path))
        if problem is not None:
            raise ManifestError(f"The voiceprints cannot be read: {problem}", problems=[Problem(problem)])
        rows = [row for row in rows if model is None or row.model == model]
        if not rows:
            wanted = "" if model is None else f" of the model {model}"
            raise ManifestError(f"The file has no voiceprints{wanted}. Enroll the speakers first.")
        _check(rows)
        return cls({row.label: row.voiceprint for row in rows})

    @property
    def model(self) -> str | None:
        """The model of the voiceprints; None if it is not known, or if they have several."""
        models = {voiceprint.model for voiceprint in self.values() if isinstance(voiceprint, Voiceprint)}
        return models.pop() if len(models) == 1 else None

    def __getitem__(self, label: str) -> Voiceprint | str:
        return self._voiceprints[label]

    def __iter__(self) -> Iterator[str]:
        return iter(self._voiceprints)

    def __len__(self) -> int:
        return len(self._voiceprints)

    def __repr__(self) -> str:
        return f"<Speakers {len(self)} voiceprints model={self.model}>"


def _check(rows: Sequence[SpeakerRow]) -> None:
    problems = list(_problems(rows))
    models = sorted({row.model for row in rows if row.model is not None})
    if len(models) > 1:
        counts = ", ".join(f"{name} ({sum(row.model == name for row in rows)})" for name in models)
        problems.insert(0, Problem(f"the voiceprints have several models: {counts}; choose one (model= or --model)"))
    if problems:
        shown = "; ".join(map(str, problems[:_MAX_SHOWN]))
        more = f"; and {len(problems) - _MAX_SHOWN} more" if len(problems) > _MAX_SHOWN else ""
        raise ManifestError(f"The voiceprints cannot be used: {shown}{more}.", problems=problems)


def _problems(rows: Sequence[SpeakerRow]) -> Iterator[Problem]:
    seen: set[str] = set()
    for row in rows:
        if problem := label_problem(row.label):
            yield Problem(f"the label {problem}", printable(row.label[:_MAX_LABEL]), row.line)
        if problem := value_problem(row.voiceprint):
            yield Problem(f"the voiceprint {problem}", printable(row.label[:_MAX_LABEL]), row.line)
        if row.label in seen:
            yield Problem("the label occurs twice", printable(row.label[:_MAX_LABEL]), row.line)
        seen.add(row.label)
