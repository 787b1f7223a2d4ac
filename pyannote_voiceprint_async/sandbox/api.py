"""The state of the API: jobs, media, webhooks, rate limits and credit."""

from pyannote_voiceprint_async.sandbox.answers import Answer, error
from pyannote_voiceprint_async.sandbox.budgets import Budgets
from pyannote_voiceprint_async.sandbox.jobs import Jobs
from pyannote_voiceprint_async.sandbox.media import Media
from pyannote_voiceprint_async.sandbox.operations import OPERATIONS, Call
from pyannote_voiceprint_async.sandbox.settings import Settings
from pyannote_voiceprint_async.sandbox.store import Store
from pyannote_voiceprint_async.sandbox.validation import media_rules, voiceprint_rules
from pyannote_voiceprint_async.sandbox.webhooks import Webhooks


class Api:
    """Everything the API remembers between requests."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.now = settings.now
        self.media_rules = media_rules(settings.media_keys)
        self.voiceprint_rules = voiceprint_rules(settings.media_keys)
        self.jobs = Jobs(settings.job_seconds, settings.seed)
        self.webhooks = Webhooks(settings)
        self.media = Media(settings.media_seconds, settings.presigned_seconds)
        self.store = Store(settings.store)
        limits = {
            name: settings.read_limit if operation.reads else settings.rate_limit
            for name, operation in OPERATIONS.items()
        }
        self.budgets = Budgets(settings, limits)
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

    def admit(self, call: Call) -> Answer | None:
        """Return the refusal of a request with a wrong key or over its rate limit, or None if it may pass."""
        if call.authorization != self._authorization:
            return error(401, "Invalid API key")
        return self.budgets.take(call.operation.name, self.now())

    def has_credit(self) -> bool:
        """Whether one more job may be accepted; each one costs a credit, however it ends."""
        return self.settings.credit is None or len(self.jobs.accepted) < self.settings.credit
