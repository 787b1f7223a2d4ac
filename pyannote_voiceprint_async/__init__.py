"""An asyncio client for pyannoteAI voiceprints."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client import AsyncVoiceprintClient
    from .client_stats import ClientStats
    from .concurrency.clock import Clock
    from .errors import (
        AccountError,
        ApiConnectionError,
        ApiStatusError,
        ApiTimeoutError,
        AuthenticationError,
        ClientClosedError,
        ConfigurationError,
        EnrollmentError,
        FieldError,
        InvalidRequestError,
        InvalidSignatureError,
        JobCanceledError,
        JobError,
        JobExpiredError,
        JobFailedError,
        JobTimeoutError,
        LedgerError,
        LedgerInUseError,
        LedgerOriginError,
        ManifestError,
        MediaError,
        NotFoundError,
        PermissionDeniedError,
        ProxyError,
        QueueTooLongError,
        RateLimitError,
        ServerError,
        SharedStateError,
        StaleWebhookError,
        SubmissionInProgressError,
        SubscriptionRequiredError,
        UnexpectedResponseError,
        UnknownOutcomeError,
        VoiceprintError,
        WebhookError,
    )
    from .identification_result.decisions import Certainty, Decision
    from .identification_result.identification import Identification
    from .identification_result.output import IdentificationOutput
    from .identification_result.turns import (
        DiarizedTurn,
        FrameConfidence,
        IdentifiedSpeaker,
        IdentifiedTurn,
        SpeakerScores,
    )
    from .jobs.batch_results import Results
    from .jobs.local_audio import LocalAudio
    from .models import (
        IdentificationOptions,
        IdentificationRequest,
        Job,
        JobCreated,
        JobStatus,
        JobSummary,
        KeyStatus,
        Matching,
        Model,
        Voiceprint,
        VoiceprintOutput,
        VoiceprintRequest,
        WebhookEvent,
    )
    from .ratelimit.limiter import RateLimiter
    from .ratelimit.status import RateLimitStatus
    from .response_info import ResponseInfo
    from .results import IdentificationResult, RecordingSource, Source, Submission, VoiceprintResult
    from .settings import Polling, RateLimit, RateLimits, RetryPolicy, Timeouts
    from .shared.state import SharedState
    from .version import __version__
    from .webhooks import aiohttp_webhook_handler, verify_webhook

__all__ = [
    "AccountError",
    "ApiConnectionError",
    "ApiStatusError",
    "ApiTimeoutError",
    "AsyncVoiceprintClient",
    "AuthenticationError",
    "Certainty",
    "ClientClosedError",
    "ClientStats",
    "Clock",
    "ConfigurationError",
    "Decision",
    "DiarizedTurn",
    "EnrollmentError",
    "FieldError",
    "FrameConfidence",
    "Identification",
    "IdentificationOptions",
    "IdentificationOutput",
    "IdentificationRequest",
    "IdentificationResult",
    "IdentifiedSpeaker",
    "IdentifiedTurn",
    "InvalidRequestError",
    "InvalidSignatureError",
    "Job",
    "JobCanceledError",
    "JobCreated",
    "JobError",
    "JobExpiredError",
    "JobFailedError",
    "JobStatus",
    "JobSummary",
    "JobTimeoutError",
    "KeyStatus",
    "LedgerError",
    "LedgerInUseError",
    "LedgerOriginError",
    "LocalAudio",
    "ManifestError",
    "Matching",
    "MediaError",
    "Model",
    "NotFoundError",
    "PermissionDeniedError",
    "Polling",
    "ProxyError",
    "QueueTooLongError",
    "RateLimit",
    "RateLimitError",
    "RateLimitStatus",
    "RateLimiter",
    "RateLimits",
    "RecordingSource",
    "ResponseInfo",
    "Results",
    "RetryPolicy",
    "ServerError",
    "SharedState",
    "SharedStateError",
    "Source",
    "SpeakerScores",
    "StaleWebhookError",
    "Submission",
    "SubmissionInProgressError",
    "SubscriptionRequiredError",
    "Timeouts",
    "UnexpectedResponseError",
    "UnknownOutcomeError",
    "Voiceprint",
    "VoiceprintError",
    "VoiceprintOutput",
    "VoiceprintRequest",
    "VoiceprintResult",
    "WebhookError",
    "WebhookEvent",
    "__version__",
    "aiohttp_webhook_handler",
    "verify_webhook",
]

# The modules that define the public names. Those behind `client` are imported only for a name of their own.
_MODULES = (
    "client",
    "client_stats",
    "concurrency.clock",
    "errors",
    "jobs.batch_results",
    "jobs.local_audio",
    "models",
    "ratelimit.limiter",
    "ratelimit.status",
    "response_info",
    "results",
    "settings",
    "shared.state",
    "version",
    "webhooks",
    "identification_result.decisions",
    "identification_result.identification",
    "identification_result.output",
    "identification_result.turns",
)


def __getattr__(name: str) -> Any:
    """Import the modules up to the one that defines the name. `pyannote-voiceprint --help` needs none of them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    for path in _MODULES:
        module = import_module(f".{path}", __name__)
        globals().update({public: getattr(module, public) for public in module.__all__ if public in __all__})
        if name in globals():
            return globals()[name]
    raise AssertionError(f"no module defines {name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
