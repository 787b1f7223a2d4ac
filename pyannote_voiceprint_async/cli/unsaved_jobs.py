"""Lines about accepted jobs whose ids the ledger could not save."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from .output import json_line

__all__ = ["unsaved_job_lines"]


def unsaved_job_lines(records: Sequence[Mapping[str, str]], ledger: Path) -> Iterator[str]:
    """Yield a line of JSON for each job, then a line on how to record the jobs.

    Args:
        records: the jobs: `label` and `job_id`, as `ledger accept` accepts them, and further fields for people.
        ledger: the ledger.
    """
    yield from map(json_line, records)
    if records:
        yield (
            "The ledger could not save the jobs above, which are billed. Keep their ids. When the ledger can be "
            "written again, record each: pyannote-voiceprint ledger accept "
            f"{shlex.quote(str(ledger))} LABEL JOB_ID"
        )
