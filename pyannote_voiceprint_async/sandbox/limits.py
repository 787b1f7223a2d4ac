"""Rate limits as they are configured."""

from typing import Literal

import attrs

from pyannote_voiceprint_async.sandbox.validators import positive

WindowKind = Literal["sliding", "fixed", "none"]


@attrs.frozen
class Limit:
    """A number of requests per number of seconds.

    Args:
        limit: Requests that one window admits.
        per: Length of the window in seconds.
    """

    limit: int = attrs.field(validator=positive)
    per: float = attrs.field(default=60.0, validator=positive)
