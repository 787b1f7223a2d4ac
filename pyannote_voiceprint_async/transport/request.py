"""One API request, and its state in the pipeline."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol

import aiohttp
from yarl import URL

from pyannote_voiceprint_async.api.endpoints import Endpoint
from pyannote_voiceprint_async.concurrency.waiters import wake
from pyannote_voiceprint_async.errors import VoiceprintError
from pyannote_voiceprint_async.models import JobCreated

from .connection import RecordedConnection

__all__ = ["ApiRequest", "OutcomeHooks", "SubmissionHooks"]


class OnNotAccepted(Protocol):
    """What is awaited when a try of a submission ended without a job."""

    async def __call__(self, *, may_exist: bool) -> None:
        """Record the end of the try.

        Args:
            may_exist: whether the API may have accepted the submission nevertheless.
        """


class OutcomeHooks(NamedTuple):
    """Functions of the caller that get the outcome of a submission, also if the caller was cancelled."""

    on_accepted: Callable[[JobCreated], Awaitable[None]]
    """Awaited when the response with the job arrived."""
    on_not_accepted: OnNotAccepted
    """Awaited when a try ended without a job."""


class SubmissionHooks(NamedTuple):
    """Functions of the caller that are called for each try of a submission."""

    before_send: Callable[[], Awaitable[None]]
    """Awaited when permit and slot are granted, before the first byte is sent."""
    on_refused: Callable[[], None]
    """Called when a try failed with a retryable error: it was not accepted, and is no longer in flight."""
    outcome: OutcomeHooks | None = None
    """Set if the outcome must be recorded although the caller may be gone."""
    check_first_byte: Callable[[], VoiceprintError | None] | None = None
    """Called when the first byte is about to leave. If it returns an error, the try is not sent."""


class ApiRequest:
    """A request and its state.

    Args:
        endpoint: the operation.
        url: the URL.
        body: the JSON body.
        hooks: the caller's functions for a submission.
        deadline: the time on the client's clock after which the request is no longer sent.
        job_id: the id that the job in the response must have.
        max_queue_wait: seconds that the request may wait for its permit; None is without a limit.
    """

    __slots__ = (
        "_connection",
        "begun_at",
        "body",
        "chunks",
        "deadline",
        "endpoint",
        "first_sent_at",
        "hooks",
        "is_complete",
        "is_withdrawn",
        "job_id",
        "last_received_at",
        "max_queue_wait",
        "overdue",
        "permit_waiter",
        "response",
        "result_waiter",
        "retries",
        "scope",
        "sent_at",
        "started_at",
        "status",
        "unsent_error",
        "url",
    )

    def __init__(  # noqa: PLR0913, PLR0917 - constructed in one place, `Pipeline.send`
        self,
        endpoint: Endpoint[Any],
        url: URL,
        body: bytes | memoryview | None = None,
        hooks: SubmissionHooks | None = None,
        deadline: float | None = None,
        job_id: str | None = None,
        max_queue_wait: float | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.url = url
        self.body = body
        self.hooks = hooks
        self.deadline = deadline
        self.job_id = job_id
        self.max_queue_wait = max_queue_wait
        self.first_sent_at: float | None = None
        """When the first byte of the first try was sent, on the client's clock."""
        self.retries = 0
        self.permit_waiter: asyncio.Future[None] | None = None
        """The future that the caller awaits while the request waits for its permit."""
        self.result_waiter: asyncio.Future[Any] | None = None
        """The future that the caller awaits while the submission is in flight; None after the caller was cancelled."""

    def prepare(self) -> None:
        """Reset the state for a new try."""
        self.sent_at: float | None = None
        """When the first byte of this try was sent, on the client's clock. None: the server cannot have seen it."""
        self.begun_at: float | None = None
        """When this try began, on the client's clock, with its permit and after `before_send`."""
        self.status: int | None = None
        """The HTTP status of the response."""
        self.is_withdrawn = False
        """Whether the caller was cancelled before the first byte was sent, so that the try must not be sent."""
        self.unsent_error: VoiceprintError | None = None
        """The error of a try that must not be sent any more, although nobody has withdrawn it."""
        self.started_at = self.last_received_at = 0.0
        self.overdue = False
        self.scope: asyncio.Timeout | None = None
        """The timeout scope that ends a try without a body. aiohttp does not show the connection of such a try."""
        self.response: aiohttp.ClientResponse | None = None
        """The response, once its headers are read."""
        self.chunks: list[bytes] = []
        """The parts of the response's body that were read."""
        self.is_complete = False
        """Whether the body of the response was read to its end."""
        self._connection: RecordedConnection | None = None

    def __str__(self) -> str:
        return self.endpoint.name

    @property
    def is_sent(self) -> bool:
        """Whether the first byte of this try was sent: the server may have seen it."""
        return self.sent_at is not None

    @property
    def may_be_billed(self) -> bool:
        """Whether the server may have accepted this submission. It must then be finished, and not be sent again."""
        return self.sent_at is not None and not self.endpoint.repeatable

    @property
    def is_timed(self) -> bool:
        """Whether the request timeouts run: from the first byte on. Connecting has a timeout of its own."""
        return self.sent_at is not None

    @property
    def recorded(self) -> bytes:
        """The raw bytes of a response that aiohttp has not parsed."""
        return b"" if self._connection is None else self._connection.recorded(self)

    def mark_sent(self, now: float, transport: asyncio.WriteTransport | None = None) -> None:
        """Record that the first byte is sent now.

        Args:
            now: the time on the client's clock.
            transport: the connection, for a request with a body.

        Raises:
            CancelledError: the request was withdrawn. aiohttp writes a request in a task of its own, which may start
                after the caller was cancelled.
            RuntimeError: this try was sent before. A session that sends a submission again would be billed twice.
            ClientConnectionResetError: the caller's hook has refused the first byte; `unsent_error` is the reason.
        """
        if self.is_withdrawn:
            raise asyncio.CancelledError
        if self.sent_at is not None:
            raise RuntimeError("A request is sent once. Only the client's own retries may repeat it.")
        if self.hooks is not None and self.hooks.check_first_byte is not None:
            self.unsent_error = self.hooks.check_first_byte()
            if self.unsent_error is not None:
                raise aiohttp.ClientConnectionResetError("The first byte of the submission came too late.")
        if transport is not None:
            self._connection = RecordedConnection.of(transport)
            self._connection.begin(self)
        self.sent_at = now
        if self.first_sent_at is None:
            self.first_sent_at = now

    def withdraw(self) -> bool:
        """Prevent the request from being sent. Return False for a submission in flight, which must be finished."""
        if self.may_be_billed:
            return False
        self.is_withdrawn = True
        return True

    def abort(self) -> None:
        """End an overdue request: reset its connection, or end its timeout scope."""
        if self._connection is not None:
            self._connection.reset(self)
        elif self.scope is not None:
            self.scope.reschedule(0.0)

    def release(self) -> None:
        """Drop the response and the connection. After an incomplete response, reset the connection."""
        connection, self._connection, self.scope = self._connection, None, None
        response, self.response, self.chunks = self.response, None, []
        if connection is not None:
            if self.is_complete:
                connection.end(self)
            else:
                connection.reset(self)
        # The connection of a complete response is in the pool again.
        if response is not None and response.connection is not None:
            response.close()

    def notify(self, error: VoiceprintError | None) -> None:
        """Wake the caller: the permit is granted, or refused with an error."""
        # One exception raised in many tasks would collect the tracebacks of all of them.
        wake(self.permit_waiter, copy.copy(error))
