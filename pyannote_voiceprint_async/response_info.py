"""What is known of the HTTP response from which a model was made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from .redaction import redact_text
from .reprs import safe_repr

__all__ = ["FromResponse", "ResponseInfo"]

# Headers in which servers and gateways write the id of a request.
_REQUEST_ID_HEADERS = ("X-Request-Id", "Request-Id")


@safe_repr
class ResponseInfo:
    """An HTTP response without its body.

    It is no attrs class, because `attrs.asdict` would show what `headers` redacts.

    Args:
        status: the HTTP status.
        headers: the headers, as they were received.
        elapsed: seconds from the beginning of the request to the end of its response.
        key: the API key, which is redacted.
    """

    __slots__ = ("_elapsed", "_headers", "_key", "_status")

    def __init__(self, status: int, headers: Mapping[str, str], elapsed: float, key: str = "") -> None:
        self._status = status
        self._headers = headers
        self._elapsed = elapsed
        self._key = key

    def __repr__(self) -> str:
        return f"<ResponseInfo status={self._status} elapsed={self._elapsed:.3f}>"

    def __reduce__(self) -> tuple[Any, ...]:
        # The key must not be in a pickle.
        return type(self), (self._status, self.headers, self._elapsed)

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._status

    @property
    def elapsed(self) -> float:
        """Seconds from the beginning of the request to the end of its response, without the wait for a permit."""
        return self._elapsed

    @property
    def headers(self) -> dict[str, str]:
        """The headers with names in lower case, redacted. They are redacted when they are read, not before."""
        return {name.lower(): redact_text(value, self._key) for name, value in self._headers.items()}

    @property
    def request_id(self) -> str | None:
        """The id of the request, for the support of the API; None if no header contains it."""
        headers = self.headers
        return next((headers[name] for name in map(str.lower, _REQUEST_ID_HEADERS) if headers.get(name)), None)


class FromResponse:
    """The base of the classes whose objects are made from a response.

    `response` is no attrs field: it belongs neither to comparison, `repr()` and pickles, nor to the JSON of a model.
    """

    __slots__ = ("_response",)

    @property
    def response(self) -> ResponseInfo | None:
        """The HTTP response; None if the object was made from a webhook or by the program, was copied or unpickled."""
        return getattr(self, "_response", None)

    def set_response(self, response: ResponseInfo | None) -> Self:
        """Set the response of a new object, and return the object. Internal: only the client calls it."""
        object.__setattr__(self, "_response", response)  # the classes are frozen: users cannot set it
        return self
