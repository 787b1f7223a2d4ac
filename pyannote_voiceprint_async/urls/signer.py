"""One way to sign a URL, and when it matches."""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

from .expiry import ExpiryReader

__all__ = ["Signer"]


def _split(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _compile(expression: str | None) -> re.Pattern[str] | None:
    return None if expression is None else re.compile(expression, re.ASCII)


def _compile_values(values: Mapping[str, str]) -> Mapping[str, re.Pattern[str] | None]:
    return {name: _compile(expression or None) for name, expression in values.items()}


@attrs.frozen(kw_only=True)
class Signer:
    """One way to sign a URL. Parameter names are in lower case; values are compared after percent-decoding."""

    name: str = attrs.field(kw_only=False)
    """The service or library that signs URLs in this way."""
    docs: str | None
    """The page that documents it; None if there is no public documentation."""
    required: Mapping[str, re.Pattern[str] | None] = attrs.field(factory=dict, converter=_compile_values)
    """Parameters that identify the signer, each with a regular expression for its whole value (or any value)."""
    ignored: frozenset[str] = attrs.field(default="", converter=_split)
    """Parameters that the identity of a URL leaves out."""
    expiry: ExpiryReader | None = None
    """Reads the expiry, if the URL contains it."""
    host: re.Pattern[str] | None = attrs.field(default=None, converter=_compile)
    """The whole host, if the parameters are safe to ignore only on the signer's own hosts."""
    path_prefix: re.Pattern[str] | None = attrs.field(default=None, converter=_compile)
    """The beginning of the path, if the parameters are safe to ignore only there."""
    path_signature: re.Pattern[str] | None = attrs.field(default=None, converter=_compile)
    """A signature that is part of the path. Its named groups are read like parameters."""
    _names: frozenset[str] = attrs.field(init=False)

    @_names.default
    def _required_names(self) -> frozenset[str]:
        return frozenset(self.required)

    def matches(self, host: str, path: str, query: Mapping[str, str]) -> bool:
        """Return whether this signer signed a URL with these parts."""
        return (
            self._names <= query.keys()
            and (self.host is None or self.host.fullmatch(host) is not None)
            and (self.path_prefix is None or self.path_prefix.match(path) is not None)
            and (self.path_signature is None or self.path_signature.search(path) is not None)
            and all(value is None or value.fullmatch(query[name]) for name, value in self.required.items())
        )
