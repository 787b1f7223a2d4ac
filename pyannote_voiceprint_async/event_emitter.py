"""Pass the events of one client to its log and to `on_event`."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from itertools import count
from typing import TYPE_CHECKING, Concatenate, ParamSpec

if TYPE_CHECKING:
    from .events import ClientEvent

__all__ = ["EventEmitter", "RunningOperation"]

log = logging.getLogger("pyannote_voiceprint_async")

P = ParamSpec("P")

# Seconds. A slower hook is logged, because it delays everything else on the event loop.
_SLOW_HOOK = 0.1
# Seconds between two warnings about a hook: a hook that fails for each event must not fill the log.
_WARNING_INTERVAL = 60.0


class RunningOperation:
    """One call of a client method. The events that it causes have its id and name."""

    __slots__ = ("emitter", "id", "is_finished", "job_id", "name")

    def __init__(self, emitter: EventEmitter, id: int, name: str) -> None:  # noqa: A002 - as in the events
        self.emitter = emitter
        self.id = id
        self.name = name
        self.job_id: str | None = None
        self.is_finished = False


_NO_OPERATION = nullcontext()

_current: ContextVar[RunningOperation | None] = ContextVar("pyannote_voiceprint_operation", default=None)


class EventEmitter:
    """Emits the events of one client.

    If the hook raises or is slow, the emitter logs a warning. Nothing else changes.

    Args:
        hook: the client's `on_event`.
        now: returns the seconds of the client's clock.
    """

    def __init__(self, hook: Callable[[ClientEvent], None] | None, now: Callable[[], float]) -> None:
        self._hook = hook
        self._now = now
        self._ids = count(1)
        self._poll = RunningOperation(self, 0, "poll")
        self._warned_at: float | None = None
        if self.is_wanted:
            # Imported with the client, so that the first request does not wait for the import.
            from . import event_log, events  # noqa: F401, PLC0415 - they add 4 % to the import time

    @property
    def has_hook(self) -> bool:
        """Whether the program passed an `on_event`, which may do anything, for example cancel the running task."""
        return self._hook is not None

    @property
    def is_wanted(self) -> bool:
        """Whether anything uses the events that occur in each operation: the hook, or the log lines of level INFO."""
        return self._hook is not None or log.isEnabledFor(logging.INFO)

    @property
    def operation(self) -> RunningOperation:
        """The operation that the running task belongs to; that of the poller if there is no other."""
        operation = _current.get()
        return operation if operation is not None and operation.emitter is self else self._poll

    def operate(self, name: str) -> AbstractContextManager[None]:
        """Run a block as an operation. Inside another operation of this client, the block is a part of that one."""
        if not self.is_wanted:
            return _NO_OPERATION
        outer = _current.get()
        is_part = outer is not None and outer.emitter is self and not outer.is_finished
        return _NO_OPERATION if is_part else self._operate(name)

    @contextmanager
    def _operate(self, name: str) -> Iterator[None]:
        from .events import OperationFinished, OperationStarted  # noqa: PLC0415 - see __init__

        operation = RunningOperation(self, next(self._ids), name)
        token = _current.set(operation)
        started_at, failure = self._now(), None
        self.emit(OperationStarted(operation.id, name))
        try:
            yield
        except BaseException as error:
            failure = type(error).__name__
            raise
        finally:
            operation.is_finished = True
            seconds = self._now() - started_at
            self.emit(OperationFinished(operation.id, name, seconds, operation.job_id, failure))
            # The garbage collector closes a coroutine that never ends, in a context of its own.
            with suppress(ValueError):
                _current.reset(token)

    def report(
        self, kind: Callable[Concatenate[int, str, P], ClientEvent], *fields: P.args, **more_fields: P.kwargs
    ) -> None:
        """Emit an event of the operation that the running task belongs to.

        Args:
            kind: the class of the event.
            fields: its fields after the operation.
            more_fields: further fields, by name.
        """
        operation = self.operation
        self.emit(kind(operation.id, operation.name, *fields, **more_fields))

    def emit(self, event: ClientEvent) -> None:
        """Log an event, and pass it to the hook."""
        from .event_log import log_event  # noqa: PLC0415 - see __init__
        from .events import JobAccepted  # noqa: PLC0415 - see __init__

        if isinstance(event, JobAccepted):
            self.operation.job_id = event.job_id
        # A failing log handler of the program must not end a submission: its job is billed.
        with suppress(Exception):
            log_event(event)
        if self._hook is not None:
            self._call(self._hook, event)

    def _call(self, hook: Callable[[ClientEvent], None], event: ClientEvent) -> None:
        started_at = time.monotonic()
        try:
            hook(event)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - a hook must not change what the client does
            self._warn(f"on_event raised {type(error).__name__}, which was ignored.", error)
        seconds = time.monotonic() - started_at
        if seconds > _SLOW_HOOK:
            self._warn(
                f"on_event took {seconds:.1f} s, which blocked the event loop. Put the events into a queue, and "
                "process them in a task or a thread."
            )

    def _warn(self, text: str, error: BaseException | None = None) -> None:
        now = time.monotonic()
        if self._warned_at is None or now - self._warned_at >= _WARNING_INTERVAL:
            self._warned_at = now
            with suppress(Exception):
                log.warning("%s Such warnings are logged at most once a minute.", text, exc_info=error)
