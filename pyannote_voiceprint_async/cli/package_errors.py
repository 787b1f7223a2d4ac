"""The message and the exit code of an error of the package."""

from pyannote_voiceprint_async.errors import (
    AccountError,
    ConfigurationError,
    EnrollmentError,
    InvalidRequestError,
    ManifestError,
    VoiceprintError,
)
from pyannote_voiceprint_async.redaction import printable

from .exit_codes import AccountFailure, Failure, WrongUsage
from .terminal import safe_lines

__all__ = ["to_failure"]


def to_failure(error: Exception) -> Failure | None:
    """Return the failure with which an error of the package ends a command; None for any other error."""
    if not isinstance(error, VoiceprintError):
        return None
    message = _printable_message(error)
    if isinstance(error, AccountError):
        return AccountFailure(message)
    # An error without a status did not come from a server: our own check raised it before anything was sent.
    is_local_check = isinstance(error, InvalidRequestError) and error.status is None
    # `enroll` itself handles a ledger that fails in the middle of a run.
    is_usage = is_local_check or isinstance(error, ConfigurationError | EnrollmentError)
    # `WrongUsage` says that nothing was sent.
    if is_usage and not error.outcome_unknown:
        return WrongUsage(message)
    return Failure(message)


def _printable_message(error: VoiceprintError) -> str:
    """Return an error's message, with line breaks only between the problems that it lists."""
    message = str(error)
    for problem in error.problems if isinstance(error, ManifestError) else ():
        message = message.replace(str(problem), printable(str(problem)))
    return safe_lines(message)
