"""What a run does after an error of an upload or a submission, as one table."""

from collections.abc import Callable
from enum import Enum

from pyannote_voiceprint_async.errors import (
    ApiConnectionError,
    ConfigurationError,
    InvalidRequestError,
    JobError,
    LedgerError,
    MediaError,
    SubscriptionRequiredError,
    UnexpectedResponseError,
    VoiceprintError,
)

__all__ = ["ErrorAction", "PostponedError", "RowError", "action_for"]


class PostponedError(VoiceprintError):
    """A row was not sent, because unknown outcomes must be resolved first. Internal: caught by the run."""


class RowError(VoiceprintError):
    """A row cannot be submitted, and the row is at fault. Internal: caught by the run."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason
        """The reason as a code, for the ledger."""


class ErrorAction(Enum):
    """What a run does after an error."""

    FAIL_ROW = "fail the row: it is at fault"
    PAUSE = "pause: the API or the network fails at present"
    PAUSE_OR_STOP = "pause if this run had a job accepted, otherwise stop: a proxy or certificate here may be wrong"
    JUDGE_REFUSAL = "compare with the refusals of all rows, which show whether the row or the API is at fault"
    RESOLVE = "resolve the outcome first: the row may have been accepted"
    STOP = "stop the run: no row will succeed until a person acts"
    POSTPONE = "leave the row pending: unknown outcomes must be resolved first"


# The first rule that applies decides. If none applies, the run pauses.
_RULES: tuple[tuple[Callable[[VoiceprintError], bool], ErrorAction], ...] = (
    (lambda error: isinstance(error, SubscriptionRequiredError | LedgerError), ErrorAction.STOP),
    (lambda error: isinstance(error, PostponedError), ErrorAction.POSTPONE),
    (lambda error: error.outcome_unknown, ErrorAction.RESOLVE),
    (lambda error: isinstance(error, ConfigurationError), ErrorAction.STOP),
    (lambda error: isinstance(error, RowError | InvalidRequestError | JobError), ErrorAction.FAIL_ROW),
    (lambda error: isinstance(error, MediaError) and not error.retryable, ErrorAction.FAIL_ROW),
    (lambda error: isinstance(error, ApiConnectionError) and not error.retryable, ErrorAction.PAUSE_OR_STOP),
    (lambda error: isinstance(error, MediaError | UnexpectedResponseError), ErrorAction.JUDGE_REFUSAL),
    (lambda error: not error.retryable, ErrorAction.JUDGE_REFUSAL),
)


def action_for(error: VoiceprintError) -> ErrorAction:
    """Return what a run does after an error of an upload or a submission."""
    return next((action for applies, action in _RULES if applies(error)), ErrorAction.PAUSE)
