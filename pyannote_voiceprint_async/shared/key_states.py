"""The states of a submission key, and the table of the changes that are allowed.

```
free ──claim──▶ claimed ──begin──▶ sending ──accept──▶ accepted
  ▲                │ ▲                │ │                 ▲
  └──────free──────┘ └────not_sent────┘ └──lose──▶ unknown ┘
```

A claim belongs to one call of one process, and is identified by its owner and its number: a process that was stopped
for long changes nothing that another one has claimed meanwhile. If the owner has ended, its claimed keys may be claimed
by others, and the outcome of what it was sending is unknown.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

__all__ = ["CHANGES", "KeyChange", "KeyState", "StateChange"]


class KeyState(StrEnum):
    """The state of a key that is not free."""

    CLAIMED = "claimed"
    """A process is about to send the submission."""
    SENDING = "sending"
    """The submission may have left the process."""
    ACCEPTED = "accepted"
    """There is a job."""
    UNKNOWN = "unknown"
    """The submission may have been accepted: a person resolves the key."""


class KeyChange(StrEnum):
    """What the owner of a claim reports."""

    BEGIN = "begin"
    """The first byte of a try may leave now."""
    NOT_SENT = "not sent"
    """The try was refused, or never sent."""
    ACCEPT = "accept"
    """The response with the job id arrived."""
    LOSE = "lose"
    """The try ended without a response."""
    FREE = "free"
    """The call ended without a submission."""


class StateChange(NamedTuple):
    """From which states a change leads to which one."""

    before: frozenset[KeyState]
    after: KeyState | None
    """None means that the key is free."""


# UNKNOWN is among the states before a result: other processes take a process that was stopped for an ended one.
CHANGES = {
    KeyChange.BEGIN: StateChange(frozenset({KeyState.CLAIMED, KeyState.SENDING}), KeyState.SENDING),
    KeyChange.NOT_SENT: StateChange(frozenset({KeyState.SENDING, KeyState.UNKNOWN}), KeyState.CLAIMED),
    KeyChange.ACCEPT: StateChange(frozenset({KeyState.SENDING, KeyState.UNKNOWN}), KeyState.ACCEPTED),
    KeyChange.LOSE: StateChange(frozenset({KeyState.SENDING, KeyState.UNKNOWN}), KeyState.UNKNOWN),
    KeyChange.FREE: StateChange(frozenset({KeyState.CLAIMED}), None),
}
