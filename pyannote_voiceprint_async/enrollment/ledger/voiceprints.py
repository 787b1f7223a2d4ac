"""Read the voiceprints of a ledger."""

import json
from pathlib import Path

from pyannote_voiceprint_async.models import Voiceprint

from .checksums import intact
from .connection import read_snapshot
from .sqlite_errors import damage_error

__all__ = ["read_voiceprints"]

_VOICEPRINTS = """
SELECT {intact}, label, voiceprint, model, job_id, created_at, warnings
FROM labels CROSS JOIN recordings ON id = recording_id
WHERE label > ? AND voiceprint IS NOT NULL ORDER BY label LIMIT ?
"""
_PAGE = 256


def read_voiceprints(path: Path, after: str) -> list[tuple[str, Voiceprint]]:
    """Return the next page of labels and voiceprints, by label.

    Raises:
        LedgerError: the ledger is damaged, or cannot be read.
    """
    with read_snapshot(path) as connection:
        conditions = (intact(connection, table) for table in ("recordings", "labels"))
        rows = connection.execute(_VOICEPRINTS.format(intact=" AND ".join(conditions)), (after, _PAGE)).fetchall()
    page = []
    for is_intact, label, value, model, job_id, created_at, warnings in rows:
        if not is_intact:
            raise damage_error("a voiceprint that was about to be read", path.name)
        stored = {
            "value": value,
            "model": model,
            "job_id": job_id,
            "created_at": created_at,
            "warnings": json.loads(warnings or "[]"),
        }
        page.append((label, Voiceprint.from_dict(stored)))
    return page
