"""The shared state as one client uses it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Protocol

from pyannote_voiceprint_async.concurrency.clock import Clock
from pyannote_voiceprint_async.errors import SharedStateError
from pyannote_voiceprint_async.event_emitter import EventEmitter
from pyannote_voiceprint_async.ratelimit.limiter import RateLimiter
from pyannote_voiceprint_async.secret import Secret
from pyannote_voiceprint_async.settings import RateLimit, RateLimits

from .delivery_table import DeliveryTable
from .key_table import KeyTable
from .mailbox import Mailbox
from .member import FleetMember, MemberSettings
from .postgres_store import PostgresStore
from .shared_window import SharedWindow
from .sqlite_store import SqliteStore
from .state import SharedState
from .store import Store, StoreUnavailableError
from .store_contact import StoreContact
from .submission_keys import SubmissionKeys

__all__ = ["SharedConnection", "open_store"]


def open_store(state: SharedState) -> Store:
    """Return the store of a shared state. It connects when it is opened, or used first."""
    if isinstance(state.store, Secret):
        return PostgresStore(state.store, state.patience)
    return SqliteStore(state.store)


class OnChange(Protocol):
    """What is called after each step of a window."""

    def __call__(self, operation: str, *, waits_changed: bool, error: SharedStateError | None) -> object:
        """Use what a step has changed.

        Args:
            operation: the operation of the window.
            waits_changed: whether requests may now wait for longer.
            error: the error if the store can never be used again.
        """


class SharedConnection:
    """The shared state as one client uses it: a rate limiter whose permits all processes share.

    Args:
        state: the setting of the client.
        base_url: the API, whose state is kept apart from that of other APIs.
        max_concurrency: requests in flight of this client.
        rate_limits: the user's own limits.
        response_timeout: seconds in which the server may still see a request after it was sent.
        clock: the client's clock.
        events: reports an outage of the store.
    """

    def __init__(  # noqa: PLR0913 - constructed in one place, by keyword
        self,
        state: SharedState,
        *,
        base_url: str,
        max_concurrency: int,
        rate_limits: RateLimits,
        response_timeout: float,
        clock: Clock,
        events: EventEmitter,
    ) -> None:
        self.on_change: OnChange | None = None
        """Called after each step of a window."""
        self._state = state
        self._scope = f"{state.team}|{base_url.rstrip('/')}"
        self._store = open_store(state)
        self._contact = StoreContact(state.patience, events)
        self._response_timeout = response_timeout
        self._clock = clock
        self.keys = SubmissionKeys(KeyTable(self._store, self._scope), clock)
        """The submission keys."""
        self.mailbox = Mailbox(DeliveryTable(self._store, self._scope))
        """The webhook deliveries of all processes."""
        self._members: list[FleetMember] = []
        self._windows: dict[str, SharedWindow] = {}
        self.rate_limiter = RateLimiter(max_concurrency, rate_limits, make_window=self._make_window)
        """The limiter of the client."""

    async def open(self) -> None:
        """Connect with the store. If it cannot be reached, requests wait for it.

        Raises:
            SharedStateError: the store can never be used.
        """
        try:
            await self._store.open()
        except StoreUnavailableError as error:
            if error.is_final:
                raise to_public_error(error) from None

    async def aclose(self) -> None:
        """Report what is left to report, and close the connections with the store."""
        await self.mailbox.aclose()
        await self.keys.aclose()
        await asyncio.gather(*(member.aclose() for member in self._members))
        await self._store.aclose()

    def _make_window(self, operation: str, default: int, ceiling: RateLimit | None) -> SharedWindow:
        rate = ceiling or RateLimit(default)
        settings = MemberSettings(
            window=f"{self._scope}|{operation}",
            limit=rate.limit,
            ceiling=ceiling.limit if ceiling else None,
            per=rate.per,
            reserve=self._state.reserve,
            response_timeout=self._response_timeout,
        )
        member = FleetMember(
            self._store,
            self._contact,
            settings,
            self._clock,
            wanted=lambda: self.rate_limiter.scheduler.permits_wanted(operation),
            on_change=partial(self._on_step, operation),
        )
        self._members.append(member)
        window = self._windows[operation] = SharedWindow(member, default, ceiling)
        return window

    def _on_step(self, operation: str, failure: StoreUnavailableError | None) -> None:
        waits_changed = self._windows[operation].apply_reply()
        if self.on_change is not None:
            error = None if failure is None else to_public_error(failure)
            self.on_change(operation, waits_changed=waits_changed, error=error)


def to_public_error(error: StoreUnavailableError) -> SharedStateError:
    """Return the error that callers see."""
    return SharedStateError(str(error), retryable=not error.is_final)
