"""The state of the API: jobs, media, webhooks, rate limits and credit."""

from pyannote_voiceprint_async.sandbox.jobs import JobRegistry
from pyannote_voiceprint_async.sandbox.media import MediaStorage
from pyannote_voiceprint_async.sandbox.operations import OPERATIONS, SandboxRequest
from pyannote_voiceprint_async.sandbox.rate_limit_windows import RateLimitWindows
from pyannote_voiceprint_async.sandbox.responses import SandboxResponse, error
from pyannote_voiceprint_async.sandbox.settings import Settings
from pyannote_voiceprint_async.sandbox.store import SandboxStore
from pyannote_voiceprint_async.sandbox.validation import media_rules, voiceprint_rules
from pyannote_voiceprint_async.sandbox.webhooks import WebhookDispatcher


class ApiState:
    """Everything the API remembers between requests."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.now = settings.now
        self.media_rules = media_rules(settings.media_keys)
        self.voiceprint_rules = voiceprint_rules(settings.media_keys)
        self.jobs = JobRegistry(settings.job_seconds, settings.seed)
        self.webhooks = WebhookDispatcher(settings)
        self.media = MediaStorage(settings.media_seconds, settings.presigned_seconds)
        self.store = SandboxStore(settings.store)
        limits = {
            name: settings.read_limit if operation.reads else settings.rate_limit
            for name, operation in OPERATIONS.items()
        }
        self.budgets = RateLimitWindows(settings, limits)
        self._authorization = f"Bearer {settings.api_key}"

    async def start(self) -> None:
        """Remember what the store holds.

        Raises:
            ValueError: When there is something wrong with its file.
        """
        kept = await self.store.open()
        if kept is not None:
            self.jobs.restore(kept.jobs)
            self.media.restore(kept.uploads)

    def admit(self, call: SandboxRequest) -> SandboxResponse | None:
        """Return the refusal of a request with a wrong key or over its rate limit, or None if it may pass."""
        if call.authorization != self._authorization:
            return error(401, "Invalid API key")
        return self.budgets.take(call.operation.name, self.now())

    def has_credit(self) -> bool:
        """Whether one more job may be accepted; each one costs a credit, however it ends."""
        return self.settings.credit is None or len(self.jobs.accepted) < self.settings.credit
