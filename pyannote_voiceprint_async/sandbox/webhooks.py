"""The dispatcher that delivers the webhooks of all jobs and retries failed attempts."""

import asyncio
from collections.abc import Iterable
from functools import partial

from pyannote_voiceprint_async.sandbox.jobs import SandboxJob
from pyannote_voiceprint_async.sandbox.scheduler import Scheduler
from pyannote_voiceprint_async.sandbox.settings import Settings
from pyannote_voiceprint_async.sandbox.state import WebhookTally
from pyannote_voiceprint_async.sandbox.webhook_faults import NO_FAULT, WebhookFault, WebhookFaultPlan
from pyannote_voiceprint_async.sandbox.webhook_messages import WebhookMessage, build_request
from pyannote_voiceprint_async.sandbox.webhook_sender import Delivery, WebhookSender

# Thousands of jobs may finish in the same second.
MAX_IN_FLIGHT = 100


class WebhookDispatcher:
    """Sends a webhook at the end of each job that requested one.

    Args:
        settings: Settings of the secret, the retries, the faults and the clock.
    """

    def __init__(self, settings: Settings) -> None:
        self.deliveries: list[Delivery] = []
        self._delivered = 0
        self._waiting = 0
        self._settings = settings
        self._faults = WebhookFaultPlan(settings.webhook_faults, settings.seed)
        self._scheduler = Scheduler(settings.now, settings.sleep, MAX_IN_FLIGHT)
        self._sender = WebhookSender(settings.webhook_timeout)

    def script(self, faults: Iterable[str]) -> None:
        """Assign these faults to the webhooks of the next jobs, one each.

        Raises:
            ValueError: For an unknown name.
        """
        self._faults.script(faults)

    def choose_fault(self) -> WebhookFault | None:
        """Return the fault for a job that is about to be accepted and requests a webhook, or `None`."""
        return self._faults.choose()

    def schedule(self, job: SandboxJob) -> asyncio.Event | None:
        """Schedule the job's webhook, if it requested one.

        Returns:
            Event that must be set before the submission is answered, or `None`.
        """
        if job.webhook is None:
            return None
        fault = job.webhook_fault or NO_FAULT
        message = WebhookMessage(job, job.webhook, fault, asyncio.Event() if fault.early else None)
        self._waiting += fault.copies
        for _ in range(fault.copies):
            self._scheduler.add(job.finished_at, partial(self._deliver, message))
        return message.attempted

    def tally(self) -> WebhookTally:
        """Return the counts of this moment."""
        return WebhookTally(len(self.deliveries), self._delivered, self._waiting)

    async def close(self) -> None:
        """Cancel the webhooks in flight and drop the scheduled ones."""
        await self._scheduler.close()
        await self._sender.close()
        self._waiting = 0

    async def _deliver(self, message: WebhookMessage) -> None:
        timestamp = message.signed_at
        if timestamp is None or self._settings.webhook_sign_anew:
            timestamp = int(self._settings.now())
        body, headers = await self._build(message, timestamp)
        status, reason = await self._sender.post(message.url, body, headers)
        self.deliveries.append(Delivery(message.job.id, message.url, message.attempt, status, reason))
        self._delivered += reason is None
        if reason is None or not self._schedule_retry(message, timestamp, reason):
            self._waiting -= 1
        if message.attempted is not None:
            message.attempted.set()

    async def _build(self, message: WebhookMessage, timestamp: int) -> tuple[bytes, dict[str, str]]:
        """Build body and headers, in a thread if the output may be large."""
        if message.job.identification is None:
            return build_request(message, timestamp, self._settings)
        return await asyncio.to_thread(build_request, message, timestamp, self._settings)

    def _schedule_retry(self, message: WebhookMessage, timestamp: int, reason: str) -> bool:
        """Schedule the next attempt. Return `False` if this attempt was the last."""
        delays = self._settings.webhook_retry_delays[message.attempt - 1 :]
        if not delays:
            return False
        at = self._settings.now() + delays[0] * self._settings.webhook_time_scale
        self._scheduler.add(at, partial(self._deliver, message.retry(timestamp, reason)))
        return True
