"""The newest requests that a sandbox received, for tests to assert on and for people to read."""

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from pyannote_voiceprint_async.sandbox.url_redaction import redact_url

# Older requests are forgotten when there are more, or when their bodies need more memory.
MOST_REQUESTS = 1000
MOST_BYTES = 32 * 1024**2


@attrs.define
class RequestNotes:
    """What is learned about a request while it is processed."""

    operation: str | None = None
    body: bytes = b""
    fault: str | None = None
    job_id: str | None = None


@attrs.frozen
class ReceivedRequest:
    """A request that the sandbox received and has responded to. Its text shows no secrets."""

    method: str
    path: str
    """Path of the URL, without the query."""
    operation: str | None
    """`test`, `media`, `voiceprint`, `identify`, `job`, `jobs`, `upload`, or `None` for an unknown path."""
    status: int | None
    """Status of the response; `None` if the connection was cut."""
    fault: str | None = None
    """Name of the injected fault; `None` without a fault."""
    job_id: str | None = None
    """The job that was created."""
    media_url: str | None = None
    """The `media://` URL of an upload."""
    query: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    """The headers, names in lower case, without `authorization`."""
    body: bytes = attrs.field(default=b"", repr=False)
    """The body; empty for uploads, and for requests whose fault came before the body was read."""

    @property
    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ValueError: When the body is not JSON.
        """
        return json.loads(self.body)

    def __str__(self) -> str:
        end = "connection cut" if self.status is None else str(self.status)
        parts = [self.method, self.media_url or self.path, *_details(self.body), "→", end]
        parts += [f"job {self.job_id}"] if self.job_id else []
        parts += [f"(fault {self.fault})"] if self.fault else []
        return " ".join(parts)


def _details(body: bytes) -> list[str]:
    """Return the source of a submission and the number of its voiceprints, as far as the body has them."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return []
    if not isinstance(fields, dict):
        return []
    url, voiceprints = fields.get("url"), fields.get("voiceprints")
    details = [redact_url(url)] if isinstance(url, str) else []
    return [*details, f"({len(voiceprints)} voiceprints)"] if isinstance(voiceprints, list) else details


class RequestLog:
    """The newest requests, in the order of their responses.

    Args:
        listener: Called with each request; `None` for nobody.
    """

    def __init__(self, listener: Callable[[ReceivedRequest], object] | None) -> None:
        self._listener = listener
        self._requests: deque[ReceivedRequest] = deque()
        self._bytes = 0

    @property
    def requests(self) -> Sequence[ReceivedRequest]:
        """A copy of the log, oldest first."""
        return list(self._requests)

    def add(self, request: ReceivedRequest) -> None:
        """Add a request, and forget the oldest ones if there are too many."""
        self._requests.append(request)
        self._bytes += len(request.body)
        while len(self._requests) > MOST_REQUESTS or self._bytes > MOST_BYTES:
            self._bytes -= len(self._requests.popleft().body)
        if self._listener is not None:
            self._listener(request)
