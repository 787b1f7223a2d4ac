"""The counts of one fault."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import attrs

_FILES = Path("/proc/self/fd")
# Closing connections get a moment to finish: the number of checks, and the seconds between two of them.
_LOOKS, _PAUSE = 400, 0.005


@attrs.define
class Counts:
    """The results of some calls."""

    calls: int = 0
    requests: int = 0
    """Requests that met the fault."""
    tries: int = 0
    """All requests, including those after the fault."""
    happened: Counter[str] = attrs.field(factory=Counter)
    """The number of calls for each outcome."""
    duplicates: int = 0
    """Submissions that the server accepted after it had accepted another one of the same call."""
    losses: int = 0
    """Accepted jobs whose id is lost, and whose call raised no error with `outcome_unknown`."""
    leaks: Counter[str] = attrs.field(factory=Counter)
    """Tasks, sockets and files that are still open at the end."""

    def __add__(self, other: Self) -> "Counts":
        fields = (field.name for field in attrs.fields(Counts))
        return Counts(*(getattr(self, name) + getattr(other, name) for name in fields))

    def to_dict(self) -> dict[str, Any]:
        """Return the counts as plain JSON types."""
        return {
            "calls": self.calls,
            "requests": self.requests,
            "happened": dict(self.happened),
            "duplicates": self.duplicates,
            "losses": self.losses,
            "leaks": self.leaks.total(),
        }


def audit(accepted: Mapping[str, list[str]], known: Mapping[str, set[str]], announced: set[str]) -> tuple[int, int]:
    """Return the number of duplicates and of losses.

    Args:
        accepted: the ids of the jobs that the server has accepted, by the URL of the call.
        known: the ids that the client has, by the URL of the call; ids without a call are under "".
        announced: the URLs of calls whose error says that a job may have been accepted.
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
    """Count the other tasks of this event loop, and (on Linux) the open sockets and files of this process."""
    found = Counter(tasks=len(asyncio.all_tasks()) - 1)
    for link in _FILES.iterdir() if _FILES.exists() else ():
        try:
            found["sockets" if str(link.readlink()).startswith("socket:") else "files"] += 1
        except OSError:
            continue  # the descriptor that reads the folder itself
    return found


async def left_since(before: Counter[str]) -> Counter[str]:
    """Count the tasks, sockets and files that were opened since then and stay open."""
    for _ in range(_LOOKS):
        if not (more := census() - before):
            break
        await asyncio.sleep(_PAUSE)
    return more
