"""What a run may be told."""

from collections.abc import Awaitable, Callable
from typing import Literal, TypeAlias, get_args

import attrs

from pyannote_voiceprint_async.enrollment.manifest.rows import Row
from pyannote_voiceprint_async.errors import ConfigurationError
from pyannote_voiceprint_async.models import Model

__all__ = ["OnUnknown", "Options", "Resolve"]

OnUnknown: TypeAlias = Literal["hold", "resubmit", "adopt"]
"""What is done with a row that may have been accepted, and may not."""

Resolve: TypeAlias = Callable[[Row], Awaitable[str]]
"""Gives the URL of a row just before it is submitted: it may presign it."""


@attrs.frozen(kw_only=True)
class Options:
    """Everything that `enroll` may be told beside the client, the rows and the ledger; it says what each means."""

    model: str = Model.PRECISION_2
    resolve: Resolve | None = None
    on_unknown: OnUnknown = "hold"
    retry_failed: str | None = None
    retry_expired: bool = False
    allow_shared_audio: bool = False
    skip_invalid: bool = False
    replace: bool = False
    max_jobs: int | None = None
    new_key: bool = False
    origin: str | None = None
    preflight: bool = True
    trim: bool = False

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.model, str) or not self.model.strip():
            raise ConfigurationError(f"model must be the name of a voiceprint model, not {self.model!r}.")
        if self.on_unknown not in get_args(OnUnknown):
            raise ConfigurationError(f"on_unknown must be hold, resubmit or adopt, not {self.on_unknown!r}.")
        if self.trim and not self.preflight:
            raise ConfigurationError("trim needs preflight: what is too long is known only by looking at it.")
        if self.max_jobs is not None and (isinstance(self.max_jobs, bool) or self.max_jobs < 0):
            raise ConfigurationError(f"max_jobs must be a number of jobs from 0 on, or None, not {self.max_jobs!r}.")
