"""What the sandbox's API remembers between requests: jobs, media, webhooks, rate limits and credit."""

from pyannote_voiceprint_async.sandbox.identify_validation import identify_rules
from pyannote_voiceprint_async.sandbox.job_registry import JobRegistry
from pyannote_voiceprint_async.sandbox.job_scripts import JobScripts
from pyannote_voiceprint_async.sandbox.media import MediaStorage
from pyannote_voiceprint_async.sandbox.operations import OPERATIONS
from pyannote_voiceprint_async.sandbox.rate_limit_windows import RateLimitWindows
from pyannote_voiceprint_async.sandbox.requests import SandboxRequest
from pyannote_voiceprint_async.sandbox.responses import SandboxResponse, error
from pyannote_voiceprint_async.sandbox.settings import Settings
from pyannote_voiceprint_async.sandbox.speech import SpeechMeter
from pyannote_voiceprint_async.sandbox.store import SandboxStore
from pyannote_voiceprint_async.sandbox.validation import media_rules, voiceprint_rules
from pyannote_voiceprint_async.sandbox.webhooks import WebhookDispatcher


class ApiState:
    """The state of the API between two requests."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.now = settings.now
        self.media_rules = media_rules(settings.media_keys)
        self.voiceprint_rules = voiceprint_rules(settings.media_keys)
        self.identify_rules = identify_rules(settings.media_keys)
        self.jobs = JobRegistry(settings.job_seconds, settings.seed)
        self.scripts = JobScripts()
        self.webhooks = WebhookDispatcher(settings)
        self.media = MediaStorage(settings.media_seconds, settings.presigned_seconds)
        self.speech = SpeechMeter()
        self.store = SandboxStore(settings.store)
        limits = {
            name: settings.read_limit if operation.reads else settings.rate_limit
            for name, operation in OPERATIONS.items()
        }
        self.rate_limits = RateLimitWindows(settings, limits)
        self._authorization = f"Bearer {settings.api_key}"

    async def start(self) -> None:
        """Restore the jobs and uploads of the store.

        Raises:
            ValueError: When the store's file cannot be used.
        """
        contents = await self.store.open()
        if contents is not None:
            self.jobs.restore(contents.jobs)
            self.media.restore(contents.uploads)

    def admit(self, request: SandboxRequest) -> SandboxResponse | None:
        """Check the API key, then the rate limit. Return `None` if the request may pass, else the refusal."""
        if request.authorization != self._authorization:
            return error(401, "Invalid API key")
        return self.rate_limits.admit(request.operation.name, self.now())

    def has_credit(self) -> bool:
        """Return whether another job may be accepted. Each job costs one credit, however it ends."""
        return self.settings.credit is None or len(self.jobs.accepted) < self.settings.credit
