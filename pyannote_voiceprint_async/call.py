"""One call on its way down the ladder."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable
from typing import Any

from yarl import URL

from .endpoints import Endpoint
from .errors import VoiceprintError
from .relay import Relay
from .waits import wake

__all__ = ["Call"]


class Call:
    """What is asked, and how far it has come.

    Args:
        endpoint: what is asked.
        url: where.
        body: the JSON to be sent.
        before_send: awaited when place and slot are there, before the first byte of each try.
        refused: called when a try was refused for now.
        deadline: on the client's clock; it is not sent any more after that.
    """

    __slots__ = (
        "before_send",
        "began_at",
        "body",
        "deadline",
        "endpoint",
        "exchange",
        "failure",
        "first_byte_at",
        "future",
        "max_queue_wait",
        "moved_at",
        "overdue",
        "refused",
        "retries",
        "started_at",
        "url",
        "withdrawn",
    )

    def __init__(  # noqa: PLR0913, PLR0917 - made in one place, `Transport.send`
        self,
        endpoint: Endpoint[Any],
        url: URL,
        body: bytes | None = None,
        before_send: Callable[[], Awaitable[None]] | None = None,
        refused: Callable[[], None] | None = None,
        deadline: float | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.url = url
        self.body = body
        self.before_send = before_send
        self.refused = refused
        self.deadline = deadline
        self.began_at: float | None = None
        """When the first byte of this try left, on the client's clock; None: the server has not seen it."""
        self.first_byte_at: float | None = None
        """When the first byte of all tries left."""
        self.retries = 0
        self.failure: VoiceprintError | None = None
        self.withdrawn = False
        """Its caller went before the first byte: it must not begin any more."""
        self.max_queue_wait: float | None = None
        """Seconds that it may wait in line for its turn; None is without a bound."""
        self.future: asyncio.Future[None] | None = None
        """What its caller waits for, while it waits for its turn."""
        self.moved_at = 0.0
        """When something of its answer last arrived, on the monotonic clock."""
        self.started_at = 0.0
        """When its exchange began, on the monotonic clock."""
        self.overdue = False
        """Its exchange took too long, and was interrupted."""
        self.exchange: Relay[Any] | None = None
        """What is being made of it on the wire; None again when that is over, so that they do not hold each other."""

    def __str__(self) -> str:
        return f"{self.endpoint.method} {self.endpoint.path}"

    @property
    def has_begun(self) -> bool:
        """Whether the first byte of this try has left: the server may have seen it."""
        return self.began_at is not None

    def begin(self, now: float) -> None:
        """Note that the first byte leaves.

        Raises:
            CancelledError: it was withdrawn. aiohttp writes in a task of its own, which may begin after ours
                was canceled.
        """
        if self.withdrawn:
            raise asyncio.CancelledError
        self.began_at = now
        if self.first_byte_at is None:
            self.first_byte_at = now

    def may_end(self) -> bool:
        """Whether its exchange may end with its caller: one that does not repeat it may be a bill once it has begun."""
        if self.has_begun and not self.endpoint.repeatable:
            return False
        self.withdrawn = True
        return True

    @property
    def is_canceled(self) -> bool:
        """Whether the task that makes its exchange was canceled."""
        return self.exchange is not None and self.exchange.canceled

    def interrupt(self) -> None:
        """Cancel its exchange, and no task."""
        if self.exchange is not None:
            self.exchange.interrupt()

    def notify(self, error: VoiceprintError | None) -> None:
        """Wake the caller: its turn has come, or will not come."""
        # A copy for each: one exception raised in many tasks would collect all their tracebacks.
        wake(self.future, copy.copy(error))
