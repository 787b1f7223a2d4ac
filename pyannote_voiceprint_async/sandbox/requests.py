"""Requests of the API after they were read from the socket."""

from collections.abc import Mapping

import attrs

from pyannote_voiceprint_async.sandbox.operations import Operation


@attrs.frozen
class SandboxRequest:
    """A complete request of one operation of the API."""

    operation: Operation
    authorization: str
    """Value of the `Authorization` header, or an empty string."""
    argument: str
    """The part of the path that matched the star in the operation's path."""
    query: Mapping[str, str]
    body: bytes
    base_url: str
    """Scheme, host and port under which the client reaches the sandbox."""
