"""Which batches the running code belongs to, so that closing a batch from inside it never waits for itself."""

from __future__ import annotations

from contextvars import ContextVar

__all__ = ["BatchScope", "is_inside_batch", "may_wait_for"]


class BatchScope:
    """The code that runs inside one batch: its input, its callbacks, and the tasks that these start.

    This object has no reference to its batch. A pooled connection keeps the context alive in which it was opened, and
    with a reference in the context it would keep the input of the batch alive too.
    """

    def __init__(self) -> None:
        self.is_closed = False
        self.is_done = False

    def enter(self) -> None:
        """Record that the current task, and all tasks that it will start, belong to the batch."""
        _SCOPES.set((*_enclosing(), self))


_SCOPES: ContextVar[tuple[BatchScope, ...]] = ContextVar("batch_scopes", default=())


def _enclosing() -> tuple[BatchScope, ...]:
    return tuple(scope for scope in _SCOPES.get() if not scope.is_done)


def is_inside_batch() -> bool:
    """Return whether the caller belongs to a batch. Its waits for other batches must then end when it is cancelled."""
    return bool(_enclosing())


def may_wait_for(*scopes: BatchScope) -> bool:
    """Return whether the caller may wait until these batches are over.

    A caller inside one of them must not wait, because that batch waits for the caller. A caller inside any closed batch
    must not wait either: two batches whose callbacks close each other would wait for ever.
    """
    return not any(scope.is_closed or scope in scopes for scope in _enclosing())
