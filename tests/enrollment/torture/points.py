"""The points at which a run can be killed, as one table: between any two steps that belong together.

The harness kills the program from outside at the points of `SEEN_BY_THE_SANDBOX`. At all others the program kills
itself with SIGKILL, so that not even a `finally` block runs.
"""

import inspect
import os
import signal
from collections.abc import Callable, Mapping
from enum import Enum
from functools import wraps
from typing import Any

import attrs

from pyannote_voiceprint_async.enrollment.ledger import schema
from pyannote_voiceprint_async.enrollment.ledger.database import Database
from pyannote_voiceprint_async.enrollment.ledger.staging import Staging
from pyannote_voiceprint_async.enrollment.ledger.store import LedgerStore
from pyannote_voiceprint_async.enrollment.run import outcome_resolver
from pyannote_voiceprint_async.jobs.local_audio import OpenedAudio


class When(Enum):
    """Whether the program is killed before or after a step."""

    BEFORE = "before"
    AFTER = "after"


@attrs.frozen
class Point:
    """A step of the program, and whether the program is killed before or after it."""

    owner: Any
    step: str
    when: When
    rare: bool = False
    """Whether the step runs once or twice in a run, instead of once for each row."""


SEEN_BY_THE_SANDBOX = ("request", "answer")
"""When the k-th request arrives at the sandbox, and when the k-th response is ready but not sent."""

POINTS: Mapping[str, Point] = {
    # The ledger file and the list
    "schema-before": Point(schema, "apply_steps", When.BEFORE, rare=True),
    "schema-after": Point(schema, "apply_steps", When.AFTER, rare=True),
    "claimed": Point(LedgerStore, "claim", When.AFTER, rare=True),
    "piece-loaded": Point(Staging, "_stage_page", When.AFTER, rare=True),
    "list-before-merge": Point(Staging, "_apply", When.BEFORE, rare=True),
    "list-merged-uncommitted": Point(Staging, "_apply", When.AFTER, rare=True),
    # One submission
    "intent-unwritten": Point(LedgerStore, "record_intent", When.BEFORE),
    "intent-written-no-byte-sent": Point(LedgerStore, "record_intent", When.AFTER),
    "answered-id-unwritten": Point(LedgerStore, "record_job", When.BEFORE),
    "id-written": Point(LedgerStore, "record_job", When.AFTER),
    "refused-unwritten": Point(LedgerStore, "withdraw_intent_later", When.BEFORE, rare=True),
    "refused-on-its-way": Point(LedgerStore, "withdraw_intent_later", When.AFTER, rare=True),
    "withdrawal-unwritten": Point(LedgerStore, "withdraw_intent", When.BEFORE, rare=True),
    "withdrawn": Point(LedgerStore, "withdraw_intent", When.AFTER, rare=True),
    "voiceprint-unwritten": Point(LedgerStore, "record_voiceprint", When.BEFORE),
    "voiceprint-written": Point(LedgerStore, "record_voiceprint", When.AFTER),
    # One upload
    "upload-half-sent": Point(OpenedAudio, "chunks", When.AFTER, rare=True),
    "upload-unwritten": Point(LedgerStore, "record_upload", When.BEFORE, rare=True),
    "upload-written": Point(LedgerStore, "record_upload", When.AFTER, rare=True),
    # Commits
    "commit-before": Point(Database, "_commit", When.BEFORE),
    "commit-within": Point(Database, "_commit", When.AFTER),
    "commit-after": Point(Database, "_commit", When.AFTER),
    # Resolving unknown outcomes
    "jobs-unlisted": Point(outcome_resolver.OutcomeResolver, "_match", When.BEFORE, rare=True),
    "jobs-listed": Point(outcome_resolver.OutcomeResolver, "_match", When.AFTER, rare=True),
    "unknown-kept": Point(LedgerStore, "record_unknown_jobs", When.AFTER, rare=True),
    "not-accepted-recorded": Point(LedgerStore, "resolve_not_accepted", When.AFTER, rare=True),
    "resubmission-unwritten": Point(LedgerStore, "resolve_resubmit", When.BEFORE, rare=True),
    "resubmission-written": Point(LedgerStore, "resolve_resubmit", When.AFTER, rare=True),
    "uncertain-unwritten": Point(LedgerStore, "resolve_uncertain", When.BEFORE, rare=True),
    "uncertain-written": Point(LedgerStore, "resolve_uncertain", When.AFTER, rare=True),
}

NAMES = (*SEEN_BY_THE_SANDBOX, *POINTS)


def arm(name: str, nth: int) -> None:
    """Make this process kill itself when it passes a point for the nth time."""
    arm_point(POINTS[name], nth, _SPECIAL.get(name, _around))


def arm_point(point: Point, nth: int = 1, replace: Callable[..., Any] | None = None) -> None:
    """Make this process kill itself at any point; `replace` makes the step that does so."""
    original = getattr(point.owner, point.step)
    setattr(point.owner, point.step, (replace or _around)(original, point.when, _Fuse(nth)))


class _Fuse:
    """Kills the process when `burn` is called for the nth time."""

    def __init__(self, nth: int) -> None:
        self._left = nth

    def burn(self) -> None:
        self._left -= 1
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)


def _around(original: Callable[..., Any], when: When, fuse: _Fuse) -> Callable[..., Any]:
    """Wrap a sync or async step."""

    @wraps(original)
    async def async_step(*args: Any, **kwargs: Any) -> Any:
        if when is When.BEFORE:
            fuse.burn()
        result = await original(*args, **kwargs)
        if when is When.AFTER:
            fuse.burn()
        return result

    @wraps(original)
    def sync_step(*args: Any, **kwargs: Any) -> Any:
        if when is When.BEFORE:
            fuse.burn()
        result = original(*args, **kwargs)
        if when is When.AFTER:
            fuse.burn()
        return result

    return async_step if inspect.iscoroutinefunction(original) else sync_step


def _within(original: Callable[..., Any], _when: When, fuse: _Fuse) -> Callable[..., Any]:
    """Kill the process inside the transaction, when its work is done and nothing is committed."""

    def commit(self: Database, works: list[Any]) -> Any:
        return original(self, [*works, lambda _connection: fuse.burn()])[:-1]

    return commit


def _in_halves(original: Callable[..., Any], _when: When, fuse: _Fuse) -> Callable[..., Any]:
    """Kill the process when the first half of a chunk was written to the socket."""

    async def chunks(self: OpenedAudio) -> Any:
        async for chunk in original(self):
            half = len(chunk) // 2
            yield chunk[:half]
            fuse.burn()
            yield chunk[half:]

    return chunks


_SPECIAL = {"commit-within": _within, "upload-half-sent": _in_halves}
