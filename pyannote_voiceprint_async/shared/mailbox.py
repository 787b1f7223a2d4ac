"""Share webhook deliveries: a delivery that reaches any process ends the wait in the process that waits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Container, Sized
from itertools import islice
from typing import Protocol

from pyannote_voiceprint_async.models import JobStatus, WebhookEvent

from .delivery_table import DeliveryTable, StoredDelivery
from .store import StoreUnavailableError

__all__ = ["Mailbox"]

log = logging.getLogger("pyannote_voiceprint_async")

# The most deliveries that wait to be posted. More of them drop the oldest, whose job is then polled.
_MAX_UNPOSTED = 1_000
# The most deliveries in one transaction.
_MAX_POSTED = 100
# A post is tried at most this often, with this many seconds between the tries.
_MAX_TRIES = 10
_TRY_INTERVAL = 1.0


class AwaitedJobs(Sized, Container[str], Protocol):
    """The ids of the jobs that callers wait for."""


class Mailbox:
    """The mailbox of one client: it posts the deliveries that this process receives, and reads those of all processes.

    It reads only while a caller waits for a job. A delivery is passed on without its output, so the waiting process
    fetches the job.

    Args:
        table: the deliveries in the store.
    """

    def __init__(self, table: DeliveryTable) -> None:
        self.awaited: AwaitedJobs = ()
        """The jobs that callers of this client wait for at present."""
        self.on_delivery: Callable[[WebhookEvent], object] | None = None
        """Called with each delivery for an awaited job."""
        self._table = table
        self._unposted: dict[str, str] = {}
        self._passed_on: set[StoredDelivery] = set()
        self._may_have_changed = asyncio.Event()
        self._posting: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._is_closed = False

    def post(self, event: WebhookEvent) -> None:
        """Schedule a delivery to be posted without its output. Deliveries of unfinished jobs are ignored."""
        if self._is_closed or not event.status.is_terminal:
            return
        self._unposted[event.job_id] = str(event.status)
        if len(self._unposted) > _MAX_UNPOSTED:
            del self._unposted[next(iter(self._unposted))]
        if self._posting is None or self._posting.done():
            self._posting = asyncio.get_running_loop().create_task(self._post_all())

    def start_reading(self) -> None:
        """Read the deliveries now, because a wait begins, and whenever they change, until no caller waits."""
        if self._is_closed:
            return
        self._may_have_changed.set()
        if self._reading is None or self._reading.done():
            self._reading = asyncio.get_running_loop().create_task(self._read_while_awaited())

    async def aclose(self) -> None:
        """Stop reading, and post the remaining deliveries."""
        self._is_closed = True
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
        if self._posting is not None:
            await asyncio.wait([self._posting])

    async def _post_all(self) -> None:
        tries = 0
        while self._unposted:
            batch = dict(islice(self._unposted.items(), _MAX_POSTED))
            try:
                await self._table.post(batch)
            except StoreUnavailableError as error:
                tries += 1
                if tries == _MAX_TRIES or self._is_closed:
                    log.debug("Deliveries could not be shared: other processes poll their jobs. %s", error)
                    self._unposted.clear()
                    return
                await asyncio.sleep(_TRY_INTERVAL)
            else:
                tries = 0
                self._unposted = {job: status for job, status in self._unposted.items() if batch.get(job) != status}

    async def _read_while_awaited(self) -> None:
        # A wait may begin while the listening ends.
        while self.awaited:
            listening = asyncio.get_running_loop().create_task(self._table.listen(self._may_have_changed.set))
            try:
                while self.awaited:
                    await self._may_have_changed.wait()
                    self._may_have_changed.clear()
                    await self._pass_on()
            finally:
                listening.cancel()
                await asyncio.wait([listening])

    async def _pass_on(self) -> None:
        """Pass on the deliveries for awaited jobs, each once."""
        try:
            deliveries = await self._table.read()
        except StoreUnavailableError:
            return  # the next read finds them
        found = {delivery for delivery in deliveries if delivery.job_id in self.awaited}
        new, self._passed_on = found - self._passed_on, found
        for delivery in new:
            if self.on_delivery is not None:
                self.on_delivery(WebhookEvent(delivery.job_id, JobStatus(delivery.status), None))
