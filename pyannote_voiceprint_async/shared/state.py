"""The setting `shared=` of the client."""

from __future__ import annotations

import os
import re
from typing import Any

import attrs

from pyannote_voiceprint_async.errors import ConfigurationError
from pyannote_voiceprint_async.redaction import redact_url
from pyannote_voiceprint_async.reprs import safe_repr
from pyannote_voiceprint_async.secret import Secret, hide

__all__ = ["SharedState"]

_POSTGRES_SCHEMES = ("postgresql://", "postgres://")
# A DSN whose special characters are quoted. An unquoted one moves a part of the password into the host or the port,
# which errors show.
_HOST = r"(?:\[[^\]@/?#]*\]|[^@/?#:,\[\]]*)(?::\d*)?"
_DSN = re.compile(rf"postgres(?:ql)?://(?:[^@/?#]*@)?{_HOST}(?:,{_HOST})*(?:/[^@?#]*)?(?:\?.*)?", re.DOTALL)
# A DSN of the form "host=… password=…". It must become neither the name of a file nor a part of a message.
_KEYWORDS = re.compile(r"\b(?:host|hostaddr|port|dbname|user|password|service)\s*=")
_DSN_FORM = (
    "The form of a DSN is postgresql://user@host:5432/database; quote special characters in its parts, such as %40 for "
    "@ and %2F for /."
)
_MAX_RESERVE = 100


def _to_address(store: object) -> Secret | str:
    """Return a DSN as a `Secret`, and a path as a `str`."""
    if not isinstance(store, str | os.PathLike):
        raise ConfigurationError(
            f"shared must be the path of a file, a DSN such as postgresql://host/database, or a SharedState, not "
            f"{type(store).__name__}."
        )
    path = os.fspath(store)
    if isinstance(store, str) and path.startswith(_POSTGRES_SCHEMES):
        if not _DSN.fullmatch(path) or not path.isprintable():
            raise ConfigurationError(f"The DSN of the shared state cannot be parsed. {_DSN_FORM}")
        return Secret(path)
    if isinstance(store, str) and _KEYWORDS.search(path):
        raise ConfigurationError(f"shared looks like a DSN of keywords and values, which cannot be used. {_DSN_FORM}")
    if not isinstance(path, str) or not path.strip() or "\0" in path:
        raise ConfigurationError("shared must be the path of a file, or a DSN. This path is empty or no text.")
    if isinstance(store, str) and "://" in path:
        raise ConfigurationError(
            f"shared={redact_url(path.strip())!r} cannot be used. State is shared in a SQLite file (pass its path) or "
            "in PostgreSQL (pass a DSN that begins with postgresql://)."
        )
    return path[:]  # a plain `str`


def _show(address: Secret | str) -> str:
    return repr(redact_url(address.reveal()) if isinstance(address, Secret) else address)


def _check_team(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or not value or not value.isprintable() or "|" in value:
        raise ConfigurationError(f"{attribute.name} must be a name without the character |, not {value!r}.")


def _check_reserve(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_RESERVE:
        raise ConfigurationError(f"{attribute.name} must be a whole number from 0 to {_MAX_RESERVE}, not {value!r}.")


def _check_seconds(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise ConfigurationError(f"{attribute.name} must be seconds (0 or more), not {value!r}.")


@safe_repr
@attrs.frozen(init=False)
class SharedState:
    """State that all processes of one API key share: one rate limit, submission keys, and webhook deliveries.

    The state is kept apart by team and base URL, and not by API key, so that a new key knows the submission keys of the
    old one.
    """

    store: Any = attrs.field(converter=_to_address, repr=_show)
    """The path of a SQLite file, for the processes of one machine; or `postgresql://…`, for several machines."""
    team: str = attrs.field(default="default", kw_only=True, validator=_check_team)
    """Name it if several teams of the API, each with its own limits, use one store."""
    reserve: int = attrs.field(default=1, kw_only=True, validator=_check_reserve)
    """Permits that a busy process leaves for each other process, so that a process with few requests waits little."""
    patience: float = attrs.field(default=10.0, kw_only=True, validator=_check_seconds)
    """Seconds for which requests wait for a store that cannot be reached. Then each process sends its share: the limit
    divided by the number of processes that it knows of. A process that has not reached the store since its start knows
    of none, and sends as many requests per window as `reserve`, at least one.
    """

    def __init__(
        self, store: str | os.PathLike[str], *, team: str = "default", reserve: int = 1, patience: float = 10.0
    ) -> None:
        # A traceback with local variables must not show the password of a DSN.
        store = hide(store)
        self.__attrs_init__(store, team=team, reserve=reserve, patience=patience)

    @classmethod
    def of(cls, shared: SharedState | str | os.PathLike[str]) -> SharedState:
        """Return the state that an argument `shared=` names.

        Raises:
            ConfigurationError: the argument cannot be used.
        """
        return shared if isinstance(shared, SharedState) else cls(shared)
