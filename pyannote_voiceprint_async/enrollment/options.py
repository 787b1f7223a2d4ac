"""The options of a run."""

import math
from collections.abc import Awaitable, Callable
from typing import Literal, TypeAlias, get_args

import attrs

from pyannote_voiceprint_async.enrollment.manifest.rows import Row
from pyannote_voiceprint_async.enrollment.plan import DEFAULT_PRICE, RunPlan
from pyannote_voiceprint_async.errors import ConfigurationError
from pyannote_voiceprint_async.models import Model

__all__ = ["Confirm", "OnUnknown", "Options", "Resolve"]

OnUnknown: TypeAlias = Literal["hold", "resubmit", "adopt"]
"""What to do with rows whose submission may have been accepted."""

Resolve: TypeAlias = Callable[[Row], Awaitable[str] | str]
"""A sync or async function that returns the URL of a row just before it is submitted, for example a presigned one.

A sync function runs in the event loop, so it must not block. Signing is fine, a request is not.
"""


Confirm: TypeAlias = Callable[[RunPlan], Awaitable[bool] | bool]
"""A sync or async function that returns whether a run may submit its jobs. A sync function must not block."""


@attrs.frozen(kw_only=True)
class Options:
    """The options of `enroll`, which documents each of them."""

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
    price: float = DEFAULT_PRICE
    confirm: Confirm | None = None

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.model, str) or not self.model.strip():
            raise ConfigurationError(f"model must be the name of a voiceprint model, not {self.model!r}.")
        if self.on_unknown not in get_args(OnUnknown):
            raise ConfigurationError(f"on_unknown must be 'hold', 'resubmit' or 'adopt', not {self.on_unknown!r}.")
        if self.trim and not self.preflight:
            raise ConfigurationError("trim needs preflight: only the check of a file shows whether it is too long.")
        if self.max_jobs is not None and (isinstance(self.max_jobs, bool) or self.max_jobs < 0):
            raise ConfigurationError(f"max_jobs must be 0 or a higher number of jobs, or None, not {self.max_jobs!r}.")
        if isinstance(self.price, bool) or not isinstance(self.price, int | float) or not 0 <= self.price < math.inf:
            raise ConfigurationError(f"price must be the price of a job in EUR, 0 or higher, not {self.price!r}.")
