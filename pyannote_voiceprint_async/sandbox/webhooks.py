"""WebhookDispatcher: the end of a job is told to whoever asked for it, until it is heard or given up."""

import asyncio
from collections.abc import Iterable
from functools import partial

from pyannote_voiceprint_async.sandbox.jobs import Job
from pyannote_voiceprint_async.sandbox.scheduler import Scheduler
from pyannote_voiceprint_async.sandbox.settings import Settings
from pyannote_voiceprint_async.sandbox.state import WebhookTally
from pyannote_voiceprint_async.sandbox.webhook_faults import NO_FAULT, WebhookFault, WebhookFaultPlan
from pyannote_voiceprint_async.sandbox.webhook_messages import WebhookMessage, to_request
from pyannote_voiceprint_async.sandbox.webhook_sender import Delivery, WebhookSender

# Deliveries on the wire; thousands of jobs may end in the same second.
MOST_AT_ONCE = 100


class WebhookDispatcher:
    """What is told of one team's jobs. JobRegistry without a webhook leave no trace here.

    Args:
        settings: Where secret, retries, faults and time come from.
    """

    def __init__(self, settings: Settings) -> None:
        self.deliveries: list[Delivery] = []
        self._delivered = 0
        self._waiting = 0
        self._settings = settings
        self._faults = WebhookFaultPlan(settings.webhook_faults, settings.seed)
        self._agenda = Scheduler(settings.now, settings.sleep, MOST_AT_ONCE)
        self._sender = WebhookSender(settings.webhook_timeout)

    def script(self, faults: Iterable[str]) -> None:
        """Let the webhooks of the next jobs meet these faults, one each.

        Raises:
            ValueError: For an unknown name.
        """
        self._faults.script(faults)

    def choose_fault(self) -> WebhookFault | None:
        """What is to go wrong with the webhook of a job that is about to be accepted with one."""
        return self._faults.choose()

    def schedule(self, job: Job) -> asyncio.Event | None:
        """Tell the end of this job to its webhook, if it has one.

        Returns:
            What the answer to its submission has to wait for, if anything.
        """
        if job.webhook is None:
            return None
        fault = job.webhook_fault or NO_FAULT
        notice = WebhookMessage(job, job.webhook, fault, asyncio.Event() if fault.early else None)
        self._waiting += fault.copies
        for _ in range(fault.copies):
            self._agenda.add(job.finished_at, partial(self._deliver, notice))
        return notice.tried

    def tally(self) -> WebhookTally:
        """The counts of this moment."""
        return WebhookTally(len(self.deliveries), self._delivered, self._waiting)

    async def close(self) -> None:
        """End what is under way, and forget what was to come."""
        await self._agenda.close()
        await self._sender.close()
        self._waiting = 0

    async def _deliver(self, notice: WebhookMessage) -> None:
        timestamp = notice.signed_at
        if timestamp is None or self._settings.webhook_sign_anew:
            timestamp = int(self._settings.now())
        status, reason = await self._sender.post(notice.url, *to_request(notice, timestamp, self._settings))
        self.deliveries.append(Delivery(notice.job.id, notice.url, notice.attempt, status, reason))
        self._delivered += reason is None
        if reason is None or not self._try_again(notice, timestamp, reason):
            self._waiting -= 1
        if notice.tried is not None:
            notice.tried.set()

    def _try_again(self, notice: WebhookMessage, timestamp: int, reason: str) -> bool:
        """After the next pause; false when there is none left."""
        delays = self._settings.webhook_retry_delays[notice.attempt - 1 :]
        if not delays:
            return False
        at = self._settings.now() + delays[0] * self._settings.webhook_time_scale
        self._agenda.add(at, partial(self._deliver, notice.again(timestamp, reason)))
        return True
