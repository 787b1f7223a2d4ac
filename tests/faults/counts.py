"""What is counted while one fault is on, and at its end."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import attrs

_FILES = Path("/proc/self/fd")
# What was told to close is given a moment: so many looks, and seconds between two of them.
_LOOKS, _PAUSE = 400, 0.005


@attrs.define
class Counts:
    """What became of some calls."""

    calls: int = 0
    requests: int = 0
    """That met the fault."""
    tries: int = 0
    """That were made, the ones after the fault among them."""
    happened: Counter[str] = attrs.field(factory=Counter)
    """How calls ended."""
    duplicates: int = 0
    """Submissions that the server accepted although it had accepted one of the same call."""
    losses: int = 0
    """Jobs that were accepted, whose id nobody has, and of which no error says that they may exist."""
    leaks: Counter[str] = attrs.field(factory=Counter)
    """Tasks, sockets and files that are left at the end."""

    def __add__(self, other: Self) -> "Counts":
        fields = (field.name for field in attrs.fields(Counts))
        return Counts(*(getattr(self, name) + getattr(other, name) for name in fields))

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON types."""
        return {
            "calls": self.calls,
            "requests": self.requests,
            "happened": dict(self.happened),
            "duplicates": self.duplicates,
            "losses": self.losses,
            "leaks": self.leaks.total(),
        }


def audit(accepted: Mapping[str, list[str]], known: Mapping[str, set[str]], announced: set[str]) -> tuple[int, int]:
    """Give duplicates and losses.

    Args:
        accepted: ids of the jobs that the server has accepted, by the call's URL.
        known: ids that the client's side has, by the same; what belongs to no call in particular is under "".
        announced: calls whose error says that a job may have been accepted.
    """
    duplicates = sum(len(job_ids) - 1 for job_ids in accepted.values())
    lost = [
        job_id
        for url, job_ids in accepted.items()
        for job_id in job_ids
        if url not in announced and job_id not in known.get(url, ()) and job_id not in known[""]
    ]
    return duplicates, len(lost)


def census() -> Counter[str]:
    """Count the tasks of this event loop but this one, and the sockets and files of this process, where Linux tells."""
    found = Counter(tasks=len(asyncio.all_tasks()) - 1)
    for link in _FILES.iterdir() if _FILES.exists() else ():
        try:
            found["sockets" if str(link.readlink()).startswith("socket:") else "files"] += 1
        except OSError:
            continue  # the one with which the folder is read
    return found


async def left_since(before: Counter[str]) -> Counter[str]:
    """Count what has come since then and does not go."""
    for _ in range(_LOOKS):
        if not (more := census() - before):
            break
        await asyncio.sleep(_PAUSE)
    return more
