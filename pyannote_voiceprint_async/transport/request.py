"""One call on its way through the pipeline."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import aiohttp
from yarl import URL

from pyannote_voiceprint_async.api.endpoints import Endpoint
from pyannote_voiceprint_async.concurrency.waiters import wake
from pyannote_voiceprint_async.errors import VoiceprintError

from .connection import RecordedConnection

__all__ = ["ApiRequest", "SubmissionHooks"]


class SubmissionHooks(NamedTuple):
    """What the caller does around each try of a submission."""

    before_send: Callable[[], Awaitable[None]]
    """Awaited when the permit and the slot are granted, before the first byte is sent."""
    on_refused: Callable[[], None]
    """Called when the server refused the submission for now, or it was never sent: nothing of it is in flight."""


class ApiRequest:
    """What is requested, and how far it has come.

    Args:
        endpoint: the operation.
        url: where.
        body: the JSON to be sent.
        hooks: called around each try of a submission.
        deadline: on the client's clock; it is not sent any more after that.
        job_id: the job that the response must be about, if it must.
    """

    __slots__ = (
        "_connection",
        "body",
        "deadline",
        "endpoint",
        "first_sent_at",
        "future",
        "hooks",
        "is_whole",
        "job_id",
        "max_queue_wait",
        "moved_at",
        "outcome",
        "overdue",
        "pieces",
        "response",
        "retries",
        "scope",
        "sent_at",
        "started_at",
        "url",
        "withdrawn",
    )

    def __init__(  # noqa: PLR0913, PLR0917 - made in one place, `Pipeline.send`
        self,
        endpoint: Endpoint[Any],
        url: URL,
        body: bytes | memoryview | None = None,
        hooks: SubmissionHooks | None = None,
        deadline: float | None = None,
        job_id: str | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.url = url
        self.body = body
        self.hooks = hooks
        self.deadline = deadline
        self.job_id = job_id
        self.first_sent_at: float | None = None
        """When the first byte of all tries left."""
        self.retries = 0
        self.max_queue_wait: float | None = None
        """Seconds that it may wait in line for its turn; None is without a bound."""
        self.future: asyncio.Future[None] | None = None
        """What its caller waits for, while it waits for its turn."""
        self.outcome: asyncio.Future[Any] | None = None
        """What its caller waits for, while a submission is made; None when the caller has left."""

    def prepare(self) -> None:
        """Begin a try: nothing of it has been sent or received."""
        self.sent_at: float | None = None
        """When the first byte of this try left, on the client's clock; None: the server has not seen it."""
        self.withdrawn = False
        """Its caller left before the first byte: it must not begin any more."""
        self.started_at = self.moved_at = 0.0
        self.overdue = False
        self.scope: asyncio.Timeout | None = None
        """What ends a request that has no body, and therefore no connection that is known here."""
        self.response: aiohttp.ClientResponse | None = None
        """The response, when its headers are read."""
        self.pieces: list[bytes] = []
        """The body of the response, as far as it is read."""
        self.is_whole = False
        """Whether all of the body is read."""
        self._connection: RecordedConnection | None = None

    def __str__(self) -> str:
        return f"{self.endpoint.method} {self.endpoint.path}"

    @property
    def is_sent(self) -> bool:
        """Whether the first byte of this try has left: the server may have seen it."""
        return self.sent_at is not None

    @property
    def may_be_billed(self) -> bool:
        """Whether the server may have accepted a submission: it must be finished, and must not be repeated."""
        return self.sent_at is not None and not self.endpoint.repeatable

    @property
    def is_timed(self) -> bool:
        """Whether its timeouts count: connecting has a timeout of its own."""
        return self.sent_at is not None

    @property
    def received(self) -> bytes:
        """The raw bytes of a response that is not read yet."""
        return b"" if self._connection is None else self._connection.received(self)

    def begin(self, now: float, transport: asyncio.WriteTransport | None = None) -> None:
        """Note that the first byte leaves.

        Args:
            now: on the client's clock.
            transport: the connection, for a request with a body.

        Raises:
            CancelledError: it was withdrawn. aiohttp writes in a task of its own, which may begin after ours
                was cancelled.
            RuntimeError: it has begun before: a session that repeats requests would pay twice.
        """
        if self.withdrawn:
            raise asyncio.CancelledError
        if self.sent_at is not None:
            raise RuntimeError("A request is sent once. Repeating it is left to the client's own retries.")
        if transport is not None:
            self._connection = RecordedConnection.of(transport)
            self._connection.begin(self)
        self.sent_at = now
        if self.first_sent_at is None:
            self.first_sent_at = now

    def withdraw(self) -> bool:
        """Make sure that it is not sent any more. Return False for a submission on the wire: it must be finished."""
        if self.may_be_billed:
            return False
        self.withdrawn = True
        return True

    def end(self) -> None:
        """End its request: it is overdue."""
        if self._connection is not None:
            self._connection.reset(self)
        elif self.scope is not None:
            self.scope.reschedule(0.0)

    def release(self) -> None:
        """Let go of its response, and of its connection, which is reset if the response was not read whole."""
        connection, self._connection, self.scope = self._connection, None, None
        response, self.response, self.pieces = self.response, None, []
        if connection is not None:
            if self.is_whole:
                connection.end(self)
            else:
                connection.reset(self)
        # A connection whose response was read whole has been given back to the pool already.
        if response is not None and response.connection is not None:
            response.close()

    def notify(self, error: VoiceprintError | None) -> None:
        """Wake the caller: its turn has come, or will not come."""
        # A copy for each: one exception raised in many tasks would collect all their tracebacks.
        wake(self.future, copy.copy(error))
